"""The authors' Sinkhorn and OpTA, number by number."""

from __future__ import annotations

import pytest
import torch

from contrast_fewshot.opta import OpTA, classify, standardise
from contrast_fewshot.transport import balanced_assignment, overflow_free


@pytest.mark.parametrize("number", [0, 1, 2])
def test_balanced_assignment_is_the_authors(golden, number):
    """Shares and labels; in the third case epsilon = 1e-5 overflows and is raised as they do."""
    case = golden("distributed_sinkhorn")[number]
    scores, given = case["in_scores"], case["meta"]["params"]
    epsilon = overflow_free(scores, given["epsilon"])
    assert (epsilon > given["epsilon"]) == (number == 2)
    found = balanced_assignment(scores, epsilon, given["iterations"])
    tolerance = 1e-10 if scores.dtype == torch.float64 else 2e-5
    torch.testing.assert_close(found, case["out_assignment"], rtol=tolerance, atol=tolerance)
    assert torch.equal(found.argmax(1), case["out_labels"])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_episode_with_opta_is_the_authors(golden, number):
    """Standardised rows, plan, cost, prototypes after every pass, predictions and accuracy."""
    case = golden("opta_episode")[number]
    given = case["meta"]["params"]
    ways, shots = given["n_way"], given["n_shot"]
    support, queries = standardise(case["in_support"]), standardise(case["in_query"])
    torch.testing.assert_close(support, case["out_support_std"], rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(queries, case["out_query_std"], rtol=2e-5, atol=2e-5)
    prototypes = support.reshape(ways, shots, -1).mean(1)
    torch.testing.assert_close(prototypes, case["out_prototypes_before"], rtol=2e-5, atol=2e-5)
    opta = OpTA(one_shot=given["ot_passes"], ratio=given["ratio_ot"], epsilon=given["regularization"])
    moved = opta(prototypes[None], queries[None], shots)
    first = moved.plans[0]
    torch.testing.assert_close(first.cost[0], case["out_cost_matrix"], rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(first.plan[0], case["out_plan"], rtol=1e-3, atol=2e-5)
    torch.testing.assert_close((first.plan * first.cost).sum(), case["out_cost"], rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(torch.cat(moved.passes), case["out_passes"], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(moved.prototypes[0], case["out_prototypes"], rtol=1e-3, atol=1e-3)
    predicted = classify(moved.prototypes, queries[None])[0]
    assert torch.equal(predicted, case["out_predictions"])
    truth = torch.arange(ways).repeat_interleave(given["n_query"])
    assert float((predicted == truth).double().mean()) == pytest.approx(float(case["out_accuracy"]))
