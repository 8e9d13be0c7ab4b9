"""Encoder, context aggregation and attention, against the authors' values and plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import elu, normalize, prelu

from contrast_graph.layers import (
    ContextAggregation,
    GraphConvolution,
    SemanticAttention,
    TypeProjection,
    WholeMatrixNorm,
)
from contrast_graph.metapaths import row_normalise
from contrast_graph.sparse import Adjacency

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def adjacency(matrix: Tensor, dense_above: float = 0.2) -> Adjacency:
    """The constant matrix of a dense tensor."""
    return Adjacency.from_scipy(matrix.numpy(), dense_above=dense_above)


def load(module: nn.Module, **values: Tensor) -> None:
    """Put values into parameters by their dotted names."""
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            parameters[name.replace("__", ".")].copy_(value)


def encoder(first: Tensor, second: Tensor, slope: Tensor) -> GraphConvolution:
    """An encoder with given weights."""
    module = GraphConvolution(*first.shape, second.shape[1]).double()
    load(module, first=first, second=second, activation__weight=slope)
    return module


def plain_encoder(module: GraphConvolution, h: Tensor, a: Tensor) -> Tensor:
    """The encoder's equation with dense matrices."""
    h = prelu(a @ (h @ module.first), module.activation.weight)
    h = a @ (h @ module.second)
    return (h - h.mean()) / torch.sqrt(((h - h.mean()) ** 2).mean() + 1e-5)


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_golden_encoder(golden, dense_above):
    """The authors' output and gradients, with dense and sparse adjacency."""
    for case in golden("gcn_encoder"):
        module = encoder(case["in_w1"], case["in_w2"], case["in_prelu1"])
        x = case["in_x"].requires_grad_()
        (z,) = module([(x, adjacency(case["in_adj"], dense_above))])
        torch.testing.assert_close(z, case["out_z"], **EXACT)
        z.backward(case["in_cotangent"])
        torch.testing.assert_close(x.grad, case["grad_x"], **EXACT)
        torch.testing.assert_close(module.first.grad, case["grad_w1"], **EXACT)
        torch.testing.assert_close(module.second.grad, case["grad_w2"], **EXACT)


def test_golden_attention(golden):
    """The authors' fused embedding, weights and gradients."""
    for case in golden("semantic_attention"):
        views = case["in_z"].requires_grad_()
        module = SemanticAttention(views.shape[2]).double()
        load(module, linear__weight=case["in_fc_weight"], linear__bias=case["in_fc_bias"], query=case["in_att"])
        fused, beta = module(list(views))
        torch.testing.assert_close(fused, case["out_fused"], **EXACT)
        torch.testing.assert_close(beta, case["out_beta"], **EXACT)
        fused.backward(case["in_cotangent"])
        torch.testing.assert_close(views.grad, case["grad_z"], **EXACT)
        torch.testing.assert_close(module.linear.weight.grad, case["grad_fc_weight"], **EXACT)
        torch.testing.assert_close(module.query.grad, case["grad_att"], **EXACT)
        torch.testing.assert_close(module(views)[0], fused, **EXACT)


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_golden_adameow_model(golden, dense_above):
    """All parts put together give AdaMEOW's embedding, loss and the gradient of every parameter."""
    for case in golden("adameow_forward"):
        weights = {k.removeprefix("in_w__"): v for k, v in case.items() if k.startswith("in_w__")}
        paths = range(sum(k.startswith("agg") for k in weights))
        width = case["meta"]["params"]["hidden"]
        types = [TypeProjection(case[f"in_feat{t}"].shape[1], width).double() for t in range(len(paths) + 1)]
        contexts = [ContextAggregation(width).double() for _ in paths]
        g = encoder(*(weights[f"Encoder.{n}"] for n in ("gc1.weight", "gc2.weight", "gc1.act.weight")))
        attention = SemanticAttention(width).double()
        project = nn.Linear(width, width).double()
        mlp = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid()).double()
        mine = {
            "Encoder.gc1.weight": g.first,
            "Encoder.gc1.act.weight": g.activation.weight,
            "Encoder.gc2.weight": g.second,
            "att.att": attention.query,
        }
        named = {"att.fc": attention.linear, "project": project, "MLP.0": mlp[0], "MLP.2": mlp[2]}
        named |= {f"fc_list.{t}": part.linear for t, part in enumerate(types)}
        named |= {f"agg.{m}": part.transforms[0] for m, part in enumerate(contexts)}
        for name, linear in named.items():
            mine |= {f"{name}.{key}": value for key, value in linear.named_parameters()}
        with torch.no_grad():
            for name, parameter in mine.items():
                parameter.copy_(weights[name])

        plain = [adjacency(case[f"in_adj{m}"], dense_above) for m in paths]
        masked = [adjacency(case[f"in_adj_masked{m}"], dense_above) for m in paths]
        targets = [types[0](case["in_feat0"]), types[0](adjacency(case["in_feat0_masked"]))]
        branches = [(targets[0], plain)]
        for m in paths:
            mean = Adjacency.from_scipy(row_normalise(case[f"in_nei{m}"].numpy(), np.float64))
            fine = contexts[m](targets, [(mean, types[m + 1](case[f"in_feat{m + 1}"]))])
            branches += [(fine[0], plain[m]), (fine[1], masked[m])]
        coarse, *views = g(branches)
        fused, _ = attention([normalize(view, dim=1) for view in views])
        a, b = (normalize(torch.tanh(project(z)), dim=1) for z in (fused, coarse))
        s = a @ b.t() / case["meta"]["params"]["tau"]
        w = mlp(a[:, None] + b[None]).squeeze(-1)
        loss = (torch.log((w * s.exp()).sum(1)) - s.diagonal()).mean()
        loss.backward()
        torch.testing.assert_close(fused, case["out_embedding"], **EXACT)
        torch.testing.assert_close(loss, case["out_loss"], **EXACT)
        for name, parameter in mine.items():
            torch.testing.assert_close(parameter.grad, case[f"grad_w__{name}"], rtol=1e-10, atol=1e-11)


