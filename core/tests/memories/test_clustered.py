"""Clusterings kept from step to step, of a table or of a bank, and the pairs that are made of them."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from contrast_core.clustering import assign, concentration, inner_product_kmeans
from contrast_core.embeddings import Embeddings, code
from contrast_core.interfaces import Outputs
from contrast_core.memories.clustered import Clusters
from contrast_core.memories.fifo import Queue
from contrast_core.memories.keyed import Keyed
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.pairwise import matrix
from contrast_core.samplers.prototypes import Prototypes

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def rows(n: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Embeddings:
    """Random rows of samples 0, 1, ..., which want a gradient."""
    z = torch.randn(n, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return Embeddings.of(z.requires_grad_(), sample=torch.arange(n))


def unit(table: Embeddings) -> Tensor:
    """The rows as they are clustered."""
    return normalize(table.z.detach(), dim=1)


def clusters(table: Embeddings, **options: Any) -> Clusters:
    """A prepared memory of two clusterings."""
    memory = Clusters("key", **{"clusters": (3, 5), "iterations": 3, **options})
    memory.prepare({"key": table})
    return memory


def centroids(memory: Clusters) -> list[Tensor]:
    """All raw centroids."""
    return [memory.get_buffer(f"centroids_{m}").clone() for m in range(len(memory.clusters))]


@pytest.mark.parametrize("measure", ["distance", "similarity"])
def test_prototypes_and_assignments(measure: Literal["distance", "similarity"]) -> None:
    """Unit prototypes with their clustering, cluster and concentration; one cluster a row and clustering."""
    table = rows(40)
    memory = clusters(table, measure=measure, smoothing=7, temperature=0.3)
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
        index, inner = assign(unit(table), c)
        assert torch.equal(found[:, m], index)
        phi = concentration(inner, index, len(c), 0.3, measure, 7)
        torch.testing.assert_close(prototypes.select(prototypes["clustering"] == m)["concentration"], phi)
        torch.testing.assert_close(phi.mean(), torch.tensor(0.3))


def test_concentrations_are_those_of_prototypical_contrastive_learning() -> None:
    """phi = sum |z - c| / (n log(n + 10)) over the rows of a cluster, clipped and scaled, by a plain loop."""
    table = rows(60, dtype=torch.float64)
    memory = clusters(table, clusters=[6])
    memory.write(table)
    prototypes, own, z = memory.read(), memory.assignments(table.z)[:, 0], unit(table)
    phi = torch.zeros(6, dtype=torch.float64)
    for k in range(6):
        distances = [float((row - prototypes.z[k]).norm()) for row in z[own == k]]
        assert len(distances) > 1
        phi[k] = sum(distances) / (len(distances) * float(torch.tensor(len(distances) + 10.0).double().log()))
    phi = phi.clamp(phi.quantile(0.1), phi.quantile(0.9))
    torch.testing.assert_close(prototypes["concentration"], 0.2 * phi / phi.mean(), rtol=1e-10, atol=0)


@pytest.mark.parametrize("start", ["fresh", "same", "warm"])
def test_where_a_clustering_starts(start: str) -> None:
    """Fresh starts draw other rows each time, same ones repeat themselves, warm ones go on from the centroids."""
    tables = [rows(40), rows(40, seed=1)]
    memory = clusters(tables[0], start=start)
    for number, table in enumerate(tables):
        before = centroids(memory) if start == "warm" and number else [None, None]
        memory.write(table)
        generator = torch.Generator().manual_seed(number if start == "fresh" else 0)
        for k, old, new in zip((3, 5), before, centroids(memory), strict=True):
            assert torch.equal(new, inner_product_kmeans(unit(table), k, 3, generator, old))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 9))
def test_clusters_are_made_at_every_so_many_writes(every: int, warm_up: int, count: int) -> None:
    """Against a count by hand; in between the prototypes stay, before the first there are none."""
    memory = clusters(rows(12), every=every, warm_up=warm_up)
    last = None
    for number in range(count):
        memory.write(rows(12, seed=number))
        if number in range(warm_up, count, every):
            last = clusters(rows(12))
            last.writes.fill_(number)
            last.write(rows(12, seed=number))
    assert int(memory.writes) == count
    found = memory.read()
    if last is None:
        assert len(found) == 0
        assert (memory.assignments(rows(12).z) == -1).all()
    else:
        assert torch.equal(found.z, last.read().z)
        assert torch.equal(found["concentration"], last.read()["concentration"])
        assert torch.equal(memory.assignments(rows(12).z), last.assignments(rows(12).z))


def test_a_bank_is_written_each_time_and_clustered_as_a_whole() -> None:
    """Batches of four fill a bank of twelve; every third write clusters all of them with the latest rows."""
    table = rows(12, dtype=torch.float64)
    memory = clusters(table, bank=Keyed("key", 12, 8), every=3, warm_up=2, start="same")
    memory.double()
    for first in (0, 4, 8, 0, 4):
        memory.write(table.select(torch.arange(first, first + 4)))
    expected = clusters(table, start="same")
    expected.write(table)
    torch.testing.assert_close(memory.read().z, expected.read().z, rtol=1e-12, atol=1e-14)
    newer = rows(12, seed=1, dtype=torch.float64)
    memory.write(newer.select(torch.arange(8, 12)))
    mixed = Embeddings.of(torch.cat([table.z[:8], newer.z[8:]]))
    expected.write(mixed)
    torch.testing.assert_close(memory.read().z, expected.read().z, rtol=1e-12, atol=1e-14)
    assert "bank.rows" in memory.state_dict()


@pytest.mark.parametrize("start", ["fresh", "warm"])
@pytest.mark.parametrize("bank", ["none", "keyed", "queue"])
def test_a_saved_memory_goes_on_bit_for_bit(start: str, bank: str) -> None:
    """Everything is in the state dict: the bank, and how many writes there were."""

    def fresh() -> Clusters:
        banks = {"none": None, "keyed": Keyed("key", 40, 8, momentum=0.5), "queue": Queue("key", 60, 8)}
        return clusters(rows(40), start=start, every=2, warm_up=1, bank=banks[bank])

    tables = [rows(30, seed=number) for number in range(6)]
    for stop in range(7):
        straight, first, second = fresh(), fresh(), fresh()
        for table in tables:
            straight.write(table)
        for table in tables[:stop]:
            first.write(table)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        for table in tables[stop:]:
            second.write(table)
        assert straight.state_dict().keys() == second.state_dict().keys()
        assert all(torch.equal(value, second.state_dict()[name]) for name, value in straight.state_dict().items())
        assert torch.equal(straight.read().z, second.read().z)


def test_writing_and_loading_do_not_spoil_what_was_read() -> None:
    """Prototypes and concentrations are copies."""
    memory = clusters(rows(40))
    memory.write(rows(40))
    state, found = copy.deepcopy(memory.state_dict()), memory.read()
    before = found.z.clone(), found["concentration"].clone()
    memory.write(rows(40, seed=1))
    assert not torch.equal(memory.read()["concentration"], before[1])
    memory.load_state_dict({name: torch.zeros_like(value) for name, value in state.items()})
    assert torch.equal(found.z, before[0])
    assert torch.equal(found["concentration"], before[1])


@pytest.mark.parametrize("device", DEVICES)
def test_a_memory_keeps_its_type_and_moves(device: str) -> None:
    """Rows of another type are clustered in the memory's own, half precision in float32."""
    memory = clusters(rows(40)).to(device)
    for kind in (torch.float64, torch.bfloat16):
        table = Embeddings.of(rows(40).z.detach().to(device, kind))
        memory.write(table)
        assert memory.assignments(table.z).device.type == device
        assert (memory.read().z.dtype, memory.read().z.device.type) == (torch.float32, device)
    assert memory.double().read()["concentration"].dtype == torch.float64
    half = Embeddings.of(rows(40).z.detach().bfloat16())
    assert centroids(clusters(half))[0].dtype == torch.float32


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_rows_give_the_same_bits(device: str) -> None:
    """Whatever the device: sums are formed in a fixed order."""
    table = Embeddings.of(rows(5000).z.detach().to(device))
    both = [clusters(table).to(device) for _ in range(2)]
    for memory in both:
        memory.write(table)
    assert torch.equal(both[0].read().z, both[1].read().z)


