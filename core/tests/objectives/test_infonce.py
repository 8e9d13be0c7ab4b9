"""InfoNCE and DCL: against plain formulas, with weights, learned temperatures and rows that don't count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.infonce import DCL, InfoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation, dense, edges, everything, kernel, learned, same
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Dot

Make = Callable[..., Any]


def cosine(a: Tensor, c: Tensor) -> Tensor:
    """All cosines."""
    return nn.functional.normalize(a, dim=1) @ nn.functional.normalize(c, dim=1).T


def paired(a: Tensor, c: Tensor, positives: Relation, negatives: Relation) -> Pairs:
    """Pairs of two bare tables."""
    return Pairs(Embeddings.of(a), Embeddings.of(c), positives, negatives)


def check(found: Tensor, expected: Tensor, *leaves: Tensor, tolerance: float = 1e-12) -> None:
    """Equal values and gradients."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    ours = torch.autograd.grad(found, leaves, retain_graph=True)
    plain = torch.autograd.grad(expected, leaves, retain_graph=True)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_tiles_equal_the_plain_formula(run: Make, table: Make, rows: Make) -> None:
    """At 600 rows the engine works in tiles; NT-Xent is the same as by cross-entropy on a dense matrix."""
    z, n = rows(600, 12), 300
    term = run(InfoNCE(temperature=0.2), TwoViews(), one=table(z[:n]), two=table(z[n:]))
    logits = cosine(z, z) / 0.2
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    target = (torch.arange(2 * n) + n) % (2 * n)
    check(term.value, nn.functional.cross_entropy(logits, target), z)


def test_decoupled_leaves_the_positive_out_of_the_denominator(run: Make, table: Make, rows: Make) -> None:
    """DCL at 600 anchors against the dense formula."""
    a, c = rows(600, 6, 1), rows(600, 6, 2)
    term = run(DCL(temperature=0.3), Cross(), one=table(a), two=table(c))
    logits = cosine(a, c) / 0.3
    others = logits.masked_fill(torch.eye(600, dtype=torch.bool), -torch.inf)
    check(term.value, (others.logsumexp(1) - logits.diagonal()).mean(), a, c)


def test_weights_multiply_inside_of_the_sum(on: Make, rows: Make) -> None:
    """A weighted negative adds w exp(l); the positive stays at weight one, whatever weights there are."""
    a, c = rows(5, seed=1), rows(7, seed=2)
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(5, 7, generator=generator, dtype=torch.float64)
    shares = torch.rand(5, 7, generator=generator, dtype=torch.float64) * (torch.rand(5, 7, generator=generator) < 0.3)
    shares[:, 0] = 0.7
    logits = cosine(a, c) / 0.5
    mean = (shares * logits).sum(1) / shares.sum(1)
    denominator = (torch.where(shares > 0, 1.0, weights) * logits.exp()).sum(1).log()
    pairs = paired(a, c, dense(shares), dense(weights))
    check(on(InfoNCE(temperature=0.5), pairs).value, (denominator - mean).mean(), a, c)
    check(on(DCL(temperature=0.5), pairs).value, ((weights * logits.exp()).sum(1).log() - mean).mean(), a, c)


def test_a_candidate_that_is_positive_and_negative_counts_once(on: Make, rows: Make) -> None:
    """Overlap changes nothing, for boolean relations and for weighted ones of weight 1."""
    a, c, own = rows(6, seed=1), rows(6, seed=2), edges(torch.arange(6), torch.arange(6))
    apart = on(InfoNCE(), paired(a, c, own, ~own)).value
    for negatives in (everything, dense(torch.ones(6, 6, dtype=torch.float64))):
        check(on(InfoNCE(), paired(a, c, own, negatives)).value, apart, a, c)


def test_normalised_weights_ignore_their_scale(on: Make, rows: Make) -> None:
    """Weights a thousandth as large give the same loss; weights of one give the usual one, up to their
    share."""
    a, c, own = rows(6, seed=1), rows(6, seed=2), edges(torch.arange(6), torch.arange(6))
    weights = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kind in (InfoNCE, DCL):
        objective = kind(normalise_weights=True)
        large = on(objective, paired(a, c, own, dense(weights)))
        small = on(objective, paired(a, c, own, dense(weights * 1e-3)))
        check(small.value, large.value, a, c)
        assert small.scalars["weight_mean"] == pytest.approx(float(weights.mean()) * 1e-3)
    flat = paired(a, c, own, dense(torch.ones(6, 6, dtype=torch.float64)))
    torch.testing.assert_close(on(DCL(normalise_weights=True), flat).value, on(DCL(), flat).value)


