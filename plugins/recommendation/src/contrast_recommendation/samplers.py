"""Who is compared with whom: the sequence with the items, and the encoded with the augmented views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same
from contrast_core.samplers.views import TwoViews


@final
class NextItem(PairSampler):
    """Sequences are anchors, all items candidates: positive = the item that came next, negatives = all others.

    With `core/infonce`, the similarity `core/dot` and temperature 1 that is the cross-entropy of the logits h E^T over
    all items, the padding item included. A sequence whose target is 0, unknown, has no positive and is left out.

    Args:
        anchors: name of the sequences' table, with a column `target`.
        candidates: name of the items' table, with a column `target`, the item's own id.
        name: under which the pairs go on.
    """

    def __init__(self, anchors: str = "sequence", candidates: str = "items", name: str = "next-item"):
        super().__init__()
        self.anchors, self.candidates, self.name = anchors, candidates, name
        self.needs = (anchors, candidates, f"{anchors}.target", f"{candidates}.target")
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of sequences and items."""
        following = same("target", missing=0)
        return {self.name: Pairs(flow[self.anchors], flow[self.candidates], following, ~following)}


@final
class AugmentedPairs(PairSampler):
    """NT-Xent pairs of h_1 with z_2, h_2 with z_1, and z_1 with z_2, for encoded views h and augmented ones z.

    Each is what `core/two-views` makes of two tables: all 2 B rows are anchors, the positive is the other view of the
    sample, the 2 B - 2 rows of other samples are negatives. They go on as `one-two`, `two-one` and `augmented`.

    Args:
        views: names of the two encoded tables; the augmented ones are called the same with `-augmented`.

    Raises:
        ValueError: unless there are two different names.

    Paper: MCLRec, SIGIR 2023, arXiv 2304.07763.
    """

    gives = ("one-two", "two-one", "augmented")

    def __init__(self, views: Sequence[str] = ("one", "two")):
        super().__init__()
        if len(set(views)) != 2 or len(views) != 2:
            raise ValueError(f"Augmented pairs are of two different views, not of {list(views)}.")
        one, two = views
        z_one, z_two = f"{one}-augmented", f"{two}-augmented"
        couples = ((one, z_two), (two, z_one), (z_one, z_two))
        self.samplers = [TwoViews(couple, name=name) for couple, name in zip(couples, self.gives, strict=True)]
        self.needs = (one, two, z_one, z_two)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """The three pairs."""
        return {name: pairs for sampler in self.samplers for name, pairs in sampler(flow).items()}


@final
class SameTarget(PairSampler):
    """Rows of all views; positives = every other row that has the same next item, negatives = rows with another.

    Another view of the same sample is among the positives. A row whose target is 0, unknown, meets its other view alone
    and is nobody's negative.

    Args:
        views: names of the tables, with columns `sample` and `target`.
        name: under which the pairs go on.

    Raises:
        ValueError: if no table is named.

    Paper: after DuoRec, Contrastive Learning for Representation Degeneration Problem in Sequential Recommendation,
    WSDM 2022, which draws one sequence of the same target for each from the whole data set.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), name: str = "same-target"):
        super().__init__()
        if not views:
            raise ValueError("Name at least one table whose rows are to be paired by their target.")
        self.views, self.name = tuple(views), name
        self.needs = (*self.views, *(f"{view}.{column}" for view in self.views for column in ("sample", "target")))
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of all rows."""
        rows = cat([flow[view] for view in self.views])
        rows = rows.with_columns(row=torch.arange(len(rows)), known=(rows["target"] > 0).long())
        positives = (same("sample") | same("target", missing=0)) & ~same("row")
        negatives = same("known", missing=0) & ~same("target") & ~same("sample")
        return {self.name: Pairs(rows, rows, positives, negatives)}
