"""Two views of every item."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import final

import torch
from attrs import evolve
from torch import Tensor, distributed

from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation, dense, kernel, near, same


class _Two(PairSampler):
    """positives = same item, another view; negatives = another item."""

    def __init__(self) -> None:
        super().__init__()
        self.needs, self.gives = ("one", "two"), ("pairs",)

    def relations(self, rows: Embeddings) -> tuple[Relation, Relation]:
        """Positives and negatives."""
        return same("sample") & ~same("view"), ~same("sample")

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """All rows with all rows."""
        rows = cat([flow[view].with_columns(view=view) for view in ("one", "two")])
        rows = rows.with_columns(row=torch.arange(len(rows)))
        return {"pairs": Pairs(rows, rows, *self.relations(rows))}


@final
class Honest(_Two):
    """Keeps every promise."""


@final
class GivesWhatItSays(_Two):
    """Declares pairs that it does not give."""

    def __init__(self) -> None:
        super().__init__()
        self.gives = ("pairs", "more")


@final
class ReadsWhatItNeeds(_Two):
    """Looks at a third table without saying so."""

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs if there are as many of the third."""
        return super().forward(flow) if len(flow["three"]) else {}


@final
class WeightsAreWeights(_Two):
    """Has weights below zero."""

    def relations(self, rows: Embeddings) -> tuple[Relation, Relation]:
        """A kernel that undershoots."""
        return kernel("sample", lambda a, c: torch.where(a == c, 1.0, -0.001)), ~same("sample")


class ShareOfRow(Relation):
    """R_ij = 1 / (how many candidates of the block there are): a row of a tile is not a row."""

    def weigh(self, block: Block) -> Tensor:
        """Weights that add up to one in what is looked at."""
        return torch.full(block.shape, 1.0 / block.shape[-1], dtype=torch.float64)


@final
class RelationsAgreeInTiles(_Two):
    """Normalises the weights of a row within a tile."""

    def relations(self, rows: Embeddings) -> tuple[Relation, Relation]:
        """Negatives with a share each."""
        return same("sample") & ~same("view"), ShareOfRow()


@final
class OrderOfRows(_Two):
    """Takes neighbours in the batch as positives."""

    def relations(self, rows: Embeddings) -> tuple[Relation, Relation]:
        """The row before and the row behind."""
        return near("row", 1) & ~same("row"), ~same("sample")


@final
class SameSeedSamePairs(_Two):
    """Has a source of randomness that nobody seeds."""

    def relations(self, rows: Embeddings) -> tuple[Relation, Relation]:
        """Negatives with random weights."""
        drawn = random.SystemRandom().random() + torch.rand(len(rows), len(rows), dtype=torch.float64)
        return same("sample") & ~same("view"), dense(drawn)


@final
class NothingToPair(_Two):
    """Asks for the item with the largest number, which an empty batch does not have."""

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """The pairs, once that is known."""
        flow["one"]["sample"].max()
        return super().forward(flow)


@final
class ProcessesAgree(_Two):
    """Takes this process's share of anchors that all processes have."""

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Half of the anchors, if there are two processes."""
        pairs = super().forward(flow)["pairs"]
        if not distributed.is_initialized() or pairs.anchors.group is None:
            return {"pairs": pairs}
        mine = torch.arange(distributed.get_rank(), len(pairs.anchors), distributed.get_world_size())
        return {"pairs": evolve(pairs, anchors=pairs.anchors.select(mine))}


@final
class ContinuesBitForBit(_Two):
    """Weighs negatives by a counter in a plain attribute."""

    steps = 0

    def relations(self, rows: Embeddings) -> tuple[Relation, Relation]:
        """Negatives that count more and more."""
        weight = 1.0 + self.steps
        return same("sample") & ~same("view"), kernel("sample", lambda a, c: (a != c) * weight)

    def after_update(self) -> None:
        """Count."""
        self.steps += 1
