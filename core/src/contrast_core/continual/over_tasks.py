"""Scores over a sequence of tasks, from what was measured after each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from contrast_core.figures import Figure, Lines, Matrix
from contrast_core.interfaces import Score

SEEN = -1
"""Stands for all tasks so far in place of a task's number."""


def summary(matrix: Tensor, seen: Tensor) -> dict[str, float]:
    """What a task matrix comes to.

    With a_nk the score after task n on task k <= n, and A_n that on all tasks so far, after N tasks:

        Average           = mean_n A_n                                    (Rebuffi et al., CVPR 2017)
        Last              = A_N
        Forgetting        = mean_{k < N} (max_{k <= n < N} a_nk - a_Nk)   (Chaudhry et al., ECCV 2018, arXiv 1801.10112)
        Backward transfer = mean_{k < N} (a_Nk - a_kk)                    (Lopez-Paz and Ranzato, arXiv 1706.08840)

    The scores are such that more is better. Forgetting below 0 means that old tasks gained. With one task there is
    neither of the last two.

    Args:
        matrix: (N, N), a_nk, NaN for k > n; seen: (N,), A_n.
    """
    found = {"Average": float(seen.mean()), "Last": float(seen[-1])}
    if len(matrix) > 1:
        earlier, last = matrix[:-1, :-1], matrix[-1, :-1]
        best = torch.where(earlier.isnan(), -torch.inf, earlier).amax(0)
        found["Forgetting"] = float((best - last).mean())
        found["Backward transfer"] = float((last - earlier.diagonal()).mean())
    return found


def over_tasks(measured: Sequence[Sequence[Mapping[str, Any]]]) -> list[Score | Figure]:
    """For each evaluator and metric its scores over the tasks, the matrix and the course of A_n.

    Args:
        measured: what was measured after each task.
    """
    found: list[Score | Figure] = []
    figures: list[Figure] = []
    courses: dict[str, tuple[list[float], list[float]]] = {}
    names = [f"task {number}" for number in range(1, len(measured) + 1)]
    for evaluator, metric in dict.fromkeys((one["evaluator"], one["metric"]) for after in measured for one in after):
        matrix = torch.full((len(measured), len(measured)), float("nan"), dtype=torch.float64)
        seen = torch.full((len(measured),), float("nan"), dtype=torch.float64)
        for number, after in enumerate(measured):
            for one in after:
                if (one["evaluator"], one["metric"]) == (evaluator, metric):
                    (seen if one["on"] == SEEN else matrix[:, one["on"]])[number] = one["mean"]
        label = f"{evaluator}/{metric}"
        found += [Score(name, value, split=label) for name, value in summary(matrix, seen).items()]
        reading = "A row is the model after a task, a column the test items of a task, among all classes seen by then."
        rows = [f"after {name}" for name in names]
        figures.append(Matrix(f"{label} by task", reading, matrix, rows, names, "after \\ on"))
        courses[label] = ([float(number) for number in range(1, len(measured) + 1)], seen.tolist())
    if courses:
        figures.append(Lines("Scores over tasks", "After each task, on all tasks so far.", courses, x="task"))
    return [*found, *figures]