def test_spherical_centroids_are_unit() -> None:
    """The sound variant normalises its centroids; the plain ones have the length of a mean."""
    lengths = {}
    for spherical in (True, False):
        memory = clusters(rows(40), spherical=spherical)
        memory.write(rows(40))
        lengths[spherical] = torch.cat(centroids(memory)).norm(dim=1)
    torch.testing.assert_close(lengths[True], torch.ones(8))
    assert (lengths[False] < 1).any()


def test_a_smaller_batch_may_follow_on_a_warm_start() -> None:
    """Fewer rows than clusters move the centroids that they reach and keep the others."""
    memory = clusters(rows(40), start="warm")
    memory.write(rows(40))
    memory.write(rows(2, seed=1))
    assert all(c.isfinite().all() for c in centroids(memory))
    assert memory.assignments(rows(2).z).shape == (2, 2)
    with pytest.raises(ValueError, match="there are only 2 rows to cluster"):
        clusters(rows(40)).write(rows(2))


def test_settings_that_do_not_fit_are_named() -> None:
    """More clusters than rows, no clustering, an empty one, counts, a bank of another table or too empty."""
    with pytest.raises(ValueError, match=r"clusters = \[3, 5\]: there are only 4 rows to cluster\."):
        clusters(rows(4))
    with pytest.raises(ValueError, match="at least one clustering"):
        Clusters("key", ())
    with pytest.raises(ValueError, match=r"clusters = \[0\]: at least one clustering of at least one cluster"):
        Clusters("key", [0])
    for options in ({"every": 0}, {"warm_up": -1}):
        with pytest.raises(ValueError, match=r"every = \d+ must be at least 1, and warm_up = -?\d+ not negative"):
            clusters(rows(9), **options)
    with pytest.raises(ValueError, match="bank remembers 'query', but clusters are of 'key'"):
        Clusters("key", [2], bank=Queue("query", 9, 8))
    memory = clusters(rows(4), bank=Queue("key", 9, 8))
    with pytest.raises(ValueError, match="only 4 rows to cluster in the bank; a longer warm_up lets it fill"):
        memory.write(rows(4))


