"""Anchors against their own keys and a memory: the pairs of MoCo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where


@final
class Queue(PairSampler):
    """positives = the batch's key of the same sample; negatives = the memory (MoCo, arXiv 1911.05722).

    Candidates are the keys, then the memory's rows; their column `source` tells them apart. A memory row that
    holds an earlier key of the anchor's own sample is neither positive nor negative: the paper's code would
    set the anchor against it, which its queue, much shorter than the data set, practically never does.

    Args:
        anchors: name of the queries' table, with a column `sample`.
        keys: name of the table of keys, with a column `sample`; taken without gradient.
        memory: name of the memory, whose rows have a column `sample` (-1 for rows of no sample).
        in_batch: whether the other keys of the batch are negatives too; in MoCo they are not.
        within: a column in which negatives are like the anchor, for example the language of a memory of one queue for
            each language; left out, all are negatives.
        name: under which the pairs go on.

    Raises:
        ValueError: if keys and memory have one name.
    """

    def __init__(
        self,
        anchors: str = "query",
        keys: str = "key",
        memory: str = "queue",
        in_batch: bool = False,
        within: str | None = None,
        name: str = "pairs",
    ):
        super().__init__()
        if keys == memory:
            raise ValueError(f"Keys and memory must be two things, but both are called '{keys}'.")
        self.anchors, self.keys, self.memory, self.in_batch, self.name = anchors, keys, memory, in_batch, name
        self.needs, self.gives = (anchors, keys, memory), (name,)
        self.within = within

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the queries with keys and memory."""
        keys = flow[self.keys].detach().with_columns(source=self.keys)
        remembered = flow[self.memory].read().with_columns(source=self.memory)
        own = same("sample") & where("source", self.keys)
        others = ~same("sample") if self.in_batch else ~same("sample") & where("source", self.memory)
        others = others if self.within is None else others & same(self.within)
        return {self.name: Pairs(flow[self.anchors], cat([keys, remembered]), own, others)}
