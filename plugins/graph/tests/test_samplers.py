"""The samplers: with any encoder's tables, and AdaMEOW's network as a part that is trained."""

from __future__ import annotations

import pytest
import torch

from contrast_core import pairwise
from contrast_core.interfaces import Outputs
from contrast_core.memories.clustered import Clusters
from contrast_core.objectives.infonce import DCL
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import learned, same
from contrast_core.samplers.prototypes import Prototypes
from contrast_graph.samplers import AdaptiveNegatives, WeightedNegatives, WeightNetwork


def loss(objective, pairs):
    """The one term."""
    return objective(Outputs({}, pairs, {}))


def test_samplers_serve_another_encoders_minibatch(rows):
    """Two tables of 16 shuffled samples of something else: weights, prototypes and gradients come out right."""
    a, b = rows(16), rows(16, seed=1)
    sample = torch.randperm(100, generator=torch.Generator().manual_seed(0))[:16]
    flow = {"image": a.with_columns(sample=sample), "text": b.with_columns(sample=sample)}
    memory = Clusters("text", clusters=(3, 4))
    memory.prepare(flow)
    memory.write(flow["text"])
    flow["groups"] = memory
    pairs = {
        **WeightedNegatives("image", "text", "groups")(flow),
        **Prototypes("image", "groups", "prototypes", assigned="text")(flow),
    }
    found = memory.assignments(b.z)
    weights = pairwise.matrix(pairs["pairs"], pairs["pairs"].negatives)[1]
    assert weights.tolist() == (found[:, None] != found[None]).sum(2).tolist()
    assert not weights.diagonal().any()
    own = pairwise.matrix(pairs["prototypes"], pairs["prototypes"].positives)[1]
    assert (len(own), own.sum(1).tolist()) == (32, [1] * 32)
    assert own[:16, :3].int().argmax(1).tolist() == found[:, 0].tolist()
    assert own[16:, 3:].int().argmax(1).tolist() == found[:, 1].tolist()
    total = loss(DCL(), pairs).value + loss(ProtoNCE("prototypes"), pairs).value
    total.backward()
    assert a.z.grad.isfinite().all()
    assert b.z.grad.isfinite().all()


def test_shared_clusters_leave_a_row_without_negatives(rows):
    """One cluster for all: every weight is 0, every row is dropped and counted, the loss is a zero with gradient."""
    table = rows(6)
    memory = Clusters("fine", clusters=(1,))
    flow = {"coarse": table, "fine": table, "clusters": memory}
    memory.prepare(flow)
    memory.write(table)
    term = loss(DCL(), WeightedNegatives()(flow))
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, 6)
    term.value.backward()
    assert not table.z.grad.any()


def test_the_network_is_trained(rows):
    """It is the sampler's own module; some steps lower the loss and move every parameter."""
    flow = {"fine": rows(20), "coarse": rows(20, seed=1)}
    torch.manual_seed(0)
    sampler = AdaptiveNegatives(hidden=4)
    sampler.prepare(flow)
    before = [p.detach().clone() for p in sampler.parameters()]
    assert [tuple(p.shape) for p in before] == [(4, 8), (4,), (1, 4), (1,)]
    optimiser = torch.optim.Adam(sampler.parameters(), lr=0.05)
    values = []
    for _ in range(5):
        optimiser.zero_grad()
        term = loss(DCL(temperature=1.0), sampler(flow))
        term.value.backward()
        optimiser.step()
        values.append(float(term.value.detach()))
    assert values == sorted(values, reverse=True)
    assert not any(torch.equal(old, new) for old, new in zip(before, sampler.parameters(), strict=True))
    assert term.scalars["weight_mean"] < 0.7


def test_the_network_in_stages_is_the_network():
    """w_ij = sigmoid(w_2 . tanh(W_1 (a_i + c_j) + b_1) + b_2), however it is evaluated."""
    torch.manual_seed(0)
    network = WeightNetwork(6, 5).double()
    a, c = torch.randn(4, 6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    plain = torch.nn.Sequential(network.rows, torch.nn.Tanh(), network.pairs, torch.nn.Sigmoid())
    expected = plain(a[:, None] + c).squeeze(2)
    torch.testing.assert_close(network(a[:, None], c), expected)
    torch.testing.assert_close(network(a, c[:1].expand(4, 6)), expected[:, 0])


@pytest.mark.parametrize("scale", [1e-3, 50.0])
def test_normalised_weights_forget_their_scale(rows, scale):
    """Loss and gradients are those of the unscaled weights; without normalisation the loss moves by log(scale)."""
    torch.manual_seed(0)
    network = WeightNetwork(8, 4)
    values, slopes = {}, {}
    for normalise in (True, False):
        for factor in (1.0, scale):
            a, c = rows(12), rows(12, seed=1)
            pairs = Pairs(a, c, same("sample"), learned(lambda x, y, f=factor: f * network(x, y)))
            value = loss(DCL(temperature=1.0, normalise_weights=normalise), {"pairs": pairs}).value
            slopes[normalise, factor] = torch.autograd.grad(value, [a.z, c.z, *network.parameters()])
            values[normalise, factor] = value
    torch.testing.assert_close(values[True, scale], values[True, 1.0])
    torch.testing.assert_close(slopes[True, scale], slopes[True, 1.0], rtol=1e-4, atol=1e-6)
    shift = torch.tensor(scale).log()
    torch.testing.assert_close(values[False, scale], values[False, 1.0] + shift, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sampler", [WeightedNegatives, AdaptiveNegatives])
def test_tables_of_other_samples_are_refused(rows, sampler):
    """Both tables are named."""
    table = rows(6)
    flow = {"coarse": table, "fine": table.select(torch.arange(6).flip(0)), "clusters": None}
    with pytest.raises(ValueError, match=r"tables '\w+' and '\w+' must hold the same samples in the same order"):
        sampler()(flow)
    flow["fine"] = rows(5)
    with pytest.raises(ValueError, match="same samples"):
        sampler()(flow)


def test_needs_name_tables_columns_and_memory():
    """A recipe is checked before training, so that every need is declared."""
    assert set(WeightedNegatives().needs) == {"coarse", "fine", "coarse.sample", "fine.sample", "clusters"}
    assert set(AdaptiveNegatives().needs) == {"coarse", "fine", "coarse.sample", "fine.sample"}
