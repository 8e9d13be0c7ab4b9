"""Gradients: exact in tiles and on every road, finite where rows are empty, logits huge, or values infinite."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.additive import additive_scores
from contrast_core.relations import Relation, differing, edges, everything, kernel, learned, same
from contrast_core.similarity import Cosine, Dot, Given, MaxSim, NegativeDistance, Similarity


class Net(nn.Module):
    """sigmoid(v . tanh(W a + W c + b)): weights from a small network of two rows."""

    def __init__(self) -> None:
        super().__init__()
        make = torch.Generator().manual_seed(3)
        self.first = nn.Parameter(torch.randn(5, 3, generator=make, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(5, generator=make, dtype=torch.float64))
        self.second = nn.Parameter(torch.randn(5, generator=make, dtype=torch.float64))

    def forward(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights of broadcastable rows."""
        hidden = torch.tanh(a @ self.first.T + c @ self.first.T + self.bias)
        return torch.sigmoid(hidden @ self.second)


class Staged(Net):
    """The same network, rows first."""

    def anchor_rows(self, z: Tensor) -> Tensor:
        """The anchors' projection."""
        return z @ self.first.T

    def candidate_rows(self, z: Tensor) -> Tensor:
        """The candidates' projection."""
        return z @ self.first.T + self.bias

    def between(self, a: Tensor, c: Tensor) -> Tensor:
        """Weights of projected rows."""
        return torch.sigmoid(additive_scores(a, c, self.second))


def columns(rows: int) -> dict[str, Tensor]:
    """Labels of which the anchors' last has no partner, samples, and clusters."""
    number = torch.arange(rows)
    return {"label": number % 3, "sample": number, "cluster": torch.stack([number % 2, number % 3], 1)}


def draw(*shape: int, seed: int = 0, kind: torch.dtype = torch.float64) -> Tensor:
    """A leaf that wants a gradient."""
    make = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=make, dtype=torch.float64).to(kind).requires_grad_()


def pairs_of(a: Tensor, c: Tensor, relation: Relation, name: str = "z") -> Pairs:
    """Pairs whose last anchor has a label of its own."""
    ours = columns(len(a))
    ours["label"][-1] = 77
    return Pairs(Embeddings({name: a}, ours), Embeddings({name: c}, columns(len(c))), relation, relation)


Value = Callable[[Pairs, Relation, Similarity, Tensor, int | None], Tensor]
STATISTICS: dict[str, Value] = {
    "logsumexp": lambda p, r, s, t, tile: finite(pairwise.logsumexp(p, r, s, t, tile=tile)),
    "weighted_sum": lambda p, r, s, t, tile: torch.cat(pairwise.weighted_sum(p, r, s, t, tile=tile)),
    "mean": lambda p, r, s, t, tile: pairwise.mean(p, r, s, t, tile=tile),
    "softmax_mean": lambda p, r, s, t, tile: pairwise.softmax_mean(torch.sin, p, r, s, t, tile=tile),
    "sum_of": lambda p, r, s, t, tile: pairwise.sum_of(lambda x: torch.sin(x / t), p, r, s, tile=tile),
    "topk": lambda p, r, s, t, tile: finite(pairwise.topk(p, r, 2, s, tile=tile)[0]) / t,
}


def finite(value: Tensor) -> Tensor:
    """Rows without candidates left out, as an objective does."""
    return value[value.isfinite()]


def relations() -> dict[str, Relation]:
    """One of each kind that takes another road through the engine."""
    weights = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    return {
        "boolean": same("label") & ~same("sample"),
        "everything": everything,
        "bytes": differing("cluster"),
        "weighted": kernel("label", lambda a, c: (a - c).abs() / 3),
        "listed": edges(torch.tensor([0, 2, 2]), torch.tensor([1, 0, 3]), weights),
        "learned": learned(Net()),
        "staged": learned(Staged()) * ~same("sample"),
    }


