"""Numbers that belong together."""

from __future__ import annotations

import math

import torch

from contrast_core.objectives.segments import Segments


def test_segments() -> None:
    """Sums, sizes, log-sum-exps and softmax of numbers that belong together; one segment is empty, one all -inf."""
    segments = Segments(torch.tensor([0, 2, 0, 3, 3]), 4)
    values = torch.tensor([800.0, 1.0, 800.0, -math.inf, -math.inf], dtype=torch.float64, requires_grad=True)
    logarithms = segments.logsumexp(values)
    assert logarithms.tolist() == [800 + math.log(2), -math.inf, 1.0, -math.inf]
    assert torch.autograd.grad(logarithms[[0, 2]].sum(), values)[0].tolist() == [0.5, 1.0, 0.5, 0.0, 0.0]
    torch.testing.assert_close(segments.softmax(values).tolist(), [0.5, 1.0, 0.5, 0.0, 0.0])
    assert segments.sum(torch.arange(5)).tolist() == [2, 0, 1, 7]
    assert segments.sizes().tolist() == [2, 0, 1, 2]
