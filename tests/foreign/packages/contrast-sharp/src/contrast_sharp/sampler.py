"""Anchors meet keys and remembered rows of all classes."""

from collections.abc import Mapping
from typing import final

from contrast_core import Pairs, same, where
from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler


@final
class Rehearsal(PairSampler):
    """positives = candidates of the anchor's label, negatives = candidates of another label.

    Candidates are the keys, then the rows of the memory, both without gradient; their column `source` tells them
    apart. With a balanced memory every class is among the negatives of every anchor, however rare it is in a batch.
    Label -1 is unlabelled: such a row is neither positive nor negative, on either side.

    Args:
        anchors: name of a table with a column `label`.
        keys: name of another table with a column `label`, as a teacher's: an anchor's own key is a positive.
        memory: name of a memory whose rows have a column `label`.
        name: under which the pairs go on.

    Raises:
        ValueError: if two of the three are one name.

    Paper: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362 (pairs by label).
    """

    def __init__(
        self, anchors: str = "one", keys: str = "two-teacher", memory: str = "reservoirs", name: str = "rehearsal"
    ):
        super().__init__()
        if len({anchors, keys, memory}) < 3:
            raise ValueError(f"anchors, keys and memory must be three names, not {anchors}, {keys} and {memory}.")
        self.anchors, self.keys, self.memory, self.name = anchors, keys, memory, name
        self.needs = (anchors, f"{anchors}.label", keys, f"{keys}.label", memory)
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the anchors with keys and memory."""
        keys = flow[self.keys].with_columns(source="key")
        candidates = cat([keys, flow[self.memory].read()]).detach()
        known = ~where("label", -1) & ~where("label", -1, side="anchors")
        return {self.name: Pairs(flow[self.anchors], candidates, same("label", missing=-1), ~same("label") & known)}
