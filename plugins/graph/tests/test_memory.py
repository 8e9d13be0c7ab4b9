"""The clusterings kept from step to step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import normalize

from contrast_core.embeddings import code
from contrast_graph.clustering import assign, concentration, inner_product_kmeans
from contrast_graph.memory import Clusters


def clusters(rows, **options):
    """A prepared memory of two clusterings."""
    memory = Clusters(**{"clusters": (3, 5), **options})
    memory.prepare({"fine": rows})
    return memory


def centroids(memory):
    """All raw centroids."""
    return [memory.get_buffer(f"centroids_{m}").clone() for m in range(len(memory.clusters))]


def test_prototypes_and_assignments(rows):
    """Unit prototypes with their clustering, cluster and concentration; one cluster a row and clustering."""
    table = rows(40)
    memory = clusters(table)
    memory.write(table)
    prototypes = memory.read()
    assert prototypes["clustering"].tolist() == [0] * 3 + [1] * 5
    assert prototypes["cluster"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert (prototypes["source"] == code("prototype")).all()
    torch.testing.assert_close(prototypes.z.norm(dim=1), torch.ones(8))
    assert not prototypes.z.requires_grad
    found = memory.assignments(table.z)
    assert (tuple(found.shape), found.dtype) == ((40, 2), torch.int64)
    for m, c in enumerate(centroids(memory)):
        index, inner = assign(table.z.detach(), c)
        assert torch.equal(found[:, m], index)
        phi = concentration(inner, index, len(c), 0.4)
        torch.testing.assert_close(prototypes.select(prototypes["clustering"] == m)["concentration"], phi)
        torch.testing.assert_close(phi.mean(), torch.tensor(0.4))


@pytest.mark.parametrize("start", ["fresh", "same", "warm"])
def test_where_a_write_starts(rows, start):
    """Fresh starts draw other rows each time, same ones repeat themselves, warm ones go on from the centroids."""
    first, second = rows(40), rows(40, seed=1)
    memory = clusters(first, start=start, iterations=3)
    for number, table in enumerate((first, second)):
        before = centroids(memory) if start == "warm" and number else [None, None]
        memory.write(table)
        generator = torch.Generator().manual_seed(number if start == "fresh" else 0)
        for k, old, new in zip((3, 5), before, centroids(memory), strict=True):
            assert torch.equal(new, inner_product_kmeans(table.z, k, 3, generator, old, memory.spherical))


@pytest.mark.parametrize("start", ["fresh", "warm"])
def test_a_saved_memory_goes_on_bit_for_bit(rows, start):
    """Everything is in the state dict, also how many writes there were."""
    memory = clusters(rows(40), start=start)
    memory.write(rows(40))
    saved = copy.deepcopy(memory.state_dict())
    loaded = clusters(rows(40), start=start)
    loaded.load_state_dict(saved)
    for each in (memory, loaded):
        each.write(rows(40, seed=1))
    assert memory.state_dict().keys() == loaded.state_dict().keys()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in memory.state_dict().items())


def test_spherical_centroids_are_unit(rows):
    """The sound variant normalises its centroids; the authors' have the length of a mean."""
    table = rows(40)
    lengths = {}
    for spherical in (True, False):
        memory = clusters(table, spherical=spherical)
        memory.write(table)
        lengths[spherical] = torch.cat(centroids(memory)).norm(dim=1)
    torch.testing.assert_close(lengths[True], torch.ones(8))
    assert (lengths[False] < 1).any()


def test_concentration_by_distance_uses_unit_centroids(rows):
    """The measure of prototypical contrastive learning: squared distances of unit vectors."""
    table = rows(40)
    memory = clusters(table, measure="distance")
    memory.write(table)
    for m, c in enumerate(centroids(memory)):
        index, _ = assign(table.z.detach(), c)
        inner = (table.z.detach() * normalize(c, dim=1)[index]).sum(1)
        expected = concentration(inner, index, len(c), 0.4, "distance")
        torch.testing.assert_close(memory.get_buffer(f"concentration_{m}"), expected)


def test_a_smaller_batch_may_follow(rows):
    """On a warm start a batch with fewer rows than clusters moves the centroids it reaches and keeps the others."""
    memory = clusters(rows(40), start="warm")
    memory.write(rows(40))
    memory.write(rows(2, seed=1))
    assert all(c.isfinite().all() for c in centroids(memory))
    assert memory.assignments(rows(2).z).shape == (2, 2)
    with pytest.raises(ValueError, match="3 clusters of 2 rows are impossible"):
        clusters(rows(40)).write(rows(2))


def test_settings_that_do_not_fit_are_named(rows):
    """More clusters than rows, no clustering, an empty one."""
    with pytest.raises(ValueError, match=r"clusters = \[3, 5\]: there are only 4 rows to cluster"):
        clusters(rows(4))
    with pytest.raises(ValueError, match="at least one clustering"):
        Clusters(clusters=())
    with pytest.raises(ValueError, match=r"clusters = \[0\]: at least one clustering of at least one cluster"):
        Clusters(clusters=[0])
