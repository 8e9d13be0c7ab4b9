"""What a report draws of pairs: histograms and the penalty's curve as plain numbers, which JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from contrast_core.diagnostics.hardness import penalties
from contrast_core.diagnostics.histograms import similarity_histograms
from contrast_core.pairs import Pairs

USUAL_TEMPERATURE = 0.1
"""What is drawn where a recipe names none."""
HARDEST = 10
"""How many of an anchor's nearest negatives are counted as the hardest."""


def picture(pairs: Pairs, temperature: float) -> dict[str, Any]:
    """Cosines of the pairs, and how a softmax of this temperature would penalise the negatives.

    Returns:
        temperature; similarity, the middles of bins, with positives, negatives and hardest, the pairs in each; level,
        the middles of other bins, with penalty, the mean relative penalty of a negative in each, None where there is
        none; summary, see `Penalties.summary`.

    Raises:
        ValueError: if the tables have no vectors z of one length, one of them is not finite, or the temperature is not
            positive.
    """
    counts, found = similarity_histograms(pairs, k=HARDEST), penalties(pairs, temperature)
    return {
        "temperature": temperature,
        "similarity": counts.centres.tolist(),
        "positives": counts.positives.tolist(),
        "negatives": counts.negatives.tolist(),
        "hardest": counts.hardest.tolist(),
        "level": ((found.edges[1:] + found.edges[:-1]) / 2).tolist(),
        "penalty": [None if math.isnan(mean) else mean for mean in found.mean.tolist()],
        "summary": found.summary(),
    }


def temperature_in(recipe: Mapping[str, Any]) -> float | None:
    """The temperature that a recipe's first objective with one writes, in the last stage that writes one."""
    stages = recipe.get("stage")
    tables = [*reversed(stages if isinstance(stages, list) else []), recipe]
    for table in tables:
        objectives = table.get("objective") if isinstance(table, Mapping) else None
        for section in objectives.values() if isinstance(objectives, Mapping) else ():
            value = section.get("temperature") if isinstance(section, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
                return float(value)
    return None
