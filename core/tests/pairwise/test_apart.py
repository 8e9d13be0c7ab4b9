"""Candidates of several tables: taken one by one they give what one table gives, and nobody puts them together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from contrast_core import Embeddings, Pairs, dense, distance, pairwise, same, where
from contrast_core.embeddings import _Joined, cat
from contrast_core.pairwise.apart import apart
from contrast_core.relations import Relation, everything
from contrast_core.similarity import Cosine, Dot, NegativeDistance

N, M = 40, 2000


def tables(kind: torch.dtype = torch.float64) -> tuple[Embeddings, Embeddings, Embeddings]:
    """Anchors, the batch's candidates, both with gradient, and a queue without; some rows of each belong together."""
    g = torch.Generator().manual_seed(5)

    def table(rows: int, source: str) -> Embeddings:
        z = torch.randn(rows, 6, generator=g, dtype=kind).requires_grad_(source != "queue")
        return Embeddings.of(z, sample=torch.randint(0, 50, (rows,), generator=g), source=source)

    return table(N, "student"), table(N, "student"), table(M, "queue")


RELATIONS: list[tuple[Relation, Relation]] = [
    (same("sample"), ~same("sample")),
    (same("sample") & where("source", "student"), ~same("sample") & where("source", "queue")),
    (same("sample"), distance("sample") * ~same("sample")),
    (same("sample") & where("source", "nobody"), everything),
]


@pytest.mark.parametrize(("positives", "negatives"), RELATIONS)
@pytest.mark.parametrize("similarity", [Cosine(), Dot()])
def test_tables_one_by_one_give_what_one_table_gives(positives: Relation, negatives: Relation, similarity: Dot) -> None:
    """Values and gradients of log-sums, sums and both in one, to the last digits."""
    anchors, batch, queue = tables()
    joined = cat([batch, queue])
    whole = Embeddings(dict(joined.fields), joined.columns)
    ways: list[Callable[[Pairs], tuple[Tensor, ...]]] = [
        lambda pairs: (pairwise.logsumexp(pairs, negatives, similarity, 0.3),),
        lambda pairs: pairwise.weighted_sum(pairs, positives, similarity, 0.3),
        lambda pairs: tuple(pairwise.contrast(pairs, negatives, similarity, 0.3)),
    ]
    for way in ways:
        results = []
        for candidates in (joined, whole):
            pairs = Pairs(anchors, candidates, positives, negatives)
            assert (apart(pairs, negatives, similarity, 0.3) is None) == (candidates is whole)
            values = way(pairs)
            loss = sum((k + 1) * torch.where(v.isfinite(), v, 0.0).sin().sum() for k, v in enumerate(values))
            results.append((*values, *torch.autograd.grad(loss, [anchors.z, batch.z], allow_unused=True)))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_nothing_is_put_together() -> None:
    """The tables' rows are not copied for a loss."""
    anchors, batch, queue = tables()
    pairs = Pairs(anchors, cat([batch, queue]), same("sample"), ~same("sample"))
    pairwise.contrast(pairs, pairs.positives | pairs.negatives).denominator.sum().backward()
    assert isinstance(pairs.candidates.fields, _Joined)
    assert not pairs.candidates.fields.made


@pytest.mark.parametrize(
    "why", ["the batch alone", "a learned queue", "few pairs", "places", "temperatures", "distances", "one table"]
)
def test_when_candidates_stay_whole(why: str) -> None:
    """Where nothing is saved, or a candidate's place in the whole table counts."""
    anchors, batch, queue = tables()
    positives, similarity, temperature = same("sample"), Cosine(), 1.0
    candidates = cat([batch, queue])
    chosen: dict[str, object] = {
        "the batch alone": lambda: cat([batch, batch]),
        "a learned queue": lambda: cat([batch, Embeddings.of(torch.randn(M, 6, requires_grad=True), sample=0)]),
        "few pairs": lambda: cat([batch, queue.select(torch.arange(100))]),
        "one table": lambda: candidates.with_columns(sample=0),
    }
    make = chosen.get(why)
    candidates = make() if callable(make) else candidates
    positives = dense(torch.ones(N, N + M)) if why == "places" else positives
    pairs = Pairs(anchors, candidates, positives, ~same("sample"))
    given = torch.ones(1, N + M) if why == "temperatures" else temperature
    alike = NegativeDistance() if why == "distances" else similarity
    assert apart(pairs, ~same("sample"), alike, given) is None


def test_a_second_derivative_goes_through() -> None:
    """The dense formulas take over, table by table."""
    anchors, batch, queue = tables()
    joined = cat([batch, queue])
    found = []
    for candidates in (joined, Embeddings(dict(joined.fields), joined.columns)):
        pairs = Pairs(anchors, candidates, same("sample"), ~same("sample"))
        loss = pairwise.logsumexp(pairs, ~same("sample"), temperature=0.5).sum()
        (first,) = torch.autograd.grad(loss, anchors.z, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), batch.z)[0])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)
