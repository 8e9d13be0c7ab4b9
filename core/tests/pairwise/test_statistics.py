"""Every statistic against plain loops: dense, in tiles of any side, and over lists."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation, dense, differing, edges, everything, kernel, learned, same
from contrast_core.similarity import (
    Cosine,
    Dot,
    Given,
    MaxSim,
    NegativeDistance,
    Similarity,
    SquaredDistance,
    WeightedSum,
)

N, M = 9, 11
SIMILARITIES = [
    Cosine(),
    Dot(),
    NegativeDistance(),
    NegativeDistance(power=1.0),
    SquaredDistance(),
    WeightedSum([SquaredDistance(normalise=True), SquaredDistance()], [1.0, 0.5]),
    WeightedSum([Dot(), Cosine()], [-0.5, 2.0]),
    WeightedSum([Cosine(), Given()], [0.5, 2.0]),
    Given(),
    MaxSim(),
]


class Gate(nn.Module):
    """sigmoid of a bilinear form: learned weights, sometimes exactly 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 4, dtype=torch.float64))

    def forward(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights of broadcastable rows."""
        return torch.relu((a * c * self.weight).sum(-1))


def tables(n: int = N, m: int = M, kind: torch.dtype = torch.float64) -> tuple[Embeddings, Embeddings]:
    """Tables with everything the similarities and relations read; the last anchor's label has no candidate."""
    make = torch.Generator().manual_seed(n * 100 + m)

    def draw(rows: int, *shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=make, dtype=torch.float64).to(kind)

    def table(rows: int, others: int) -> Embeddings:
        columns = {"label": torch.arange(rows) % 3, "view": torch.arange(rows) % 2, "sample": torch.arange(rows)}
        columns["cluster"] = torch.stack([torch.arange(rows) % 4, torch.arange(rows) // 3], 1)
        columns["heat"] = torch.rand(rows, generator=make, dtype=torch.float64) + 0.5
        fields = {"z": draw(rows, 4), "tokens": draw(rows, 3, 2), "scores": draw(rows, others)}
        return Embeddings(fields, columns)

    anchors, candidates = table(n, m), table(m, n)
    if n:
        anchors.columns["label"][-1] = 99
    return anchors, candidates


def relations() -> dict[str, Relation]:
    """Boolean, weighted, listed and learned relations; most leave some row empty."""
    make = torch.Generator().manual_seed(1)
    weights = torch.rand(4, generator=make, dtype=torch.float64)
    return {
        "label": same("label"),
        "others": same("label") & ~same("view"),
        "everything": everything,
        "sample": same("sample"),
        "kernel": kernel("label", lambda a, c: (a - c).abs().clamp(max=2)),
        "differing": differing("cluster") * ~same("sample"),
        "edges": edges(torch.tensor([0, 0, 3, 5]), torch.tensor([1, 10, 3, 0]), weights),
        "dense": dense(torch.rand(N, M, generator=make, dtype=torch.float64).sub(0.5).relu()),
        "learned": learned(Gate()) * same("label"),
        "nothing": ~everything,
    }


def reference(pairs: Pairs, relation: Relation, similarity: Similarity) -> tuple[list[list[float]], list[list[float]]]:
    """Similarities and weights of all pairs as lists of numbers; both are tested pair by pair elsewhere."""
    s, w = pairwise.matrix(pairs, relation, similarity)
    return s.tolist(), w.double().tolist()


def loops(s: list[list[float]], w: list[list[float]], t: Any, f: Any = lambda x: x) -> dict[str, list[float]]:
    """Every statistic by the book."""
    found: dict[str, list[float]] = {key: [] for key in ("logsumexp", "sum", "weight", "mean", "soft", "sum_of")}
    for i, (row, weights) in enumerate(zip(s, w, strict=True)):
        terms = [(x, weight, t(i, j)) for j, (x, weight) in enumerate(zip(row, weights, strict=True)) if weight > 0]
        total = math.fsum(weight * math.exp(x / u) for x, weight, u in terms)
        found["logsumexp"].append(math.log(total) if terms else -math.inf)
        found["sum"].append(math.fsum(weight * x / u for x, weight, u in terms))
        found["weight"].append(math.fsum(weight for _, weight, _ in terms))
        found["mean"].append(found["sum"][-1] / found["weight"][-1] if terms else 0.0)
        soft = math.fsum(weight * math.exp(x / u) * f(x) for x, weight, u in terms)
        found["soft"].append(soft / total if terms else 0.0)
        found["sum_of"].append(math.fsum(weight * f(x) for x, weight, _ in terms))
    return found


def close(actual: Tensor, expected: list[float], rtol: float = 1e-12) -> None:
    """Equal to 1e-12, where -inf equals -inf."""
    torch.testing.assert_close(
        actual.double(), torch.tensor(expected, dtype=torch.float64), rtol=rtol, atol=rtol, check_dtype=False
    )


@pytest.mark.parametrize("tile", [None, 1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("similarity", SIMILARITIES, ids=str)
def test_all_statistics_follow_their_loops(similarity: Similarity, tile: int | None) -> None:
    """For every similarity, relation and side of tiles."""
    for relation in relations().values():
        pairs = Pairs(*tables(), relation, relation)
        expected = loops(*reference(pairs, relation, similarity), lambda i, j: 0.7, math.sin)
        close(pairwise.logsumexp(pairs, relation, similarity, 0.7, tile=tile), expected["logsumexp"])
        sums, total = pairwise.weighted_sum(pairs, relation, similarity, 0.7, tile=tile)
        close(sums, expected["sum"])
        close(total, expected["weight"])
        close(pairwise.mean(pairs, relation, similarity, 0.7, tile=tile), expected["mean"])
        close(pairwise.softmax_mean(torch.sin, pairs, relation, similarity, 0.7, tile=tile), expected["soft"])
        close(pairwise.sum_of(torch.sin, pairs, relation, similarity, tile=tile), expected["sum_of"])
        close(pairwise.weight(pairs, relation), expected["weight"])


@pytest.mark.parametrize("tile", [None, 1, 4])
@pytest.mark.parametrize("similarity", SIMILARITIES, ids=str)
def test_topk_follows_a_sorted_loop(similarity: Similarity, tile: int | None) -> None:
    """Values descend, indices point at them, and what is missing is -inf and -1."""
    for relation in relations().values():
        pairs = Pairs(*tables(), relation, relation)
        s, w = reference(pairs, relation, similarity)
        values, indices = pairwise.topk(pairs, relation, 3, similarity, tile=tile)
        for i in range(N):
            best = sorted(((x, j) for j, x in enumerate(s[i]) if w[i][j] > 0), reverse=True)[:3]
            padded = best + [(-math.inf, -1)] * (3 - len(best))
            close(values[i], [x for x, _ in padded])
            assert indices[i].tolist() == [j for _, j in padded]


TEMPERATURES = {
    "number": lambda a, c: 0.3,
    "negative": lambda a, c: -0.5,
    "scalar": lambda a, c: torch.tensor(0.3, dtype=torch.float64),
    "rows": lambda a, c: a["heat"][:, None],
    "columns": lambda a, c: c["heat"][None, :],
    "one": lambda a, c: torch.full((1, 1), 0.3, dtype=torch.float64),
    "name": lambda a, c: "heat",
}


@pytest.mark.parametrize("tile", [None, 2, 5])
@pytest.mark.parametrize("name", TEMPERATURES)
@pytest.mark.parametrize("similarity", [Cosine(), NegativeDistance()], ids=str)
def test_every_kind_of_temperature(similarity: Similarity, name: str, tile: int | None) -> None:
    """A number, a scalar, one an anchor, one a candidate, or a column's name."""
    anchors, candidates = tables()
    temperature = TEMPERATURES[name](anchors, candidates)
    value = (
        candidates["heat"][None, :]
        if isinstance(temperature, str)
        else torch.as_tensor(temperature, dtype=torch.float64)
    )
    grid = value.expand(N, M).tolist()
    for relation in (same("label"), differing("cluster"), same("sample"), learned(Gate())):
        pairs = Pairs(anchors, candidates, relation, relation)
        expected = loops(*reference(pairs, relation, similarity), lambda i, j: grid[i][j])
        close(pairwise.logsumexp(pairs, relation, similarity, temperature, tile=tile), expected["logsumexp"])
        close(pairwise.mean(pairs, relation, similarity, temperature, tile=tile), expected["mean"])
        soft = pairwise.softmax_mean(lambda x: x, pairs, relation, similarity, temperature, tile=tile)
        close(soft, expected["soft"])


def test_a_row_may_use_its_own_threshold() -> None:
    """With `rowwise` the function learns which anchors a block holds."""
    relation = ~same("sample")
    pairs = Pairs(*tables(), relation, relation)
    threshold = torch.linspace(-1, 1, N, dtype=torch.float64)
    s, w = reference(pairs, relation, Cosine())
    expected = [sum(wij * max(x - threshold[i].item(), 0) for x, wij in zip(s[i], w[i], strict=True)) for i in range(N)]
    for tile in (None, 1, 4):
        hinge = pairwise.sum_of(
            lambda x, rows: (x - threshold[rows, None]).relu(), pairs, relation, tile=tile, rowwise=True
        )
        close(hinge, expected)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("tile", [None, 2])
def test_empty_and_tiny_tables(n: int, m: int, tile: int | None) -> None:
    """No row, no candidate, or one of them: shapes are right, and backward works."""
    anchors, candidates = tables(n, m)
    anchors = anchors.with_fields(z=anchors.z.requires_grad_())
    for relation in (same("view"), differing("cluster"), learned(Gate()), everything, same("sample")):
        pairs = Pairs(anchors, candidates, relation, relation)
        for similarity in (Cosine(), NegativeDistance(), MaxSim()):
            expected = loops(*reference(pairs, relation, similarity), lambda i, j: 1.0)
            value = pairwise.logsumexp(pairs, relation, similarity, tile=tile)
            close(value, expected["logsumexp"])
            mean = pairwise.mean(pairs, relation, similarity, tile=tile)
            close(mean, expected["mean"])
            close(pairwise.softmax_mean(lambda x: x, pairs, relation, similarity, tile=tile), expected["soft"])
            close(pairwise.sum_of(lambda x: x, pairs, relation, similarity, tile=tile), expected["sum"])
            values, indices = pairwise.topk(pairs, relation, 2, similarity, tile=tile)
            assert values.shape == indices.shape == (n, 2)
            close(pairwise.weight(pairs, relation), expected["weight"])
            total = value.masked_fill(value == -math.inf, 0).sum() + mean.sum()
            if total.requires_grad:
                (grad,) = torch.autograd.grad(total, anchors.z, allow_unused=True)
                assert grad is None or grad.isfinite().all()


def test_one_table_as_both_sides() -> None:
    """Anchors that are their own candidates, as in a batch of views."""
    table, _ = tables(8, 8)
    for relation in (same("label") & ~same("sample"), ~same("sample"), learned(Gate())):
        pairs = Pairs(table, table, relation, relation)
        for similarity in SIMILARITIES:
            expected = loops(*reference(pairs, relation, similarity), lambda i, j: 0.4)
            for tile in (None, 3):
                close(pairwise.logsumexp(pairs, relation, similarity, 0.4, tile=tile), expected["logsumexp"])
                close(pairwise.mean(pairs, relation, similarity, 0.4, tile=tile), expected["mean"])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_reduced_in_float32(kind: torch.dtype) -> None:
    """Inputs of half precision, and any CPU autocast around, leave results in float32 and exact for those inputs."""
    anchors, candidates = tables(40, 50, kind)
    wide = [Embeddings({k: v.float() for k, v in x.fields.items()}, x.columns) for x in (anchors, candidates)]
    relation = ~same("sample")
    for similarity in (Cosine(), Dot(), NegativeDistance(), MaxSim()):
        for tile in (None, 16):
            narrow = Pairs(anchors, candidates, relation, relation)
            expected = pairwise.logsumexp(Pairs(*wide, relation, relation), relation, similarity, 0.1, tile=tile)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                value = pairwise.logsumexp(narrow, relation, similarity, 0.1, tile=tile)
                sums = pairwise.weighted_sum(narrow, relation, similarity, 0.1, tile=tile)
            assert value.dtype == sums[0].dtype == sums[1].dtype == torch.float32
            torch.testing.assert_close(value, expected)


def test_tables_of_different_precision_meet_in_the_wider() -> None:
    """A float64 anchor may meet a float32 queue, with a temperature of either type."""
    anchors, _ = tables(9, 11)
    _, candidates = tables(9, 11, torch.float32)
    pairs = Pairs(anchors, candidates, everything, everything)
    for tile in (None, 4):
        for temperature in (torch.tensor(0.5), torch.full((9, 1), 0.5)):
            value = pairwise.logsumexp(pairs, everything, temperature=temperature, tile=tile)
            assert value.dtype == torch.float64


def test_mistakes_are_named() -> None:
    """Wrong temperatures, sides and counts have sentences of their own."""
    anchors, candidates = tables()
    pairs = Pairs(anchors, candidates, everything, everything)
    for temperature, sentence in [
        (0.0, "number other than 0"),
        (math.nan, "number other than 0, not nan"),
        (torch.ones(N), r"\(9, 1\) or \(1, 11\) here, not of shape \(9,\)"),
        (torch.ones(N, M), r"not of shape \(9, 11\)"),
        ("warmth", "column 'warmth', which the candidates lack; they have label"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            pairwise.logsumexp(pairs, everything, temperature=temperature)
    with pytest.raises(ValueError, match="k >= 1, not 0"):
        pairwise.topk(pairs, everything, 0)
    with pytest.raises(ValueError, match="side of at least 1, not 0"):
        pairwise.logsumexp(pairs, everything, tile=0)
    with pytest.raises(ValueError, match="which the anchors lack"):
        pairwise.logsumexp(pairs, same("colour"))
    with pytest.raises(ValueError, match="needs the field 'x'"):
        pairwise.mean(pairs, everything, Dot(field="x"))


def test_weights_alone_need_no_embedding() -> None:
    """`weight` counts candidates in tables without a field z."""
    table = Embeddings({"tokens": torch.ones(4, 2, 2)}, {"label": torch.tensor([0, 0, 1, 2])})
    pairs = Pairs(table, table, same("label"), ~same("label"))
    assert pairwise.weight(pairs, pairs.positives).tolist() == [2, 2, 1, 1]
    assert pairwise.weight(pairs, pairs.negatives).tolist() == [2, 2, 3, 3]
