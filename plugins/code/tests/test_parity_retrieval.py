"""Ranks, MRR, recall, alignment and uniformity as the authors' code computes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.testing import assert_close

from contrast_core.diagnostics.geometry import alignment, uniformity
from contrast_core.evaluation.ranking import gains, match_ranks
from contrast_core.testing.golden import Case


@pytest.mark.parametrize("number", [0, 1])
def test_reciprocal_ranks_and_what_comes_of_them(number: int, golden: Callable[[str], list[Case]]) -> None:
    """A code beyond the cutoff, or absent, counts 0; their MRR and recalls are rounded to three digits."""
    case = golden("retrieval_eval")[number]
    ranks = match_ranks(case["in_query"], case["in_code"], case["in_target"], torch.arange(len(case["in_code"])))
    found = gains(ranks, "MRR", case.meta["params"]["cutoff"])
    assert_close(found, case["out_reciprocal_ranks"].double(), rtol=1e-10, atol=0)
    assert float(found.mean()) == pytest.approx(float(case["out_mrr"]), abs=5.001e-4)
    for k in (1, 5, 10):
        assert float(gains(ranks, "Recall", k).mean()) == pytest.approx(float(case[f"out_r{k}"]), abs=5.001e-4)


@pytest.mark.parametrize("number", [0, 1])
def test_alignment_and_uniformity(number: int, golden: Callable[[str], list[Case]]) -> None:
    """Of each query with its code, and of all codes."""
    case = golden("retrieval_eval")[number]
    codes = case["in_code"].double().numpy()
    near = alignment(case["in_query"].double().numpy(), codes[case["in_pos"]])
    assert near == pytest.approx(float(case["out_align"]), rel=1e-10)
    assert uniformity(codes) == pytest.approx(float(case["out_uniform"]), rel=1e-10)
