"""Views of a student against the views of its teacher: the pairs of MoCo v3, and of MoCo with several views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where


@final
class TeacherViews(PairSampler):
    """positives = the teacher's other views of the same sample; negatives = the teacher's views of other samples.

    With two views and `InfoNCE` that is MoCo v3 (arXiv 2104.02057) but for its factor. A teacher's key of the anchor's
    own view is neither.

    Args:
        views: names of the student's tables, at least two, each with a column `sample`; a row's view becomes its
            column `view`.
        keys: whose teacher's tables are candidates; left out, all views'. Without gradient.
        suffix: what the encoder adds to a view's name for the teacher's table.
        name: under which the pairs go on.

    Raises:
        ValueError: for fewer than two views, or a key that is no view.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        keys: Sequence[str] | None = None,
        suffix: str = "-teacher",
        name: str = "pairs",
    ):
        super().__init__()
        self.views, self.keys = _checked(views, keys)
        self.suffix, self.name = suffix, name
        self.needs, self.gives = (*self.views, *(key + suffix for key in self.keys)), (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the student's views with the teacher's."""
        queries, keys = _student(flow, self.views), _teacher(flow, self.keys, self.suffix)
        return {self.name: Pairs(queries, keys, same("sample") & ~same("view"), ~same("sample"))}


@final
class TeacherQueue(PairSampler):
    """positives = the teacher's other views of the same sample; negatives = the memory and the batch.

    This is MoCo (arXiv 1911.05722) for several views, as CACR has it (arXiv 2105.03746). The batch's negatives are
    the student's rows of the anchor's own view, with gradient. A memory row of the anchor's own sample is neither.

    Args:
        views: names of the student's tables, at least two, each with a column `sample`; a row's view becomes its
            column `view`.
        memory: name of the memory, whose rows have a column `sample` (-1 for rows of no sample).
        in_batch: whether the batch's other samples are negatives too.
        suffix: what the encoder adds to a view's name for the teacher's table.
        name: under which the pairs go on.

    Raises:
        ValueError: for fewer than two views.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        memory: str = "queue",
        in_batch: bool = True,
        suffix: str = "-teacher",
        name: str = "pairs",
    ):
        super().__init__()
        self.views, _ = _checked(views, None)
        self.memory, self.in_batch, self.suffix, self.name = memory, in_batch, suffix, name
        self.needs, self.gives = (*self.views, *(view + suffix for view in self.views), memory), (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the student's views with the teacher's, the memory and each other."""
        queries = _student(flow, self.views)
        keys = _teacher(flow, self.views, self.suffix)
        remembered = flow[self.memory].read().with_columns(source="memory", view="memory")
        candidates = cat([keys, remembered, *([queries] if self.in_batch else [])])
        own = same("sample") & ~same("view") & where("source", "teacher")
        others = ~same("sample") & (where("source", "memory") | where("source", "student") & same("view"))
        return {self.name: Pairs(queries, candidates, own, others)}


def _checked(views: Sequence[str], keys: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if len(set(views)) < 2:
        raise ValueError(f"An anchor's positive is another view of its sample: give two views, not {list(views)}.")
    chosen = tuple(views if keys is None else keys)
    if unknown := [key for key in chosen if key not in views]:
        raise ValueError(f"A key is one of the views {', '.join(views)}, not '{unknown[0]}'; the suffix is added.")
    return tuple(views), chosen


def _student(flow: Flow, views: Sequence[str]) -> Embeddings:
    return cat([flow[view].with_columns(view=view, source="student") for view in views])


def _teacher(flow: Flow, views: Sequence[str], suffix: str) -> Embeddings:
    return cat([flow[view + suffix].detach().with_columns(view=view, source="teacher") for view in views])
