"""Losses and miners of pytorch-metric-learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from contrast_core.adapters.metric_learning_parts import part
from contrast_core.adapters.named import accepted
from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.listing import listed_pairs
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation

Indices = tuple[Tensor, ...]
"""Triplets (a, p, n), or pairs (a1, p, a2, n): row numbers of anchors and of candidates."""
ONE_TABLE = ("HistogramLoss", "ThresholdConsistentMarginLoss")
"""Losses of pairs that look candidates up among the anchors."""


@final
class MetricLearning(Objective):
    """A loss of pytorch-metric-learning: L = loss(z, labels or pairs), on what a miner leaves if there is one.

    By labels, z and the labels of one table are given to the miner and the loss. By pairs, which any sampler may have
    made, the pairs of positive and of negative weight are listed and given to the loss as they are, without labels; if
    the candidates are another table (keys, a memory's rows, another view), its rows are the loss's reference
    embeddings. A miner then chooses by the column `label` of both tables, and of its choice stays what the relations
    hold. Anchors in no pair are left out, and weights count as 1.

    Args:
        loss: the class, for example "MultiSimilarityLoss".
        table: name of the table with z (n, d); not used with `pairs`.
        label: its column of classes, (n,) integers; rows with -1 are unlabelled and left out.
        pairs: name of the pairs, to go by them; only losses made for pairs or triplets can.
        miner: the class of a miner, for example "MultiSimilarityMiner".
        arguments: of the loss. Distance, reducer and regularizers are named as well: {distance = "LpDistance"} or
            {distance = {use = "LpDistance", power = 2}}.
        miner_arguments: of the miner, in the same way.

    Parameters of a loss (the class vectors of ArcFaceLoss, which needs num_classes and embedding_size) are trained and
    saved with the pipeline. `rows` are the anchors with a positive among the pairs given to the loss, or without
    miner and pairs all labelled rows; `dropped` are the others, whose negatives some losses still use.

    Use: For a loss or miner that is not among the objectives, or to keep a setup as it was. `core/supcon`,
        `core/pairwise-ntxent`, `core/triplet`, `core/multi-similarity` and `core/nca` have the same values and are
        tiled.

    Cost: That of the library: at least an n x m matrix and lists of all pairs, for triplets O(n^3) numbers, where
        InfoNCE takes O((n + m) d) memory.

    Parity: The library's own code runs, 2.9.0 in the tests; its values and gradients equal those of the objectives
        above to 1e-10 in float64.

    Raises:
        ContrastError: if pytorch-metric-learning is not installed.
        ValueError: for an unknown loss, miner or argument; in use, if labels or rows do not fit the loss, or it can't
            be driven by pairs.
    """

    def __init__(
        self,
        loss: str,
        table: str = "embedding",
        label: str = "label",
        pairs: str | None = None,
        miner: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        miner_arguments: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if miner is None and miner_arguments:
            raise ValueError("There are miner_arguments but no miner: name one, for example 'MultiSimilarityMiner'.")
        self.needs = (table, f"{table}.{label}")
        if pairs is not None:
            self.needs = (pairs,)
        self.table, self.label, self.pairs, self.name = table, label, pairs, loss
        self.classes, self.width = ((arguments or {}).get(key) for key in ("num_classes", "embedding_size"))
        self.loss = part("losses", loss, arguments or {})
        self.miner: Any = None if miner is None else part("miners", miner, miner_arguments or {})

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named table or pairs; zero if no labelled row or no pair is left."""
        if self.pairs is None:
            return self._by_labels(outputs.tables[self.table])
        return self._by_pairs(outputs.pairs[self.pairs])

    def _by_labels(self, table: Embeddings) -> Term:
        known = self._labels(table, "rows") != -1
        kept = table if bool(known.all()) else table.select(known)
        z, labels = at_least_float32(kept.z), kept[self.label]
        indices = None if self.miner is None or not len(z) else self._mined(z, labels, None, None)
        return self._term(z, labels, indices, None, len(table))

    def _by_pairs(self, pairs: Pairs) -> Term:
        one_table = pairs.candidates is pairs.anchors
        if self.name in ONE_TABLE and not one_table:
            raise ValueError(f"{self.name} compares rows of one table, but anchors and candidates are two.")
        z = at_least_float32(pairs.anchors.z)
        reference = None if one_table else at_least_float32(pairs.candidates.z)
        everyone, indices = len(z), self._listed(pairs, z, reference)
        if self.name not in ONE_TABLE:
            # Some losses average over all anchors that they are given.
            rows, indices = _taking_part(indices)
            if len(rows) < len(z):
                z, reference = z[rows], z if one_table else reference
        return self._term(z, None, indices, reference, everyone)

    def _listed(self, pairs: Pairs, z: Tensor, reference: Tensor | None) -> Indices:
        if self.miner is None or not len(z):
            return (*listed_pairs(pairs, pairs.positives), *listed_pairs(pairs, pairs.negatives))
        theirs = None if reference is None else self._labels(pairs.candidates, "candidates")
        mined = self._mined(z, self._labels(pairs.anchors, "anchors"), reference, theirs)
        if len(mined) == 3:
            a, p, n = mined
            kept = _related(pairs, pairs.positives, a, p) & _related(pairs, pairs.negatives, a, n)
            return a[kept], p[kept], n[kept]
        a, p, b, n = mined
        attracted, repelled = _related(pairs, pairs.positives, a, p), _related(pairs, pairs.negatives, b, n)
        return a[attracted], p[attracted], b[repelled], n[repelled]

    def _mined(self, z: Tensor, labels: Tensor, reference: Tensor | None, theirs: Tensor | None) -> Indices:
        with torch.autocast(z.device.type, enabled=False):
            found = accepted(f"pytorch-metric-learning's {type(self.miner).__name__}", self.miner, z, labels,
                             reference, theirs)  # fmt: skip
        # A miner that finds nothing may give empty lists of floats.
        return tuple(index.long() for index in found)

    def _term(
        self, z: Tensor, labels: Tensor | None, indices: Indices | None, reference: Tensor | None, everyone: int
    ) -> Term:
        rows = len(z) if indices is None else len(indices[0].unique())
        if not len(z) or (indices is not None and not any(map(len, indices))):
            return Term(z.sum() * 0.0, 0, everyone)
        if self.width is not None and self.width != z.shape[1]:
            raise ValueError(f"{self.name} was given embedding_size {self.width}, but rows have {z.shape[1]} numbers.")
        if self.classes is not None and labels is not None and int(labels.max()) >= self.classes:
            most = int(labels.max())
            raise ValueError(f"{self.name} was given num_classes {self.classes}, but there is a label {most}.")
        who = f"pytorch-metric-learning's {self.name}"
        with torch.autocast(z.device.type, enabled=False):
            value = accepted(who, self.loss, z, labels, indices, reference)
        if not isinstance(value, Tensor):
            raise ValueError(f"{who} gives no number: choose another reducer than {type(self.loss.reducer).__name__}.")
        return Term(value, rows, everyone - rows)

    def _labels(self, table: Embeddings, which: str) -> Tensor:
        if self.label not in table:
            have = ", ".join([*table.fields, *table.columns])
            raise ValueError(f"{self.name} needs the column '{self.label}', which the {which} lack; they have {have}.")
        return table[self.label]


def _taking_part(indices: Indices) -> tuple[Tensor, Indices]:
    """The anchors that are in a pair, and the pairs with the anchors numbered among these."""
    if len(indices) == 3:
        rows, a = indices[0].unique(return_inverse=True)
        return rows, (a, *indices[1:])
    rows, anchors = torch.cat([indices[0], indices[2]]).unique(return_inverse=True)
    a, b = anchors.split([len(indices[0]), len(indices[2])])
    return rows, (a, indices[1], b, indices[3])


def _related(pairs: Pairs, relation: Relation, i: Tensor, j: Tensor) -> Tensor:
    return (relation.weigh(Block(pairs.anchors, pairs.candidates, i, j)) > 0).expand(i.shape)