@pytest.mark.parametrize("tile", [None, 2, 3])
@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("kind", relations())
def test_gradients_match_finite_differences(statistic: str, kind: str, tile: int | None) -> None:
    """With respect to anchors, candidates and a learned temperature."""
    relation = relations()[kind]
    for similarity in (Cosine(), Dot(), NegativeDistance()):
        a, c = draw(4, 3), draw(5, 3, seed=1)
        t = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)

        def value(a: Tensor, c: Tensor, t: Tensor, similarity: Similarity = similarity) -> Tensor:
            return STATISTICS[statistic](pairs_of(a, c, relation), relation, similarity, t, tile)

        assert torch.autograd.gradcheck(value, (a, c, t), nondet_tol=1e-12)


@pytest.mark.parametrize("tile", [None, 2])
@pytest.mark.parametrize("shape", [(4, 1), (1, 5), (1, 1)])
def test_temperatures_of_rows_learn(shape: tuple[int, int], tile: int | None) -> None:
    """Each entry of a temperature (n, 1) or (1, m) has its gradient."""
    a, c, t = draw(4, 3), draw(5, 3, seed=1), draw(*shape, seed=2).detach().abs().add(0.5).requires_grad_()
    for relation in (same("label"), everything, learned(Net())):
        for statistic in (pairwise.logsumexp, pairwise.mean):

            def value(a: Tensor, c: Tensor, t: Tensor, relation=relation, f=statistic) -> Tensor:  # type: ignore[no-untyped-def]
                return finite(f(pairs_of(a, c, relation), relation, temperature=t, tile=tile))

            assert torch.autograd.gradcheck(value, (a, c, t), nondet_tol=1e-12)


@pytest.mark.parametrize("tile", [None, 2])
@pytest.mark.parametrize("module", [Net, Staged])
def test_a_learned_relation_learns(module: type[Net], tile: int | None) -> None:
    """The module's parameters have exact gradients, also through the weights' sum and a product of relations."""
    net = module()
    relation = learned(net) * ~same("sample")
    pairs = pairs_of(draw(4, 3), draw(5, 3, seed=1), relation)
    start = [p.detach().clone().requires_grad_() for p in net.parameters()]

    def value(*parameters: Tensor) -> Tensor:
        names = [name for name, _ in net.named_parameters()]
        for name, parameter in zip(names, parameters, strict=True):
            object.__delattr__(net, name) if name in net.__dict__ else net._parameters.pop(name, None)
            object.__setattr__(net, name, parameter)
        parts = [
            pairwise.logsumexp(pairs, relation, tile=tile),
            pairwise.softmax_mean(torch.sin, pairs, relation, tile=tile),
            pairwise.weight(pairs, relation),
        ]
        for name, parameter in zip(names, start, strict=True):
            object.__delattr__(net, name)
            net._parameters[name] = nn.Parameter(parameter.detach())
        return torch.cat(parts)

    # Without a recomputation, parameters that were put in by hand are gone when backward needs them.
    if tile is None:
        assert torch.autograd.gradcheck(value, start)
        return
    outputs = [
        torch.autograd.grad(pairwise.logsumexp(pairs, relation, tile=side).sum(), list(net.parameters()))
        for side in (None, tile)
    ]
    for dense, tiled in zip(*outputs, strict=True):
        torch.testing.assert_close(tiled, dense, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("tile", [1, 5, 16, 64])
def test_tiles_equal_the_dense_way(kind: torch.dtype, tolerance: float, tile: int) -> None:
    """Values and gradients, to the precision of the type."""
    for name, relation in relations().items():
        for similarity in (Cosine(), Dot(), NegativeDistance(), NegativeDistance(power=1.0)):
            for statistic, function in STATISTICS.items():
                results = []
                for side in (None, tile):
                    a, c, t = draw(33, 3, kind=kind), draw(41, 3, seed=1, kind=kind), torch.tensor(0.3, dtype=kind)
                    if "learned" in str(relation):
                        a, c = (x.detach().double().requires_grad_() for x in (a, c))
                    t.requires_grad_()
                    value = function(pairs_of(a, c, relation), relation, similarity, t, side)
                    weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype).reshape(value.shape)
                    results.append([value, *torch.autograd.grad((value * weights).sum(), (a, c, t))])
                for dense, tiled in zip(*results, strict=True):
                    scale = max(float(dense.detach().abs().max()), 1.0)
                    message = f"{name} {similarity} {statistic}"
                    difference = float((dense - tiled).detach().abs().max())
                    assert difference <= tolerance * scale, message


