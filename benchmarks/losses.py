"""The contenders of `pairwise.py`: each makes a loss of n rows, by this engine, by plain torch, or by another library.

A maker takes (n, d, generator) and returns leaves that want gradients and a function from them to a scalar. Every side
scales rows to unit length itself, as its users have it do. NT-Xent, DCL and SupCon see n rows (n/2 pairs of views; 16
rows a class), CLIP and ranking n queries and n keys; the temperature is 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core import Embeddings, Pairs, pairwise, same
from contrast_core.interfaces import Objective, Outputs, PairSampler, Term
from contrast_core.objectives.infonce import DCL, InfoNCE
from contrast_core.objectives.ranking import MultipleNegativesRanking
from contrast_core.objectives.supcon import SupCon
from contrast_core.relations import dense, distance, where
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.ranking import Ranking
from contrast_core.samplers.views import TwoViews

T = 0.1
ROWS_A_CLASS, VIEWS, QUEUED = 16, 4, 0.75
Made = tuple[list[Tensor], Callable[..., Tensor]]
Maker = Callable[[int, int, torch.Generator], Made]


def leaves(count: int, n: int, d: int, generator: torch.Generator) -> list[Tensor]:
    """Normal rows that want gradients."""
    return [torch.randn(n, d, generator=generator).requires_grad_() for _ in range(count)]


def rows_of(z: Tensor, **columns: Tensor) -> Embeddings:
    """A table whose rows are samples 0, 1, ..."""
    return Embeddings.of(z, **{"sample": torch.arange(len(z)), **columns})


def value(objective: Objective, sampler: PairSampler, **tables: Embeddings) -> Tensor:
    """The loss as a pipeline computes it."""
    term = objective(Outputs(tables, sampler(tables), {}))
    assert isinstance(term, Term)
    return term.value


def two_views(objective: Objective) -> Maker:
    """This engine's loss of two views, n/2 rows each."""

    def make(n: int, d: int, generator: torch.Generator) -> Made:
        def loss(one: Tensor, two: Tensor) -> Tensor:
            return value(objective, TwoViews(), one=rows_of(one), two=rows_of(two))

        return leaves(2, n // 2, d, generator), loss

    return make


def of_two(loss: Callable[[Tensor, Tensor], Tensor], half: bool = True) -> Maker:
    """A function of two tables, n/2 rows each (or n each)."""
    return lambda n, d, generator: (leaves(2, n // 2 if half else n, d, generator), loss)


def by_class(loss: Callable[[Tensor, Tensor], Tensor]) -> Maker:
    """A function of n rows and their labels."""

    def make(n: int, d: int, generator: torch.Generator) -> Made:
        label = torch.arange(n) // ROWS_A_CLASS
        label = label[torch.randperm(n, generator=generator)]
        return leaves(1, n, d, generator), lambda z: loss(z, label)

    return make


def unit(z: Tensor) -> Tensor:
    """Rows of length one."""
    return functional.normalize(z, dim=1)


def plain_ntxent(one: Tensor, two: Tensor) -> Tensor:
    """The shortest torch has for NT-Xent."""
    z = unit(torch.cat([one, two]))
    logits = (z @ z.T / T).fill_diagonal_(-math.inf)
    return functional.cross_entropy(logits, (torch.arange(len(z)) + len(one)) % len(z))


def plain_dcl(one: Tensor, two: Tensor) -> Tensor:
    """The same for DCL."""
    z, n = unit(torch.cat([one, two])), len(one)
    logits = z @ z.T / T
    own = torch.arange(2 * n) % n
    positive = logits[torch.arange(2 * n), (torch.arange(2 * n) + n) % (2 * n)]
    return (logits.masked_fill(own[:, None] == own, -math.inf).logsumexp(1) - positive).mean()


def plain_clip(one: Tensor, two: Tensor) -> Tensor:
    """CLIP's loss as its code has it."""
    logits, own = unit(one) @ unit(two).T / T, torch.arange(len(one))
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def plain_ranking(one: Tensor, two: Tensor) -> Tensor:
    """One direction of it."""
    return functional.cross_entropy(unit(one) @ unit(two).T / T, torch.arange(len(one)))


def plain_supcon(z: Tensor, label: Tensor) -> Tensor:
    """SupCon's out form."""
    z = unit(z)
    itself = torch.eye(len(z), dtype=torch.bool)
    log_p = (z @ z.T / T).masked_fill(itself, -math.inf).log_softmax(1)
    positive = (label[:, None] == label) & ~itself
    return -(log_p.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()


def lightly(name: str) -> Maker:
    """A loss of lightly."""

    def loss(one: Tensor, two: Tensor) -> Tensor:
        from contrast_core.adapters.lightly import losses

        found: Tensor = getattr(losses(), name)(temperature=T)(one, two)
        return found

    return of_two(loss)


def metric_learning(name: str, by_labels: bool = True) -> Maker:
    """A loss of pytorch-metric-learning."""

    def loss(z: Tensor, label: Tensor) -> Tensor:
        from pytorch_metric_learning import losses

        found: Tensor = getattr(losses, name)(temperature=T)(z, label)
        return found

    if by_labels:
        return by_class(loss)
    return of_two(lambda one, two: loss(torch.cat([one, two]), torch.arange(len(one)).repeat(2)))


def sentence_transformers(one: Tensor, two: Tensor) -> Tensor:
    """The loss of sentence-transformers without its model."""
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    found: Tensor = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=1 / T).compute_loss_from_embeddings(  # type: ignore[no-untyped-call,arg-type]
        [one, two], None
    )
    return found


def clip(one: Tensor, two: Tensor) -> Tensor:
    """CLIP's loss on this engine."""
    return value(InfoNCE(temperature=T, directions="both"), Cross(), one=rows_of(one), two=rows_of(two))


def ranking(one: Tensor, two: Tensor) -> Tensor:
    """Multiple-negatives ranking on this engine."""
    return value(MultipleNegativesRanking(scale=1 / T), Ranking(), anchor=rows_of(one), positive=rows_of(two))


def supcon(z: Tensor, label: Tensor) -> Tensor:
    """SupCon on this engine."""
    return value(SupCon(temperature=T), Labels(), embedding=rows_of(z, label=label))


LOSSES: dict[str, dict[str, Maker]] = {
    "NT-Xent": {
        "here": two_views(InfoNCE(temperature=T)),
        "plain torch": of_two(plain_ntxent),
        "lightly": lightly("NTXentLoss"),
        "pytorch-metric-learning": metric_learning("NTXentLoss", by_labels=False),
    },
    "DCL": {"here": two_views(DCL(temperature=T)), "plain torch": of_two(plain_dcl), "lightly": lightly("DCLLoss")},
    "SupCon": {
        "here": by_class(supcon),
        "plain torch": by_class(plain_supcon),
        "pytorch-metric-learning": metric_learning("SupConLoss"),
    },
    "CLIP": {"here": of_two(clip, half=False), "plain torch": of_two(plain_clip, half=False)},
    "ranking": {
        "here": of_two(ranking, half=False),
        "plain torch": of_two(plain_ranking, half=False),
        "sentence-transformers": of_two(sentence_transformers, half=False),
    },
}


def _repulsion(pairs: Pairs) -> Tensor:
    return pairwise.logsumexp(pairs, pairs.negatives, temperature=T).mean()


def _one(**relation: object) -> Maker:
    """log-sum-exp of a table with itself under a relation made of keyword `relation`."""
    made = relation["relation"]

    def make(n: int, d: int, generator: torch.Generator) -> Made:
        label = torch.rand(n, generator=generator)
        negatives = made(n, generator) if callable(made) else made

        def loss(z: Tensor) -> Tensor:
            rows = rows_of(z, label=label, view=torch.arange(n) % VIEWS, item=torch.arange(n) // VIEWS)
            return _repulsion(Pairs(rows, rows, same("item"), negatives))

        return leaves(1, n, d, generator), loss

    return make


def _two(negatives: Callable[[], object], softmax_mean: bool = False) -> Maker:
    """The same of two tables, the second of which may be a queue for the most part."""

    def make(n: int, d: int, generator: torch.Generator) -> Made:
        source = (torch.arange(n) < QUEUED * n).long()

        def loss(one: Tensor, two: Tensor) -> Tensor:
            candidates = rows_of(two, source=source)
            pairs = Pairs(rows_of(one, source=source), candidates, same("sample"), negatives())
            if softmax_mean:
                return pairwise.softmax_mean(None, pairs, pairs.negatives, temperature=T).mean()
            return _repulsion(pairs)

        return leaves(2, n, d, generator), loss

    return make


VARIANTS: dict[str, tuple[str, dict[str, Maker]]] = {
    "one table": (
        "everyone but the row itself",
        {
            "everyone but the row itself": _one(relation=~same("sample")),
            "multi-view: everyone but the own views": _one(relation=~same("item")),
            "multi-view: the same view alone": _one(relation=same("view") & ~same("sample")),
            "weighted by the distance of labels": _one(relation=~same("sample") * distance("label")),
            "a dense mask": _one(relation=lambda n, g: dense(torch.rand(n, n, generator=g) < 0.9)),
        },
    ),
    "two tables": (
        "everyone",
        {
            "everyone": _two(lambda: ~same("sample")),
            "own key and queue": _two(lambda: ~same("sample") & where("source", 1)),
            "CACR: softmax mean": _two(lambda: ~same("sample"), softmax_mean=True),
        },
    ),
}
