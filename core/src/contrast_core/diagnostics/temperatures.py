"""The dilemma of uniformity and tolerance: what the temperature does to an embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from contrast_core.diagnostics.geometry import tolerance, uniformity
from contrast_core.diagnostics.rows import Array
from contrast_core.diagnostics.spectra import effective_rank

Trained = tuple[Array, Array] | tuple[Array, Array, float]
"""Embeddings (n, d), labels (n,) and, if it is known, an accuracy."""


def uniformity_tolerance_curve(
    temperatures: Sequence[float], train: Callable[[float], Trained]
) -> list[dict[str, Any]]:
    """Train at each temperature and measure: a low one spreads rows out, a high one keeps classes together.

    Args:
        temperatures: each is trained with once, in this order.
        train: from a temperature to (z, labels) or (z, labels, accuracy).

    Returns:
        A row for each temperature: temperature, uniformity, tolerance, effective_rank and, if given, accuracy.
        `contrast sweep` draws the same for any key of a recipe.

    Raises:
        ValueError: if there is no temperature, or what was trained is no embedding with labels.

    Paper: Wang and Liu, Understanding the Behaviour of Contrastive Loss, CVPR 2021, arXiv 2012.09740.
    """
    if not len(temperatures):
        raise ValueError("A curve needs at least one temperature.")
    rows = []
    for temperature in temperatures:
        z, labels, *accuracy = train(temperature)
        row = {
            "temperature": temperature,
            "uniformity": uniformity(z),
            "tolerance": tolerance(z, labels),
            "effective_rank": effective_rank(z),
        }
        rows.append({**row, **({"accuracy": accuracy[0]} if accuracy else {})})
    return rows
