"""The model of many processes: closed form, simulation, and what real processes send."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The benchmark's model."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import scaling_model

    yield scaling_model
    for name in ("scaling_model", "scaling_count"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("design", ["shared", "unshared", "ring"])
@pytest.mark.parametrize("processes", [1, 2, 7, 64])
def test_the_simulation_without_jitter_is_the_closed_form(model: Any, design: str, processes: int) -> None:
    """To 1e-9; with jitter somebody is always waited for."""
    link, rates = model.Link("a link", 1e-4, 1e8), model.Rates(1e-8, 1e-6)
    phases = model.DESIGNS[design](model.Job(processes, 512 * processes, 64, parameters=100_000), rates)
    closed = model.seconds(phases, link)
    assert model.simulated(phases, processes, link) == pytest.approx(closed, rel=1e-9)
    if processes > 2:
        assert model.simulated(phases, processes, link, 0.2, np.random.default_rng(0)) > closed


def test_one_late_process_holds_up_all(model: Any) -> None:
    """In a ring of P - 1 steps a delay of one process reaches everybody."""
    phases = [model.Phase("work", 1, compute=1.0), *model.gathered("tables", 5, 1000.0)]
    late = iter([np.array([0.0, 0.0, 1.0, 0.0, 0.0])])

    class Rng:
        def standard_normal(self, count: int) -> Any:
            return next(late, np.zeros(count))

    link = model.Link("a link", 0.5, 1e4)
    found = model.simulated(phases, 5, link, jitter=np.log(3.0), rng=Rng())
    assert found == pytest.approx(3.0 + 4 * 0.6)


def test_sharing_costs_thrice_the_table_and_divides_the_pairs(model: Any) -> None:
    """With many processes: n d numbers gathered, twice that added up, and the largest share of tiles."""
    job, rates = model.Job(64, 65536, 128, columns=0), model.Rates(1e-9, 0.0)
    phases = model.shared(job, rates)
    table = 65536 * 128 * 4 * 63 / 64
    assert model.sent(phases, "tables") == pytest.approx(table)
    assert model.sent(phases, "gradients") == pytest.approx(2 * table)
    tiles = 128 * 129 // 2
    assert job.busiest(512) == pytest.approx(-(-tiles // 64) / tiles)
    assert model.seconds(phases, model.Link("", 0, 1e9), "pairs") == pytest.approx(65536**2 * 1e-9 * job.busiest(512))


def test_a_small_problem_is_not_shared(model: Any) -> None:
    """As in the engine, where messages would cost more than the pairs."""
    names = {phase.name for phase in model.shared(model.Job(2, 200, 8), model.Rates(1e-9, 0.0))}
    assert not names & {"sums", "gradients"}


@pytest.mark.parametrize(("processes", "clip"), [(2, False), (3, True)])
def test_real_processes_send_what_the_model_says(model: Any, processes: int, clip: bool) -> None:
    """Every collective of one step over gloo, by purpose, to the byte."""
    import scaling_count

    assert scaling_count.counted(processes, clip) == pytest.approx(scaling_count.expected(processes, clip))