@pytest.mark.parametrize("tile", [None, 2])
@pytest.mark.parametrize("similarity", [Dot(), NegativeDistance()], ids=str)
@pytest.mark.parametrize("kind", ["boolean", "bytes", "weighted", "listed", "learned"])
def test_rows_without_candidates_have_no_gradient(similarity: Similarity, kind: str, tile: int | None) -> None:
    """-inf or 0 for such a row, gradients exactly 0 and finite, also when what follows turns -inf into NaN."""
    relation = relations()[kind] * same("label")
    for function in STATISTICS:
        if function in ("topk", "weighted_sum"):
            continue
        a, c = draw(5, 3), draw(6, 3, seed=1)
        pairs = pairs_of(a, c, relation)
        t = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        if function == "logsumexp":
            rows = pairwise.logsumexp(pairs, relation, similarity, t, tile=tile)
            assert rows[-1] == -math.inf
            harm = rows * 0 + rows.exp() / (rows - rows[-1])
            rows = torch.where(rows.isfinite(), harm.nan_to_num(), 0.0) + rows.masked_fill(rows == -math.inf, 0)
        else:
            rows = STATISTICS[function](pairs, relation, similarity, t, tile)
            assert rows[-1] == 0
        grads = torch.autograd.grad(rows.sum(), (a, c, t), allow_unused=True)
        assert all(grad is None or grad.isfinite().all() for grad in grads), function
        assert torch.equal(grads[0][-1], torch.zeros_like(a[-1]))


@pytest.mark.parametrize("tile", [None, 3])
def test_no_overflow_for_tiny_temperatures_and_huge_products(tile: int | None) -> None:
    """Temperature 0.005, and float32 products of 1e4: the result is float64's, gradients are finite."""
    for scale, temperature, similarity in (
        (1.0, 0.005, Cosine()),
        (100.0, 1.0, Dot()),
        (1.0, 0.005, NegativeDistance()),
    ):
        for relation in (everything, ~same("sample"), differing("cluster"), relations()["weighted"]):
            results = []
            for kind in (torch.float32, torch.float64):
                a = (draw(7, 3, kind=kind).detach() * scale).requires_grad_()
                c = (draw(8, 3, seed=1, kind=kind).detach() * scale).requires_grad_()
                value = pairwise.logsumexp(pairs_of(a, c, relation), relation, similarity, temperature, tile=tile)
                grads = torch.autograd.grad(value.sum(), (a, c))
                assert all(x.isfinite().all() for x in grads)
                results.append([value.detach().double(), *(x.double() for x in grads)])
            torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("tile", [None, 1, 2])