def test_learned_weights_get_gradients_and_are_logged(on: Make, rows: Make) -> None:
    """AdaMEOW's form: weights of a module, the anchor's own positive among them, gradients everywhere."""
    a, c, own = rows(6, seed=1), rows(6, seed=2), edges(torch.arange(6), torch.arange(6))
    layer = nn.Linear(8, 1).double()

    def weigh(x: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(layer(x + y)).squeeze(-1)

    term = on(DCL(temperature=1.0), paired(a, c, own, learned(weigh)))
    logits, weights = cosine(a, c), weigh(a[:, None], c[None])
    expected = ((weights * logits.exp()).sum(1).log() - logits.diagonal()).mean()
    check(term.value, expected, a, c, *layer.parameters())
    assert term.scalars["weight_mean"] == pytest.approx(float(weights.detach().mean()))


def test_a_learned_temperature_has_an_exact_gradient(run: Make, table: Make, rows: Make) -> None:
    """d loss / d log(1/t) is that of the plain formula, and an update beyond the limit is put back to it."""
    a, c = rows(300, seed=1), rows(300, seed=2)
    objective = InfoNCE(temperature=0.07, learnable_temperature=True, directions="both")
    (log_scale,) = objective.parameters()
    term = run(objective, Cross(), one=table(a), two=table(c))
    logits = cosine(a, c) * log_scale.exp()
    target = torch.arange(300)
    expected = (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(term.value, expected, rtol=1e-6, atol=1e-6)
    (ours,) = torch.autograd.grad(term.value, log_scale, retain_graph=True)
    (plain,) = torch.autograd.grad(expected, log_scale)
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)
    assert term.scalars["temperature"] == pytest.approx(0.07)
    with torch.no_grad():
        log_scale.fill_(9.0)
    objective.after_update()
    assert float(log_scale.detach().exp()) == pytest.approx(100.0)
    term = run(objective, Cross(), one=table(a), two=table(c))
    assert float(torch.autograd.grad(term.value, log_scale)[0]) != 0.0


def test_temperatures_that_make_no_sense_are_refused() -> None:
    """Zero, negative, or colder than learning may reach."""
    for temperature in (0.0, -1.0):
        with pytest.raises(ValueError, match="must be positive"):
            InfoNCE(temperature=temperature)
    with pytest.raises(ValueError, match="maximum_scale"):
        InfoNCE(temperature=0.005, learnable_temperature=True)


def test_rows_that_do_not_count_are_counted(on: Make, rows: Make) -> None:
    """A row without positives is dropped; DCL drops one without negatives too; the rest is averaged alone."""
    a, c = rows(3, seed=1), rows(4, seed=2)
    positives = edges(torch.tensor([0, 1]), torch.tensor([0, 1]))
    negatives = edges(torch.tensor([0, 2]), torch.tensor([2, 3]))
    pairs = paired(a, c, positives, negatives)
    logits = cosine(a, c) / 0.1
    first = torch.logaddexp(logits[0, 0], logits[0, 2]) - logits[0, 0]
    term = on(InfoNCE(), pairs)
    check(term.value, first / 2, a, c)
    assert (term.rows, term.dropped) == (2, 1)
    decoupled = on(DCL(), pairs)
    check(decoupled.value, logits[0, 2] - logits[0, 0], a, c)
    assert (decoupled.rows, decoupled.dropped) == (1, 2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [InfoNCE, DCL])
@pytest.mark.parametrize(("n", "m"), [(3, 4), (0, 4), (3, 0), (0, 0), (300, 300)])
def test_without_any_row_the_loss_is_a_zero_with_a_gradient(
    on: Make, rows: Make, kind: Any, n: int, m: int, weighted: bool
) -> None:
    """Nothing to learn from is no error and no NaN."""
    a, c, nobody = rows(n, seed=1), rows(m, seed=2), ~everything
    negatives = dense(torch.zeros(n, m, dtype=torch.float64)) if weighted else nobody
    for directions in ("one", "both"):
        term = on(kind(directions=directions, normalise_weights=weighted), paired(a, c, nobody, negatives))
        term.value.backward()
        assert (float(term.value.detach()), term.rows) == (0.0, 0)
        assert a.grad is not None
        assert c.grad is not None
        assert not a.grad.any()
        assert not c.grad.any()


@pytest.mark.parametrize("temperature", [0.005, 10.0])
@pytest.mark.parametrize("n", [8, 300])
def test_extreme_temperatures_and_duplicates_stay_finite(
    run: Make, table: Make, rows: Make, temperature: float, n: int
) -> None:
    """Also in float32, where exp(1 / 0.005) overflows, and where all rows are one."""
    z = rows(n).detach().float()
    z[1::2] = z[0]
    z.requires_grad_()
    for sampler, objective in (
        (TwoViews(), InfoNCE(temperature=temperature)),
        (Cross(), DCL(temperature=temperature)),
    ):
        value = run(objective, sampler, one=table(z), two=table(z * 2)).value
        (gradient,) = torch.autograd.grad(value, z)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_kernel_weights_in_tiles_equal_the_plain_formula(on: Make, rows: Make) -> None:
    """A weighted relation of columns at 600 rows."""
    a, c = rows(600, 6, 1), rows(600, 6, 2)
    label = torch.arange(600) % 7
    weights = (label[:, None] - label[None]).abs().double()
    tables = [Embeddings.of(z, label=label, sample=torch.arange(600)) for z in (a, c)]
    relation = kernel("label", lambda x, y: (x - y).abs().double())
    logits = (a @ c.T) / 4.0
    expected = ((weights * logits.exp()).sum(1).log() - logits.diagonal()).mean()
    objective = DCL(temperature=4.0, similarity=Dot())
    check(on(objective, Pairs(*tables, same("sample"), relation)).value, expected, a, c, tolerance=1e-10)
