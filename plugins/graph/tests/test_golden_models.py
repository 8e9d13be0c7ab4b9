"""MEOW and AdaMEOW as whole pipelines, against the authors' embeddings, losses and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contrast_core import pairwise
from contrast_core.memories.clustered import Clusters
from contrast_core.objectives.infonce import DCL
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.pipeline import Pipeline, Weighted, total
from contrast_core.samplers.prototypes import Prototypes
from contrast_graph.encoder import MetapathEncoder
from contrast_graph.metapaths import row_normalise
from contrast_graph.samplers import AdaptiveNegatives, WeightedNegatives
from contrast_graph.sparse import Adjacency
from contrast_graph.views import Context, GraphView

NAMES = {
    "fc_list.0": "target.linear",
    "Encoder.gc1.weight": "convolution.first",
    "Encoder.gc1.act": "convolution.activation",
    "Encoder.gc2.weight": "convolution.second",
    "att.att": "attention.query",
    "att.fc": "attention.linear",
    "project": "projection",
}
WEIGHT = "in_w__"


@pytest.fixture(params=[torch.float64, torch.float32])
def kind(request):
    """The floating type in which everything is made and computed."""
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


def close(mine: Tensor, expected: Tensor) -> None:
    """Equal to 1e-10 in float64 and to 1e-5 of the largest entry in float32."""
    exact = mine.dtype == torch.float64
    scale = float(expected.abs().max())
    torch.testing.assert_close(
        mine, expected.to(mine.dtype), rtol=1e-10 if exact else 1e-5, atol=(1e-11 if exact else 1e-5) * max(scale, 1e-3)
    )


def paths(case: Any) -> range:
    """The meta-paths of a case."""
    return range(sum(name.startswith(f"{WEIGHT}agg") for name in case))


def views(case: Any, kind: torch.dtype, dense_above: float) -> dict[str, Any]:
    """The batch: coarse, fine, masked fine view and context from the case's arrays."""

    def constant(matrix: Any) -> Adjacency:
        return Adjacency.from_scipy(np.asarray(matrix), dtype=kind, dense_above=dense_above)

    whole = GraphView(constant(case["in_feat0"]), tuple(constant(case[f"in_adj{m}"]) for m in paths(case)))
    masked = tuple(constant(case[f"in_adj_masked{m}"]) for m in paths(case))
    means = [row_normalise(case[f"in_nei{m}"].numpy(), np.float64) for m in paths(case)]
    context = Context(
        {f"type {m + 1}": constant(case[f"in_feat{m + 1}"]) for m in paths(case)},
        tuple(
            ((f"type {m + 1}", Adjacency.from_scipy(mean, dtype=kind, dense_above=dense_above)),)
            for m, mean in enumerate(means)
        ),
    )
    return {
        "coarse": whole,
        "fine": whole,
        "fine-masked": GraphView(constant(case["in_feat0_masked"]), masked),
        "context": context,
        "sample": torch.arange(len(case["in_feat0"])),
    }


def parameters(case: Any, encoder: nn.Module) -> dict[str, nn.Parameter]:
    """The encoder's parameters by the authors' names, filled with the case's values."""
    own, found = dict(encoder.named_parameters()), {}
    names = NAMES | {f"fc_list.{m + 1}": f"types.{m}.linear" for m in paths(case)}
    names |= {f"agg.{m}": f"contexts.{m}.transforms.0" for m in paths(case)}
    for theirs, ours in names.items():
        for suffix in ("", ".weight", ".bias"):
            if ours + suffix in own:
                found[theirs + suffix] = own.pop(ours + suffix)
    assert not own, f"no golden value for {sorted(own)}"
    fill(case, found)
    return found