def test_anchors_meet_the_prototypes_of_the_clusters_of_another_table() -> None:
    """The sampler asks the memory for the clusters: the teacher's rows decide, the student's are trained."""
    student, teacher = rows(10), rows(10, seed=1)
    memory = clusters(teacher)
    flow = {"student": student, "teacher": teacher, "clusters": memory}
    sampler = Prototypes("student", "clusters", assigned="teacher")
    assert set(sampler.needs) == {"student", "teacher", "student.sample", "teacher.sample", "clusters"}
    term = ProtoNCE()(Outputs({}, sampler(flow), {}))
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, 20)
    memory.write(teacher)
    pairs = sampler(flow)["pairs"]
    found, own = memory.assignments(teacher.z), matrix(pairs, pairs.positives)[1]
    assert own[:10, :3].int().argmax(1).tolist() == found[:, 0].tolist()
    assert own[10:, 3:].int().argmax(1).tolist() == found[:, 1].tolist()
    assert own.sum(1).tolist() == [1] * 20
    term = ProtoNCE()(Outputs({}, {"pairs": pairs}, {}))
    assert (term.rows, term.dropped) == (20, 0)
    term.value.backward()
    assert student.z.grad is not None
    assert student.z.grad.any()
    assert teacher.z.grad is None
    flow["teacher"] = teacher.select(torch.arange(10).flip(0))
    with pytest.raises(ValueError, match="tables 'student' and 'teacher' must hold the same samples"):
        sampler(flow)
