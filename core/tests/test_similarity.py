"""Similarities against plain loops, for all pairs and for listed ones."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.similarity import (
    Cosine,
    Dot,
    GatedCosine,
    GatedDot,
    Given,
    MaxSim,
    NegativeDistance,
    Similarity,
    SquaredDistance,
    WeightedSum,
)


def tables() -> tuple[Embeddings, Embeddings]:
    """Five anchors and four candidates with vectors, tokens and given scores; the anchors have gates as well."""
    make = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=make, dtype=torch.float64)

    return (
        Embeddings(
            {
                "z": draw(5, 3),
                "tokens": draw(5, 2, 3),
                "scores": draw(5, 4),
                "other": draw(5, 2),
                "gate": draw(5, 3).sigmoid(),
            }
        ),
        Embeddings({"z": draw(4, 3), "tokens": draw(4, 6, 3), "other": draw(4, 2)}),
    )


def loop(similarity: Similarity, a: Embeddings, c: Embeddings, i: int, j: int) -> float:
    """The definition for one pair."""
    x, y = a.z[i], c.z[j]
    match similarity:
        case Dot():
            return float(sum(x * y))
        case Cosine():
            return float(sum(x * y) / (x.norm() * y.norm()))
        case GatedCosine():
            x, y = x * a["gate"][i], y * a["gate"][i]
            return float(sum(x * y) / (x.norm() * y.norm()))
        case GatedDot():
            return float(sum(x * y * a["gate"][i] ** 2) / (x.norm() * y.norm()))
        case NegativeDistance(power=power, normalise=unit):
            x, y = (x / x.norm(), y / y.norm()) if unit else (x, y)
            return float(-(sum((x - y) ** 2) ** (power / 2)))
        case SquaredDistance(normalise=unit):
            return loop(NegativeDistance(normalise=unit), a, c, i, j)
        case MaxSim():
            return float(sum(max(float(t @ u) for u in c["tokens"][j]) for t in a["tokens"][i]))
        case Given():
            return float(a["scores"][i, j])
        case WeightedSum(parts=parts, weights=weights):
            return sum(w * loop(part, a, c, i, j) for part, w in zip(parts, weights, strict=True))
    raise AssertionError(similarity)


ALL = [
    Dot(),
    Cosine(),
    NegativeDistance(),
    NegativeDistance(power=1.0),
    NegativeDistance(power=0.5),
    NegativeDistance(power=3.0, normalise=True),
    SquaredDistance(),
    SquaredDistance(normalise=True),
    WeightedSum([SquaredDistance(), SquaredDistance(normalise=True)], [0.5, 1.0]),
    WeightedSum([Dot(), Cosine()], [-0.5, 2.0]),
    MaxSim(),
    Given(),
    GatedCosine(),
    GatedDot(),
    WeightedSum([GatedDot(), Cosine(), GatedCosine()], [1.0, -0.5, 2.0]),
    WeightedSum([Given(), Dot(), WeightedSum([MaxSim(), Given()], [1.0, 3.0])], [0.5, -2.0, 1.0]),
]


@pytest.mark.parametrize("similarity", ALL, ids=str)
def test_pairs_and_lists_follow_the_definition(similarity: Similarity) -> None:
    """`between`, `listed`, and the base class's own `listed` give the loop's numbers."""
    anchors, candidates = tables()
    similarity.check(anchors, candidates)
    a, c = similarity.prepare(anchors), similarity.prepare_candidates(candidates)
    assert len(a) == similarity.tensors
    expected = torch.tensor(
        [[loop(similarity, anchors, candidates, i, j) for j in range(4)] for i in range(5)], dtype=torch.float64
    )
    torch.testing.assert_close(similarity.between(a, c), expected, rtol=1e-12, atol=1e-14)
    i, j = torch.tensor([0, 4, 2]), torch.tensor([3, 0, 2])
    rows = tuple(x[i] for x in a), tuple(x[j] for x in c)
    torch.testing.assert_close(similarity.listed(*rows), expected[i, j], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(Similarity.listed(similarity, *rows), expected[i, j], rtol=1e-12, atol=1e-14)
    nothing = tuple(x[:0] for x in a), tuple(x[:0] for x in c)
    assert similarity.listed(*nothing).shape == Similarity.listed(similarity, *nothing).shape == (0,)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_equal_rows_have_a_gradient_of_zero(power: float) -> None:
    """No power of a distance of 0 gives NaN."""
    z = torch.ones(2, 3, requires_grad=True)
    table = Embeddings.of(z)
    similarity = NegativeDistance(power=power)
    rows = similarity.prepare(table)
    for value in (similarity.between(rows, rows), similarity.listed(rows, rows)):
        (grad,) = torch.autograd.grad(value.sum(), z)
        assert torch.equal(grad, torch.zeros_like(z))


def test_small_distances_keep_their_digits() -> None:
    """Two long float32 rows that differ in the last digits still have the right distance."""
    a, c = torch.full((1, 4), 1000.0), torch.full((1, 4), 1000.5)
    assert NegativeDistance().between((a,), (c,)).item() == -1.0


def test_a_zero_vector_is_at_right_angles_to_everything() -> None:
    """Cosine of a row of zeros is 0, with a finite gradient."""
    z = torch.zeros(1, 3, requires_grad=True)
    rows = Cosine().prepare(Embeddings.of(z))
    value = Cosine().between(rows, rows)
    assert value.item() == 0
    assert torch.autograd.grad(value.sum(), z)[0].isfinite().all()


def test_a_sum_of_inner_products_is_one() -> None:
    """One tensor a side, the same for both sides unless a part or a negative weight tells them apart."""
    alike, mixed = WeightedSum([Dot(), Cosine()], [0.5, 2.0]), WeightedSum([Dot(), MaxSim()], [0.5, 2.0])
    assert (alike.bilinear, alike.tensors, alike.two_sided) == (True, 1, False)
    assert (mixed.bilinear, mixed.tensors, mixed.two_sided) == (False, 2, False)
    assert WeightedSum([Dot(), Cosine()], [0.5, -2.0]).two_sided
    assert WeightedSum([Dot(), SquaredDistance()], [0.5, 2.0]).two_sided


@pytest.mark.parametrize("similarity", [GatedCosine(), GatedDot()], ids=str)
def test_behind_a_closed_gate_nothing_is_alike(similarity: Similarity) -> None:
    """A gate that is 0 everywhere, or everywhere that a vector is not 0, gives 0 and finite gradients."""
    z, gate = torch.eye(2, requires_grad=True), torch.tensor([[0.0, 0.0], [0.0, 1.0]], requires_grad=True)
    anchors, candidates = Embeddings({"z": z, "gate": gate}), Embeddings.of(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    value = similarity.between(similarity.prepare(anchors), similarity.prepare_candidates(candidates))
    assert torch.equal(value, torch.zeros(2, 2))
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value.sum(), (z, gate)))


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_a_cosine_behind_a_gate_does_not_depend_on_the_gates_length(factor: float) -> None:
    """Though the squares of its entries would leave the range of float32."""
    make = torch.Generator().manual_seed(0)
    z, gate, c = torch.randn(3, 2, 4, generator=make)
    similarity = GatedCosine()
    expected, found = (
        similarity.between(
            similarity.prepare(Embeddings({"z": z, "gate": gate * by})),
            similarity.prepare_candidates(Embeddings.of(c)),
        )
        for by in (1.0, factor)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_normalised_in_float32(kind: torch.dtype) -> None:
    """Squares of half-precision entries would overflow."""
    rows = Cosine().prepare(Embeddings.of(torch.full((1, 4), 300.0).to(kind)))[0]
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows, torch.full((1, 4), 0.5))


def test_mistakes_are_named() -> None:
    """Similarity, side, field and shapes stand in the message."""
    anchors, candidates = tables()
    for similarity, sentence in [
        (Dot(field="x"), r"Dot\(field='x'\) needs the field 'x', which the anchors lack; they have z, tokens"),
        (Cosine(field="scores"), "which the candidates lack"),
        (Cosine(field="tokens"), r"compares vectors .*\(5, 2, 3\)"),
        (MaxSim(field="z"), r"compares tokens .*\(5, 3\)"),
        (GatedCosine(gate="x"), "needs the field 'x', which the anchors lack"),
        (GatedDot(gate="other"), r"a gate of the shape of the anchors, \(5, 3\), not \(5, 2\)"),
        (GatedDot(field="tokens"), r"compares vectors .*\(5, 2, 3\)"),
        (Given(field="other"), r"one score for each pair, \(5, 4\), not \(5, 2\)"),
        (WeightedSum([Dot(), Dot(field="x")], [1, 1]), "'x'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            similarity.check(anchors, candidates)
    with pytest.raises(ValueError, match="2 similarities need as many weights, not 1"):
        WeightedSum([Dot(), Dot()], [1.0])
    with pytest.raises(ValueError, match="power > 0"):
        NegativeDistance(power=0.0)