def test_golden_meow_branches(golden):
    """The authors' coarse and fine-grained features before the encoder."""
    for case in golden("meow_forward"):
        width = case["meta"]["params"].get("hidden", case["out_embedding"].shape[1])
        types = []
        while f"in_feat{len(types)}" in case:
            t = len(types)
            types.append(TypeProjection(case[f"in_feat{t}"].shape[1], width).double())
            linear = {key: case[f"in_w__fc_list.{t}.{key}"] for key in ("weight", "bias")}
            load(types[t].linear, **linear)
        targets = [types[0](case["in_feat0"]), types[0](case["in_feat0_masked"])]
        torch.testing.assert_close(targets[0], case["out_h_coarse"], **EXACT)
        for m in range(len(types) - 1):
            context = ContextAggregation(width).double()
            load(context, transforms__0__weight=case[f"in_w__agg.{m}.weight"])
            mean = Adjacency.from_scipy(row_normalise(case[f"in_nei{m}"].numpy(), np.float64))
            fine, masked = context(targets, [(mean, types[m + 1](case[f"in_feat{m + 1}"]))])
            torch.testing.assert_close(fine, case[f"out_h_fine{m}"], **EXACT)
            torch.testing.assert_close(masked, case[f"out_h_fine_masked{m}"], **EXACT)


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_branches_at_once_equal_branches_alone(dense_above):
    """Shared products and the mean of adjacencies change neither values nor gradients."""
    generator = torch.Generator().manual_seed(0)
    matrices = [torch.rand(9, 9, generator=generator, dtype=torch.float64) for _ in range(2)]
    first, second = (adjacency(a, dense_above) for a in matrices)
    inputs = torch.randn(4, 9, 5, generator=generator, dtype=torch.float64).requires_grad_()
    cotangent = torch.randn(4, 9, 3, generator=generator, dtype=torch.float64)
    module = GraphConvolution(5, 4, 3).double()
    used = [first, first, second, (first, second)]
    together = torch.stack(module(list(zip(inputs, used, strict=True))))
    dense = [matrices[0], matrices[0], matrices[1], (matrices[0] + matrices[1]) / 2]
    alone = torch.stack([plain_encoder(module, h, a) for h, a in zip(inputs, dense, strict=True)])
    torch.testing.assert_close(together, alone, **EXACT)
    parameters = [inputs, *module.parameters()]
    for mine, expected in zip(
        torch.autograd.grad(together, parameters, cotangent),
        torch.autograd.grad(alone, parameters, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected, **EXACT)


def test_a_dense_adjacency_is_multiplied_once_per_layer(monkeypatch):
    """Three branches over one adjacency make two products."""
    calls = []
    product = Adjacency.__matmul__
    monkeypatch.setattr(Adjacency, "__matmul__", lambda a, h: calls.append(h.shape[1]) or product(a, h))
    shared = adjacency(torch.ones(4, 4))
    GraphConvolution(3, 5, 2)([(torch.ones(4, 3), shared.to(dtype=torch.float32))] * 1)
    assert calls == [5, 2]
    calls.clear()
    shared = shared.to(dtype=torch.float32)
    GraphConvolution(3, 5, 2)([(torch.ones(4, 3), shared), (torch.ones(4, 3), [shared]), (torch.ones(4, 3), shared)])
    assert calls == [15, 6]


def test_isolated_nodes_stay_finite():
    """An empty adjacency gives zeros, not NaN."""
    (z,) = GraphConvolution(3, 4, 2)([(torch.ones(5, 3), Adjacency.from_scipy(np.zeros((5, 5), np.float32)))])
    assert not z.any()


def test_norm_is_over_the_whole_matrix():
    """Mean 0 and variance 1 of all entries together, not per row."""
    h = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
    z = WholeMatrixNorm()(h)
    torch.testing.assert_close(z, (h - 5.5) / torch.sqrt(torch.tensor(143 / 12 + 1e-5).double()))


def test_several_contexts_have_their_own_transforms():
    """A longer meta-path adds one term per context (DBLP)."""
    b = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 1]], dtype=torch.float64)
    h, n1, n2 = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    module = ContextAggregation(4, contexts=2).double()
    mean = Adjacency.from_scipy(row_normalise(b.numpy(), np.float64))
    (fine,) = module([h], [(mean, n1), (mean, n2)])
    averaged = b / b.sum(1, keepdim=True).clamp(min=1)
    u1, u2 = (transform.weight for transform in module.transforms)
    torch.testing.assert_close(fine, elu(h + averaged @ n1 @ u1.t() + averaged @ n2 @ u2.t()), **EXACT)
    with pytest.raises(ValueError, match="2 contexts but got 1"):
        module([h], [(mean, n1)])


