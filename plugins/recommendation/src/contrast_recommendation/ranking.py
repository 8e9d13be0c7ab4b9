"""The evaluation protocol of sequential recommendation: rank all items, look where the held-out one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.evaluation.ranking import Metric, gains
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_recommendation.data.component import Interactions
from contrast_recommendation.ranks import target_ranks

PARTS = {"valid": "val", "test": "test"}
"""What a part of a split is called in a table of scores."""


@final
class FullRanking(Evaluator):
    """Scores every item by <h, e_j> (dot product with the item table, padding left out) and ranks the held-out one.

    HR@k (hit rate, the same as recall@k with one held-out item), NDCG@k, MRR@k, Precision@k are means over users of the
    validation and of the test samples; see `ranks.gains`. No items are sampled. Of equal scores the held-out item comes
    last.

    Args:
        k: lengths of the list.
        metrics: "HR", "Recall", "NDCG", "MRR", "Precision".
        remove_history: items of the user's whole history, however long, do not compete (unless held out).

    Raises:
        ValueError: for no or a non-positive k, or no metric; in use, if the data are no interactions with a split, a
            held-out sample has no embedding, its target is not in the item table, or something is not finite.

    Paper: the protocol of MCLRec (SIGIR 2023), CL4SRec and DuoRec, and of RecBole with `mode: full`.
    """

    needs = ("embedding", "items")

    def __init__(
        self,
        k: Sequence[int] = (5, 10, 20),
        metrics: Sequence[Metric] = ("HR", "NDCG", "MRR"),
        remove_history: bool = False,
    ):
        if not k or min(k) < 1:
            raise ValueError(f"k must hold at least one list length, all at least 1, not {list(k)}.")
        if not metrics:
            raise ValueError("metrics must name at least one of HR, Recall, NDCG, MRR and Precision.")
        self.k, self.metrics, self.remove_history = tuple(k), tuple(metrics), remove_history

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """One score a metric, k and part; nothing is drawn at random."""
        return [
            Score(f"{metric}@{k}", float(gains(ranks, metric, k).mean()), split=part)
            for part, ranks in self.ranks(tables, data).items()
            for metric in self.metrics
            for k in self.k
        ]

    def ranks(self, tables: Mapping[str, Embeddings], data: Data) -> dict[str, Tensor]:
        """The rank of each user's held-out item by part, "valid" and "test": (n,) int64, in the order of the users.

        Raises:
            ValueError: as the class says.
        """
        if not isinstance(data, Interactions):
            raise ValueError(f"Full ranking needs the data recommendation/interactions, not {type(data).__name__}.")
        (split,) = data.splits.values()
        items, rows = item_rows(tables["items"], len(data.sequences.names))
        found = {}
        for part, field in PARTS.items():
            samples: Tensor = getattr(split, field)
            targets = rows[data.samples.targets(samples)]
            if bool((targets < 0).any()):
                missing = int(data.samples.targets(samples)[targets < 0][0])
                raise ValueError(f"The item {missing} of the {part} samples is not in the encoder's table of items.")
            removed = None
            if self.remove_history:
                user, seen = data.samples.seen(samples)
                removed = user, rows[seen]
            found[part] = target_ranks(_queries(tables["embedding"], samples), items, targets, removed)
        return found


def item_rows(table: Embeddings, most: int) -> tuple[Tensor, Tensor]:
    """The embeddings of the items without padding, and the row of each item id up to `most`, -1 where there is none."""
    ids = table["sample"]
    kept = ids > 0
    items, ids = at_least_float32(table.z[kept].detach()), ids[kept]
    _check_finite(items, "items")
    rows = torch.full((max([most, *ids.tolist()]) + 1,), -1)
    rows[ids] = torch.arange(len(ids))
    return items, rows


def _queries(table: Embeddings, samples: Tensor) -> Tensor:
    """The embeddings of the samples, in their order."""
    numbers, order = table["sample"].sort()
    place = torch.searchsorted(numbers, samples).clamp(max=len(numbers) - 1)
    if bool((numbers[place] != samples).any()):
        missing = int(samples[numbers[place] != samples][0])
        raise ValueError(f"The held-out sample {missing} has no embedding.")
    found = at_least_float32(table.z[order[place]].detach())
    _check_finite(found, "held-out samples")
    return found


def _check_finite(z: Tensor, what: str) -> None:
    if not bool(z.isfinite().all()):
        raise ValueError(f"The embedding of the {what} is NaN or infinite; there is nothing to rank.")
