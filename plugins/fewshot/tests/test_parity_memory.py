"""DyCE as published, number by number, and its mask."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_fewshot.enhancement import enhanced
from contrast_fewshot.mask import masked
from contrast_fewshot.published import PublishedDyCE


def memory_of(case, **settings):
    """A published memory in the state of a golden case."""
    bank = case["in_bank"].T
    size, dimension = bank.shape
    prototypes = case["in_prototypes"] if "in_prototypes" in case else torch.zeros(3, dimension)
    made = PublishedDyCE(size=size, dimension=dimension, prototypes=len(prototypes), **settings)
    made.rows.copy_(bank)
    made.pointer.copy_(case["in_pointer"])
    if "in_labels" in case:
        made.partition.copy_(case["in_labels"])
        made.centres.copy_(prototypes)
        made.clustered.fill_(True)
    return made


def state_is(memory, case):
    """The state after a batch is the golden one."""
    torch.testing.assert_close(memory.rows, case["out_bank"].T, rtol=2e-5, atol=2e-5)
    assert int(memory.pointer) == int(case["out_pointer"])
    if "out_labels" in case:
        assert torch.equal(memory.partition, case["out_labels"])
        torch.testing.assert_close(memory.centres, case["out_prototypes"], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_batch_is_written_as_published(golden, number):
    """Bank, pointer (once past the end), labels and prototypes; the third with the distance as score."""
    case = golden("dyce_memory_update")[number]
    given = case["meta"]["params"]
    memory = memory_of(
        case,
        epsilon=given["epsilon"],
        iterations=given["sinkhorn_iterations"],
        momentum=given["momentum"],
        metric=given["metric"],
    )
    memory.write(Embeddings.of(case["in_batch"]))
    state_is(memory, case)


@pytest.mark.parametrize("name", ["dyce_topk_unclustered", "dyce_topk_fallback"])
def test_the_enhanced_batch_is_as_published(golden, name):
    """Rows in their order, before there are partitions and with small ones; appended rows carry no gradient."""
    case = golden(name)[0]
    memory = memory_of(case, metric="cosine", epsilon=0.05, iterations=10, momentum=0.0)
    batch = case["in_batch"].requires_grad_()
    memory.write(Embeddings.of(batch))
    found = enhanced(batch, memory, case["meta"]["params"]["topk"])
    torch.testing.assert_close(found, case["out_enhanced"], rtol=2e-5, atol=2e-5)
    (gradient,) = torch.autograd.grad((found * case["in_weights"]).sum(), batch)
    torch.testing.assert_close(gradient, case["grad_batch"], rtol=2e-5, atol=2e-5)
    state_is(memory, case)


def test_a_retrieved_row_number_is_that_within_the_partition():
    """The published defect: intended are rows of the query's partition, given are the first of the bank."""
    generator = torch.Generator().manual_seed(0)
    memory = PublishedDyCE(size=12, dimension=3, prototypes=2)
    memory.rows.copy_(functional.normalize(torch.randn(12, 3, generator=generator), dim=1))
    memory.partition.copy_(torch.tensor([0] * 6 + [1] * 6))
    memory.centres.copy_(torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]]))
    memory.clustered.fill_(True)
    query = torch.tensor([[-1.0, 0.1, 0], [-1.0, 0, 0.1]])
    similarity = functional.normalize(query, dim=1) @ memory.rows[6:].T
    within = similarity.topk(2).indices
    assert torch.equal(memory.neighbours(query, 2), within)
    assert bool((memory.partition[within] == 0).all())


def test_after_an_empty_partition_prototypes_are_divided_by_another_size():
    """Of three partitions the second is empty: the third's sum is divided by 0.001 and not by its size."""
    memory = PublishedDyCE(size=9, dimension=2, prototypes=3, metric="cosine")
    generator = torch.Generator().manual_seed(0)
    memory.rows.copy_(torch.randn(9, 2, generator=generator))
    memory.centres.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.01], [0.0, 1.0]]))
    memory.partition.copy_(torch.tensor([0, 0, 0, 0, 2, 2, 2, 2, 2]))
    memory.clustered.fill_(True)
    sizes = memory._divisors()
    torch.testing.assert_close(sizes, torch.tensor([4.0, 5.0, 0.001]))


def test_masked_patches_are_zero(golden):
    """In every channel."""
    case = golden("apply_mask")[0]
    found = masked(case["in_images"], case["in_mask"], case["meta"]["params"]["patch_size"])
    assert torch.equal(found, case["out_images"])