def fill(case: Any, found: dict[str, nn.Parameter]) -> None:
    """Copy the case's values into parameters."""
    with torch.no_grad():
        for name, parameter in found.items():
            parameter.copy_(case[WEIGHT + name])


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
def test_meow(golden, kind, dense_above):
    """Branches, embedding, projections, clusters, concentrations, loss and every gradient of MEOW."""
    for case in golden("meow_forward"):
        given = case["meta"]["params"]
        tau, width = given["tau"], given["hidden"]
        memory = Clusters("fine", given["num_clusters"], temperature=tau, measure="similarity", smoothing=5)
        prototypes = ProtoNCE("prototypes", denominator="mean_times_rows")
        pipeline = Pipeline(
            {},
            MetapathEncoder(width, width, dropout=0.0),
            {},
            {"clusters": memory},
            {
                "nodes": WeightedNegatives(),
                "prototypes": Prototypes("coarse", "clusters", "prototypes", assigned="fine"),
            },
            {
                "contrast": Weighted(DCL(temperature=tau), 1.0),
                "prototypes": Weighted(prototypes, given["lam_proto"]),
            },
        )
        batch = views(case, kind, dense_above)
        pipeline.prepare(batch)
        pipeline.eval()  # Dropout is 0; a memory that is not trained keeps the given centroids.
        mine = parameters(case, pipeline.encoder)
        seen: list[Any] = []
        for part in (pipeline.encoder.target, *pipeline.encoder.contexts):
            part.register_forward_hook(lambda _, args, out, seen=seen: seen.append(out))
        tables = pipeline.encoder(batch)
        for m in range(len(memory.clusters)):
            memory.set_centroids(m, case[f"in_raw_centroids{m}"].to(kind), tables["fine"].z.detach())
        coarse, _, *fine = seen
        close(coarse, case["out_h_coarse"])
        for m in paths(case):
            close(fine[m][0], case[f"out_h_fine{m}"])
            close(fine[m][1], case[f"out_h_fine_masked{m}"])
        outputs = pipeline(batch)
        terms = pipeline.terms(outputs)
        total(terms).backward()
        close(outputs.tables["embedding"].z, case["out_embedding"])
        close(outputs.tables["coarse"].z, case["out_z_coarse"])
        close(outputs.tables["fine"].z, case["out_z_fine_projected"])
        table = memory.read()
        for m in range(len(memory.clusters)):
            assert torch.equal(outputs.pairs["pairs"].candidates["cluster"][:, m], case[f"out_assign{m}"])
            close(table.select(table["clustering"] == m)["concentration"], case[f"out_density{m}"])
        close(total(terms), case["out_loss"])
        for name, parameter in mine.items():
            close(parameter.grad, case[f"grad_w__{name}"])


@pytest.mark.parametrize("dense_above", [0.0, 1.0])
@pytest.mark.parametrize("tile", [None, 7])
def test_adameow(golden, kind, dense_above, tile):
    """Embedding, loss and the gradient of every parameter, the weight network's too, of AdaMEOW."""
    for case in golden("adameow_forward"):
        given = case["meta"]["params"]
        tau, width = given["tau"], given["hidden"]
        sampler = AdaptiveNegatives()
        pipeline = Pipeline(
            {},
            MetapathEncoder(width, width, dropout=0.0),
            {},
            {},
            {"nodes": sampler},
            {"contrast": Weighted(DCL(temperature=tau), 1.0)},
        )
        batch = views(case, kind, dense_above)
        pipeline.prepare(batch)
        mine = parameters(case, pipeline.encoder)
        network = {
            f"MLP.{layer}.{name}": value
            for layer, linear in ((0, sampler.network.rows), (2, sampler.network.pairs))
            for name, value in linear.named_parameters()
        }
        fill(case, network)
        outputs = pipeline(batch)
        if tile is None:
            loss = total(pipeline.terms(outputs))
        else:
            pairs = outputs.pairs["pairs"]
            away = pairwise.logsumexp(pairs, pairs.negatives, temperature=tau, tile=tile)
            loss = (away - pairwise.mean(pairs, pairs.positives, temperature=tau, tile=tile)).mean()
        loss.backward()
        close(outputs.tables["embedding"].z, case["out_embedding"])
        close(loss, case["out_loss"])
        for name, parameter in (mine | network).items():
            close(parameter.grad, case[f"grad_w__{name}"])
