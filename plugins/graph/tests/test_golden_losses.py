"""MEOW's and AdaMEOW's losses on given rows, against the authors' values, weights and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Objective, Outputs
from contrast_core.objectives.infonce import DCL
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.pairs import Pairs
from contrast_core.samplers.prototypes import Prototypes
from contrast_core.similarity import Dot
from contrast_graph.samplers import AdaptiveNegatives, WeightedNegatives

KINDS = pytest.mark.parametrize(("kind", "rtol", "atol"), [(torch.float64, 1e-10, 1e-12), (torch.float32, 1e-5, 1e-6)])


class Given:
    """A memory whose clusters and prototypes are those of a golden case."""

    def __init__(self, clusters: Tensor, prototypes: Embeddings | None = None):
        self.clusters, self.prototypes = clusters, prototypes

    def assignments(self, rows: Tensor) -> Tensor:
        """The given clusters, (n, M)."""
        return self.clusters

    def read(self) -> Embeddings:
        """The given prototypes."""
        assert self.prototypes is not None
        return self.prototypes


def value(objective: Objective, pairs: Any) -> Tensor:
    """The one term's value."""
    return objective(Outputs({}, pairs, {})).value


def in_tiles(pairs: Pairs, temperature: float) -> Tensor:
    """The decoupled loss from the engine's statistics, in tiles of 7 x 7."""
    away = pairwise.logsumexp(pairs, pairs.negatives, Dot(), temperature, tile=7)
    return (away - pairwise.mean(pairs, pairs.positives, Dot(), temperature, tile=7)).mean()


def tables(case: Any, kind: torch.dtype) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Leaves a and z, and the flow of anchors and candidates."""
    a, z = (case[name].to(kind).requires_grad_() for name in ("in_anchor", "in_z"))
    sample = torch.arange(len(a))
    return a, z, {"anchors": Embeddings.of(a, sample=sample), "candidates": Embeddings.of(z, sample=sample)}


@KINDS
@pytest.mark.parametrize("tiled", [False, True])
def test_weighted_infonce(golden, kind, rtol, atol, tiled):
    """Value, weights and gradients from WeightedNegatives and the decoupled loss."""
    for case in golden("weighted_infonce"):
        tau = case["meta"]["params"]["tau"]
        a, z, flow = tables(case, kind)
        flow["clusters"] = Given(case["in_assign"].T)
        pairs = WeightedNegatives("anchors", "candidates")(flow)
        weights = pairwise.matrix(pairs["pairs"], pairs["pairs"].negatives)[1]
        assert torch.equal(weights.double(), case["out_weight"])
        loss = in_tiles(pairs["pairs"], tau) if tiled else value(DCL(temperature=tau, similarity=Dot()), pairs)
        loss.backward()
        for mine, name in ((loss, "out_loss"), (a.grad, "grad_anchor"), (z.grad, "grad_z")):
            torch.testing.assert_close(mine, case[name].to(kind), rtol=rtol, atol=atol)


@KINDS
def test_protonce(golden, kind, rtol, atol):
    """Value with the authors' constant, and gradients, from Prototypes and ProtoNCE."""
    for case in golden("protonce"):
        z = case["in_z"].to(kind).requires_grad_()
        prototypes = cat(
            [
                Embeddings.of(
                    case[f"in_centroids{m}"].to(kind),
                    clustering=m,
                    cluster=torch.arange(k),
                    concentration=case[f"in_density{m}"].to(kind),
                )
                for m, k in enumerate(case["meta"]["params"]["num_clusters"])
            ]
        )
        clusters = torch.stack([case["in_assign0"], case["in_assign1"]], 1)
        table = Embeddings.of(z, sample=torch.arange(len(z)))
        flow = {"coarse": table, "fine": table, "clusters": Given(clusters, prototypes)}
        pairs = Prototypes("coarse", "clusters", "prototypes", assigned="fine")(flow)
        loss = value(ProtoNCE("prototypes", similarity=Dot(), denominator="mean_times_rows"), pairs)
        plain = value(ProtoNCE("prototypes", similarity=Dot()), pairs)
        (gradient,) = torch.autograd.grad(loss, z)
        torch.testing.assert_close(loss, case["out_loss"].to(kind), rtol=rtol, atol=atol)
        torch.testing.assert_close(gradient, case["grad_z"].to(kind), rtol=rtol, atol=atol)
        torch.testing.assert_close(torch.autograd.grad(plain, z)[0], gradient, rtol=rtol, atol=atol)
        assert loss > plain


@KINDS
@pytest.mark.parametrize("tiled", [False, True])
def test_adaptive_infonce(golden, kind, rtol, atol, tiled):
    """Value, learned weights and gradients of both sides and of the network, from AdaptiveNegatives."""
    for case in golden("adaptive_infonce"):
        tau = case["meta"]["params"]["tau"]
        a, z, flow = tables(case, kind)
        sampler = AdaptiveNegatives("anchors", "candidates")
        sampler.prepare(flow)
        sampler.to(kind)
        first, second = sampler.network.rows, sampler.network.pairs
        mine = {"mlp0_weight": first.weight, "mlp0_bias": first.bias}
        mine |= {"mlp2_weight": second.weight, "mlp2_bias": second.bias}
        with torch.no_grad():
            for name, parameter in mine.items():
                parameter.copy_(case[f"in_{name}"])
        pairs = sampler(flow)
        weights = pairwise.matrix(pairs["pairs"], pairs["pairs"].negatives)[1]
        torch.testing.assert_close(weights, case["out_weight"].to(kind), rtol=rtol, atol=atol)
        loss = in_tiles(pairs["pairs"], tau) if tiled else value(DCL(temperature=tau, similarity=Dot()), pairs)
        loss.backward()
        torch.testing.assert_close(loss, case["out_loss"].to(kind), rtol=rtol, atol=atol)
        for name, leaf in {"anchor": a, "z": z, **mine}.items():
            torch.testing.assert_close(leaf.grad, case[f"grad_{name}"].to(kind), rtol=rtol, atol=atol)
