"""Which subjects meet: pictures and words of one sample, and views of one subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where
from contrast_core.samplers.cross import Cross


@final
class SemanticPairs(PairSampler):
    """Pictures meet words: positives = the same sample, negatives = whatever differs in all columns of `apart`.

    With apart = ["subject"], other samples of the anchor's subject are no negatives, as the card has it; with
    ["subject", "text"] neither are words that read the same, which subjects of one class share.

    Args:
        anchors, candidates: names of the tables, with columns `sample` and those of `apart`.
        apart: the columns.
        name: under which the pairs go on.

    Raises:
        ValueError: if `apart` is empty.

    Paper: CustomContrast, arXiv 2409.05606. Certain: the CLS vectors of a sample's picture and text are contrasted.
    """

    def __init__(
        self,
        anchors: str = "visual",
        candidates: str = "textual",
        apart: Sequence[str] = ("subject",),
        name: str = "semantic",
    ):
        super().__init__()
        if not apart:
            raise ValueError('apart must name at least one column, usually ["subject"].')
        self.cross = Cross(anchors, candidates, name, apart)
        columns = dict.fromkeys(("sample", *apart))
        self.needs = (anchors, candidates, *(f"{t}.{c}" for t in (anchors, candidates) for c in columns))
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the two tables."""
        found: Mapping[str, Pairs] = self.cross(flow)
        return found


@final
class SubjectPairs(PairSampler):
    """Pictures of subjects meet cuts of the same subject's other samples, and pictures of other subjects.

    Anchors are the rows of `reference`; candidates those of `cut` and of `reference`. Positives: rows of `cut` of the
    same subject and another sample. Negatives: rows of `reference` of other subjects.

    Args:
        reference, cut: names of the tables, with columns `sample` and `subject`.
        name: under which the pairs go on.

    Paper: CustomContrast, arXiv 2409.05606. Certain: positives are segmented images of the subject from other frames
    than the reference, other subjects are negatives.
    """

    def __init__(self, reference: str = "reference", cut: str = "cut", name: str = "appearance"):
        super().__init__()
        self.reference, self.cut, self.name = reference, cut, name
        self.needs = (reference, cut, *(f"{t}.{c}" for t in (reference, cut) for c in ("sample", "subject")))
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of all pictures."""
        anchors = flow[self.reference].with_columns(view="reference")
        candidates = cat([flow[self.cut].with_columns(view="cut"), anchors])
        positives = same("subject") & ~same("sample") & where("view", "cut")
        return {self.name: Pairs(anchors, candidates, positives, ~same("subject") & where("view", "reference"))}