def test_dropout_is_fresh_per_copy_unless_shared():
    """Copies of the targets differ in training, agree with shared dropout and in evaluation."""
    h, n = torch.zeros(6, 32), torch.ones(6, 32)
    mean = Adjacency.from_scipy(np.eye(6, dtype=np.float32))
    torch.manual_seed(0)
    module = ContextAggregation(32, dropout=0.5)
    assert not torch.equal(*module([h, h], [(mean, n)]))
    assert torch.equal(*module.eval()([h, h], [(mean, n)]))
    assert torch.equal(*ContextAggregation(32, dropout=0.5, shared_dropout=True)([h, h], [(mean, n)]))
    g = GraphConvolution(32, 16, 8, dropout=0.5)
    assert not torch.equal(*g([(n, mean), (n, mean)]))
    projection = TypeProjection(32, 16, dropout=0.5)
    assert not torch.equal(projection(n), projection(n))
    assert torch.equal(projection(n, drop=False), projection(n, drop=False))
    attention = SemanticAttention(32, dropout=0.5)
    views = torch.randn(3, 6, 32)
    assert not torch.equal(attention(views)[1], attention(views)[1])


def test_initial_weights():
    """V uniform within 1/sqrt(columns), slope 0.25, no bias in encoder and context."""
    torch.manual_seed(0)
    g = GraphConvolution(100, 64, 16)
    assert 0.12 < g.first.abs().max() <= 1 / 8
    assert 0.24 < g.second.abs().max() <= 1 / 4
    assert g.activation.weight.tolist() == [0.25]
    assert len(list(g.parameters())) == 3
    assert len(list(ContextAggregation(8, contexts=3).parameters())) == 3
