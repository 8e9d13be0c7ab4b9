"""Fixtures shared by the tests of contrast-core."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, PairSampler, Term
from contrast_core.pairs import Pairs

GOLDEN = Path(__file__).parent / "golden"


class Case(dict[str, Any]):
    """One golden case: tensors by name, and what describes them as `case.meta` (or case["meta"])."""

    @property
    def meta(self) -> dict[str, Any]:
        """System, function, source, params and note."""
        return self["meta"]  # type: ignore[no-any-return]


@pytest.fixture
def golden() -> Callable[[str], list[Case]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""

    def load(name: str) -> list[Case]:
        cases = []
        for path in sorted(GOLDEN.glob(f"{name}-*.npz")):
            with np.load(path, allow_pickle=False) as file:
                case = Case({key: torch.tensor(file[key]) for key in file.files if key != "meta"})
                case["meta"] = json.loads(str(file["meta"]))
            cases.append(case)
        if not cases:
            raise FileNotFoundError(f"No golden case called {name!r} lies in {GOLDEN}.")
        return cases

    return load


@pytest.fixture
def run() -> Callable[..., Term]:
    """run(objective, sampler, one=table, two=table, ...) -> its one term; memories are given by name too."""

    def evaluate(objective: Objective, sampler: PairSampler | None = None, **flow: Any) -> Term:
        pairs: Mapping[str, Pairs] = sampler(flow) if sampler is not None else {}
        tables = {name: value for name, value in flow.items() if isinstance(value, Embeddings)}
        term = objective(Outputs(tables, pairs, {}))
        assert isinstance(term, Term)
        return term

    return evaluate


@pytest.fixture
def table() -> Callable[..., Embeddings]:
    """table(z, **columns): a table whose rows are samples 0, 1, ..., unless columns say otherwise."""

    def make(z: Tensor, **columns: Any) -> Embeddings:
        return Embeddings.of(z, **{"sample": torch.arange(len(z)), **columns})

    return make


@pytest.fixture
def rows() -> Callable[..., Tensor]:
    """rows(n, d, seed): float64 normal rows that want a gradient."""

    def draw(n: int, d: int = 8, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, d, generator=generator, dtype=torch.float64).requires_grad_()

    return draw
