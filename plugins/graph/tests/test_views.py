"""The views: fixed, seeded, right on long meta-paths, and one sentence for settings that do not fit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from contrast_graph.data.hetero import HeteroData, NodeGraph, features, incidence, node_graph
from contrast_graph.data.published import load_published
from contrast_graph.encoder import MetapathEncoder
from contrast_graph.metapaths import metapath_counts, normalise, pathsim_topk, row_normalise
from contrast_graph.views import GraphView, MetapathViews


def made(graph: NodeGraph, **options):
    """The views of a graph."""
    view = MetapathViews(**options)
    view.prepare({"graph": graph})
    return view({})


def dense(view: GraphView) -> list[torch.Tensor]:
    """Features and adjacencies of a view."""
    return [view.features.to_dense(), *(a.to_dense() for a in view.adjacencies)]


def test_views_are_fixed_and_seeded(published):
    """Every call gives the same objects, the same seed the same bits, another seed other masks."""
    graph = load_published(published)
    view = MetapathViews(neighbours=8)
    view.prepare({"graph": graph})
    first = view({})
    assert all(view({})[name] is value for name, value in first.items())
    again, other = made(graph, neighbours=8), made(graph, neighbours=8, seed=1)
    for name in ("coarse", "fine", "fine-masked"):
        assert all(torch.equal(a, b) for a, b in zip(dense(first[name]), dense(again[name]), strict=True))
    assert not torch.equal(dense(first["fine-masked"])[0], dense(other["fine-masked"])[0])
    assert not torch.equal(dense(first["fine-masked"])[1], dense(other["fine-masked"])[1])


def test_adjacencies_and_masks_have_the_asked_sizes(published):
    """k neighbours a row and path, a share of the edges and of the features gone, the node itself kept."""
    graph = load_published(published)
    found = made(graph, neighbours=[6, 9], edge_mask=[0.5, 0.0], feature_mask=0.25, ties="first")
    x, *kept = dense(found["fine"])
    masked, *holed = dense(found["fine-masked"])
    assert (masked > 0).sum() == (x > 0).sum() - int(0.25 * (x > 0).sum())
    torch.testing.assert_close(x.sum(1), torch.ones(60))
    for name, k, adjacency in zip(graph.metapaths, (6, 9), kept, strict=True):
        counts = metapath_counts(graph.half_incidences(name))
        expected = normalise(pathsim_topk(counts, k, ties="first"))
        assert np.array_equal(adjacency.numpy(), expected.toarray())
    edges = [int((a > 0).sum()) - 60 for a in kept]
    assert [int((a > 0).sum()) - 60 for a in holed] == [edges[0] - edges[0] // 2, edges[1]]
    assert all((a.diagonal() > 0).all() for a in (*kept, *holed))


def test_long_metapaths_have_a_context_for_every_hop(authors):
    """Author-paper-conference-paper-author averages over 1, 2 and 3 hops, each pair of nodes once."""
    context = made(authors, neighbours=5)["context"]
    assert [[kind for kind, _ in hops] for hops in context.hops] == [
        ["paper"],
        ["paper", "conference", "paper"],
        ["paper", "term", "paper"],
    ]
    ap, pc = (incidence(authors.graph, edge).toarray() for edge in authors.metapaths["APCPA"][:2])
    for (_, mean), reach in zip(context.hops[1], (ap, ap @ pc, ap @ pc @ pc.T), strict=True):
        reached = (reach > 0).astype(float)
        expected = reached / np.maximum(reached.sum(1, keepdims=True), 1)
        np.testing.assert_allclose(mean.to_dense().numpy(), expected, rtol=1e-6)
        assert not mean.to_dense()[11].any()


def test_types_without_features_are_told_apart_by_the_identity(authors):
    """Papers have features, divided by their row sums; conferences and terms are one-hot."""
    context = made(authors, neighbours=5)["context"]
    assert torch.equal(context.features["conference"].to_dense(), torch.eye(3))
    assert torch.equal(context.features["term"].to_dense(), torch.eye(7))
    x = authors.graph["paper"].x
    torch.testing.assert_close(context.features["paper"].to_dense(), x / x.sum(1, keepdim=True))


def test_aggregated_types_sum_their_targets(published):
    """An author is the row-normalised sum of the papers' words; an unknown type is named."""
    graph = load_published(published)
    context = made(graph, aggregated=["author"])["context"]
    words = np.asarray(features(graph.graph, "paper"))
    reach = incidence(graph.graph, ("paper", "to", "author")).toarray()
    expected = row_normalise(reach.T @ words).toarray()
    np.testing.assert_allclose(context.features["author"].to_dense().numpy(), expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"'aggregated' names \['venue'\], but the meta-paths meet \['author', 'subj"):
        made(graph, aggregated=["venue"])