@pytest.mark.parametrize("kind", ["boolean", "bytes", "weighted", "learned"])
def test_a_masked_maximum_does_not_hide_the_related(kind: str, tile: int | None) -> None:
    """An unrelated logit of +1000 leaves related ones of -1000 exact."""
    a = torch.tensor([[1.0], [1.0], [1.0]], dtype=torch.float64).requires_grad_()
    c = torch.tensor([[1000.0], [-1000.0], [-1001.0]], dtype=torch.float64).requires_grad_()
    weights = torch.tensor([[0.0, 1.0, 1.0]] * 3, dtype=torch.float64)
    table = Embeddings({"z": a}, {"sample": torch.zeros(3, dtype=torch.long)})
    others = Embeddings({"z": c}, {"sample": torch.tensor([0, 1, 1])})
    relation = {
        "boolean": ~same("sample"),
        "bytes": differing("sample"),
        "weighted": kernel("sample", lambda x, y: (x != y).double()),
        "learned": edges(torch.arange(9) // 3, torch.arange(9) % 3, weights.flatten().requires_grad_()),
    }[kind]
    pairs = Pairs(table, others, relation, relation)
    value = pairwise.logsumexp(pairs, relation, Dot(), tile=tile)
    expected = -1000 + math.log1p(math.exp(-1))
    torch.testing.assert_close(value, torch.full((3,), expected, dtype=torch.float64), rtol=1e-14, atol=0)
    (grad,) = torch.autograd.grad(value.sum(), c)
    share = 3 / (1 + math.exp(-1))
    torch.testing.assert_close(grad[:, 0], torch.tensor([0, share, 3 - share], dtype=torch.float64))
    soft = pairwise.softmax_mean(torch.exp, pairs, relation, Dot(), tile=tile)
    assert torch.equal(soft, torch.zeros_like(soft))


def test_very_small_weights_keep_their_digits() -> None:
    """Weights of 1e-30 in float32 times exp(-30) would be lost; the engine notices and shifts."""
    a, c = torch.ones(3, 1), torch.full((4, 1), -30.0)
    relation = kernel("label", lambda x, y: torch.full(torch.broadcast_shapes(x.shape, y.shape), 1e-30))
    value = pairwise.logsumexp(pairs_of(a, c, relation), relation, Dot(), tile=2)
    torch.testing.assert_close(value, torch.full((3,), math.log(4e-30) - 30))


@pytest.mark.parametrize("tile", [None, 2])
def test_an_infinite_slope_at_unrelated_pairs_harms_nothing(tile: int | None) -> None:
    """log of a similarity of 0 is infinite, but not related; the same for given scores of -inf."""
    relation = ~same("sample")
    scores = torch.eye(4).sub(1).neg().requires_grad_()
    table = Embeddings({"scores": scores}, columns(4))
    pairs = Pairs(table, table, relation, relation)
    for value in (
        pairwise.sum_of(torch.log, pairs, relation, Given(), tile=tile),
        pairwise.softmax_mean(torch.log, pairs, relation, Given(), tile=tile),
    ):
        assert torch.equal(value, torch.zeros(4))
        assert torch.autograd.grad(value.sum(), scores)[0].isfinite().all()
    holes = torch.zeros(4, 4).fill_diagonal_(-math.inf).requires_grad_()
    table = Embeddings({"scores": holes}, columns(4))
    pairs = Pairs(table, table, relation, relation)
    assert pairwise.mean(pairs, relation, Given(), tile=tile).tolist() == [0] * 4
    value = pairwise.logsumexp(pairs, relation, Given(), tile=tile)
    torch.testing.assert_close(value, torch.full((4,), math.log(3)))
    assert torch.autograd.grad(value.sum(), holes)[0].isfinite().all()


@pytest.mark.parametrize("tile", [None, 2])
@pytest.mark.parametrize("similarity", [Cosine(), NegativeDistance(), MaxSim(field="z")], ids=str)
def test_only_what_wants_a_gradient_gets_one(similarity: Similarity, tile: int | None) -> None:
    """Frozen candidates (a queue) or frozen anchors, and inputs that are not contiguous."""
    shape = (3, 2, 5) if isinstance(similarity, MaxSim) else (3, 5)
    turned = [draw(*shape, seed=s).detach().transpose(0, -1) for s in (0, 1)]
    assert not turned[0].is_contiguous()
    for relation in (everything, same("label"), same("sample")):
        for frozen in (0, 1):
            grads = []
            for x in (turned, [y.contiguous() for y in turned]):
                tables = [y.clone(memory_format=torch.preserve_format) for y in x]
                leaf = tables[1 - frozen].requires_grad_()
                pairs = pairs_of(tables[0], tables[1], relation)
                value = finite(pairwise.logsumexp(pairs, relation, similarity, tile=tile)).sum()
                value = value + pairwise.mean(pairs, relation, similarity, tile=tile).sum()
                grads.append(torch.autograd.grad(value, leaf)[0])
            torch.testing.assert_close(grads[0], grads[1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("tile", [None, 2])
def test_one_table_as_both_sides_adds_up_both_gradients(tile: int | None) -> None:
    """Rows that are anchors and candidates get both parts."""
    z = draw(6, 3)
    relation = same("label") & ~same("sample")

    def value(z: Tensor) -> Tensor:
        table = Embeddings({"z": z}, columns(6))
        pairs = Pairs(table, table, relation, ~relation)
        return pairwise.logsumexp(pairs, ~relation, tile=tile) - pairwise.mean(pairs, relation, tile=tile)

    assert torch.autograd.gradcheck(value, (z,), nondet_tol=1e-12)


@pytest.mark.parametrize("statistic", ["logsumexp", "weighted_sum", "mean", "softmax_mean", "sum_of"])
@pytest.mark.parametrize("kind", ["boolean", "bytes", "weighted", "listed", "learned", "staged"])
def test_second_derivatives_are_exact(statistic: str, kind: str) -> None:
    """On every road: hand-written paths turn to plain autograd when a graph of the gradient is asked for."""
    relation = relations()[kind]
    seconds = []
    for tile in (None, 2):
        a, c = draw(4, 3), draw(5, 3, seed=1)
        t = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        value = STATISTICS[statistic](pairs_of(a, c, relation), relation, Dot(), t, tile)
        first = torch.autograd.grad(value.square().sum(), (a, c), create_graph=True)
        penalty = sum(x.square().sum() for x in first) + a.sum() + c.sum()
        seconds.append(torch.autograd.grad(penalty, (a, c, t)))
    for dense, tiled in zip(*seconds, strict=True):
        torch.testing.assert_close(tiled, dense, rtol=1e-10, atol=1e-12)


def test_second_derivatives_match_finite_differences() -> None:
    """The dense way, and additive scores, differentiate twice."""
    relation = same("label")
    a, c = draw(4, 3), draw(5, 3, seed=1)

    def value(a: Tensor, c: Tensor) -> Tensor:
        return finite(pairwise.logsumexp(pairs_of(a, c, relation), relation, Dot(), 0.5, tile=2))

    assert torch.autograd.gradgradcheck(value, (a, c), nondet_tol=1e-12)
    rows = (draw(3, 1, 4), draw(1, 5, 4, seed=1), draw(4, seed=2))
    assert torch.autograd.gradgradcheck(additive_scores, rows)


def test_nan_is_passed_on() -> None:
    """An embedding of NaN gives a loss of NaN, never a number that looks right."""
    a, c = torch.ones(4, 3), torch.ones(5, 3)
    c[0, 0] = math.nan
    for tile in (None, 2):
        value = pairwise.logsumexp(pairs_of(a, c, everything), everything, Dot(), tile=tile)
        assert value.isnan().all()


@pytest.mark.parametrize("statistic", [pairwise.logsumexp, pairwise.mean])
def test_a_column_changed_before_backward_is_refused(statistic: Callable[..., Tensor]) -> None:
    """A queue that overwrites its rows between forward and backward would give wrong gradients silently."""
    relation = differing("cluster")
    pairs = pairs_of(draw(4, 3), draw(5, 3, seed=1), relation)
    value = statistic(pairs, relation, tile=2).sum()
    pairs.candidates["cluster"][0] = 9
    with pytest.raises(RuntimeError, match="changed in place between the forward and the backward"):
        value.backward()


def test_additive_scores_equal_their_definition() -> None:
    """Tiles by hand, with safe and with large inputs, and any other shape by autograd."""
    for scale in (1.0, 30.0):
        a, c, v = (draw(*shape, seed=s) for s, shape in enumerate([(3, 1, 4), (1, 5, 4), (4,)]))
        a, c = ((x.detach() * scale).requires_grad_() for x in (a, c))
        torch.testing.assert_close(additive_scores(a, c, v), torch.tanh(a + c) @ v, rtol=1e-12, atol=1e-14)
        grads = [torch.autograd.grad(f(a, c, v).sin().sum(), (a, c, v)) for f in (additive_scores, _plain)]
        for ours, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(additive_scores(a[:, 0], c[0, :3], v), torch.tanh(a[:, 0] + c[0, :3]) @ v)
    a, c = (draw(*shape) for shape in [(3, 1, 4), (1, 5, 4)])
    assert torch.autograd.gradcheck(additive_scores, (a, c, v))


def _plain(a: Tensor, c: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(a + c) @ v
