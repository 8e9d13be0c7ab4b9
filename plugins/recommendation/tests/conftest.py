"""Fixtures shared by the tests of contrast-recommendation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.testing.golden import golden_cases
from contrast_recommendation.encoder import SASRec

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]


@pytest.fixture
def golden() -> Callable[[str], list[Case]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""
    return partial(golden_cases, GOLDEN)


@pytest.fixture
def sequences() -> Callable[..., Case]:
    """sequences(n, places, items, seed): a batch of random sequences of every length, with targets."""

    def draw(n: int = 12, places: int = 10, items: int = 20, seed: int = 0) -> Case:
        generator = torch.Generator().manual_seed(seed)
        length = torch.arange(n) % places + 1
        history = torch.randint(1, items + 1, (n, places), generator=generator)
        history = history.masked_fill(torch.arange(places) >= length[:, None], 0)
        target = torch.randint(1, items + 1, (n,), generator=generator)
        return {
            "item_seq": history,
            "length": length,
            "target": target,
            "sample": torch.arange(n),
            "items": torch.tensor(items),
        }

    return draw


@pytest.fixture
def encoder() -> Callable[..., SASRec]:
    """encoder(batch, **settings): a small encoder in float64, built for a batch, the same weights each time."""

    def build(batch: Case, **settings: Any) -> SASRec:
        torch.manual_seed(0)
        made = SASRec(**{"size": 8, "inner": 12, "views": (), "dropout": 0.0, "attention_dropout": 0.0, **settings})
        made.prepare(batch)
        # Larger weights than training starts with, so that attention is not nearly uniform.
        for parameter in made.parameters():
            if parameter.dim() == 2:
                torch.nn.init.normal_(parameter, std=0.5)
        return made.double()

    return build


@pytest.fixture
def rows() -> Callable[..., Embeddings]:
    """rows(z): a table of the rows, samples 0, 1, ..., that want a gradient."""

    def table(z: torch.Tensor) -> Embeddings:
        return Embeddings.of(z.clone().requires_grad_(), sample=torch.arange(len(z)))

    return table
