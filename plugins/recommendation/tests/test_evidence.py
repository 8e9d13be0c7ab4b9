"""The benchmark's tables and intervals do what loops do."""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "evidence.py"


@pytest.fixture(scope="module")
def evidence() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("recommendation_evidence", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ndcg(rank: int) -> float:
    """In per cent, of lists of 20."""
    return 100 / math.log2(1 + rank) if rank <= 20 else 0.0


def drawn(seed: int) -> torch.Tensor:
    """Ranks of 30 users."""
    return torch.randint(1, 60, (30,), generator=torch.Generator().manual_seed(seed))


def line(title: str, seed: int, score: float, **geometry: float) -> dict[str, Any]:
    """What the benchmark keeps of a run."""
    names = ["HR@10", "HR@20", "NDCG@10", "NDCG@20", "MRR"]
    kept: dict[str, Any] = {"variant": title, "seed": seed, "epochs": 1, "steps": 8, "seconds": 2.0, "data": "Some."}
    return {**kept, "scores": dict.fromkeys(names, score), "geometry": geometry}


def test_scores_are_means_over_users(evidence: ModuleType) -> None:
    """MRR is not cut off at any length of the list."""
    ranks = [1, 2, 15, 40, 1000]
    expected = {"MRR": sum(1 / r for r in ranks) / 5}
    for k in (10, 20):
        expected[f"HR@{k}"] = sum(r <= k for r in ranks) / 5
        expected[f"NDCG@{k}"] = sum(1 / math.log2(1 + r) for r in ranks if r <= k) / 5
    assert evidence.scores(torch.tensor(ranks)) == pytest.approx(expected)


def test_the_difference_is_a_mean_over_users_and_common_seeds(evidence: ModuleType) -> None:
    """A seed that only one of the two has is left out, and the interval is of users resampled in pairs."""
    ranks = {("SASRec", 0): drawn(0), ("SASRec", 1): drawn(1), ("MCLRec", 0): drawn(2), ("MCLRec", 1): drawn(3)}
    ranks["MCLRec", 2] = drawn(4)
    apart = [
        sum(ndcg(int(ranks["MCLRec", s][u])) - ndcg(int(ranks["SASRec", s][u])) for s in (0, 1)) / 2 for u in range(30)
    ]
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(30, (30,), generator=generator).tolist() for _ in range(2000)]
    means = [statistics.mean(apart[u] for u in draw) for draw in draws]
    low, high = np.quantile(means, [0.025, 0.975])
    expected = f"{statistics.mean(apart):+.2f} [{low:+.2f}, {high:+.2f}]"
    assert evidence.difference(ranks, "MCLRec", "SASRec") == expected


def test_there_is_no_difference_to_itself_or_to_what_is_missing(evidence: ModuleType) -> None:
    """Neither cell is filled."""
    ranks = {("SASRec", 0): drawn(0), ("MCLRec", 1): drawn(1)}
    assert evidence.difference(ranks, "SASRec", "SASRec") == ""
    assert evidence.difference(ranks, "MCLRec", "SASRec") == ""


def test_the_table_has_means_and_deviations_over_the_seeds_that_are_there(evidence: ModuleType) -> None:
    """One seed has no deviation; a method without views has no geometry."""
    found = [line("SASRec", 0, 0.1), line("MCLRec", 0, 0.1), line("MCLRec", 2, 0.2)]
    for each in found[1:]:
        each["geometry"] = {"alignment h": float(each["seed"])}
    text = evidence.table(found, {}, "python it")
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("|")]
    assert cells[2] == ["SASRec", "0", "8", "2", *["10.00"] * 5, "", ""]
    assert cells[3] == ["MCLRec", "0, 2", "8", "2", *["15.00 ± 7.07"] * 5, "", ""]
    assert cells[6] == ["MCLRec", "1.000 ± 1.414", *[""] * 5]
    assert len(cells) == 7


def test_runs_are_done_if_line_and_ranks_are_there(evidence: ModuleType, tmp_path: Path) -> None:
    """Neither a run whose ranks are lost nor one of another length counts."""
    lines = [line("MCLRec", 0, 0.1), line("MCLRec", 1, 0.1), {**line("MCLRec", 2, 0.1), "epochs": 9}]
    log = tmp_path / "some.jsonl"
    log.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    for seed in (0, 2):
        np.savez(evidence.ranks_file(tmp_path, "some", "MCLRec", seed), test=drawn(seed).numpy())
    found, ranks = evidence.read(log, tmp_path, 1)
    assert list(found) == [("MCLRec", 0)]
    assert torch.equal(ranks["MCLRec", 0], drawn(0))


def test_all_methods_make_as_many_encoder_updates(evidence: ModuleType) -> None:
    """Joint training makes one a batch, so it has twice the epochs of the others."""
    from contrast_core.registry import discover
    from contrast_core.runs import find_recipe

    updates = set()
    for recipe, settings in evidence.variants(3, beauty=False).values():
        step = find_recipe(recipe, discover()).single("step")
        order = ["encoder"] if step is None else step.options.get("updates", ["encoder", "augmenters", "encoder"])
        updates.add(settings["training.epochs"] * order.count("encoder"))
    assert updates == {6}