def test_features_of_mixed_signs_stay_bounded(authors):
    """Rows are divided by the sum of absolute values, so that entries which cancel do not explode."""
    graph = copy.deepcopy(authors)
    graph.graph["author"].x[0] = torch.tensor([1.0, -1.0, 1e-6, 0, 0])
    x = dense(made(graph)["fine"])[0]
    assert x.abs().max() <= 1
    assert x[0, 0] > 0 > x[0, 1]


def test_isolated_nodes_are_encoded(authors):
    """A node on no meta-path has empty rows and a finite embedding with gradients."""
    flow = {"graph": authors, "sample": torch.arange(12), **made(authors, neighbours=5)}
    assert not any(a.to_dense()[11].any() for a in flow["fine"].adjacencies)
    encoder = MetapathEncoder(width=8, projection=4)
    encoder.prepare(flow)
    tables = encoder(flow)
    assert {name: tuple(table.z.shape) for name, table in tables.items()} == {
        "coarse": (12, 4),
        "fine": (12, 4),
        "embedding": (12, 8),
    }
    torch.testing.assert_close(tables["fine"].z.norm(dim=1), torch.ones(12))
    (tables["coarse"].z * tables["fine"].z).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
    assert tables["embedding"].z.isfinite().all()


@pytest.mark.parametrize("options", [{"context": False}, {"masked": False}, {"context": False, "masked": False}])
def test_ablations_of_the_encoder(authors, options):
    """Without context there are no such parameters; without masked copies half the branches."""
    flow = {"sample": torch.arange(12), **made(authors, neighbours=5)}
    encoder = MetapathEncoder(width=8, dropout=0.0, **options)
    encoder.prepare(flow)
    seen = []
    encoder.convolution.register_forward_hook(lambda _, args, out: seen.append(len(out)))
    table = encoder(flow)["embedding"]
    assert seen == [1 + (6 if encoder.masked else 3)]
    assert (len(encoder.contexts) > 0) is encoder.context
    assert torch.equal(table.z, encoder(flow)["embedding"].z)


def test_types_may_have_any_name():
    """Names that no module may have ("items", "a.b") are fine."""
    graph = _small({"a.b": 3, "items": 2})
    flow = {"sample": torch.arange(6), **made(graph, neighbours=3)}
    encoder = MetapathEncoder(width=4)
    encoder.prepare(flow)
    assert encoder(flow)["embedding"].z.isfinite().all()


def test_autocast_computes_products_in_the_matrices_type(authors):
    """Under bfloat16 autocast the encoder runs forward and backward."""
    flow = {"sample": torch.arange(12), **made(authors, neighbours=5)}
    encoder = MetapathEncoder(width=8, dropout=0.0)
    encoder.prepare(flow)
    exact = encoder(flow)["embedding"].z
    with torch.autocast("cpu", torch.bfloat16):
        z = encoder(flow)["embedding"].z
    z.float().sum().backward()
    torch.testing.assert_close(z.float(), exact, rtol=0.1, atol=0.1)


def test_moving_keeps_coarse_and_fine_one(authors):
    """On another device the two names are still one view, so that their products are shared."""
    view = MetapathViews(neighbours=5)
    view.prepare({"graph": authors})
    moved = view.to("meta")({})
    assert moved["coarse"] is moved["fine"]
    assert moved["fine"].features.device.type == "meta"


def test_settings_that_do_not_fit_are_named(authors):
    """Numbers of settings, shares outside [0, 1], k of 0, no features."""
    with pytest.raises(ValueError, match=r"'neighbours' has 2 entries for 3 meta-paths \(APA, APCPA, APTPA\)\."):
        made(authors, neighbours=[5, 5])
    with pytest.raises(ValueError, match=r"'edge_mask' has 1 entries for 3 meta-paths"):
        made(authors, edge_mask=[0.5])
    with pytest.raises(ValueError, match=r"ratio is 1\.5; it must lie between 0 and 1"):
        made(authors, edge_mask=1.5)
    with pytest.raises(ValueError, match=r"ratio is -0\.1"):
        made(authors, feature_mask=-0.1)
    with pytest.raises(ValueError, match="must be at least 1"):
        made(authors, neighbours=0)


def _small(kinds: dict[str, int]) -> NodeGraph:
    """Six targets, each joined with one node of every type."""
    graph = HeteroData()
    graph["target"].x, graph["target"].y = torch.eye(6), torch.arange(6) % 2
    for kind, count in kinds.items():
        graph[kind].num_nodes = count
        graph["target", "to", kind].edge_index = torch.stack([torch.arange(6), torch.arange(6) % count])
    return node_graph(graph, "target", {kind: ["target", kind, "target"] for kind in kinds}, {})
