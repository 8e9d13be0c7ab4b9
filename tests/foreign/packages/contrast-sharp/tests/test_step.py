"""Sam against its equation, by hand and in whole runs."""

import contextlib
import json
from pathlib import Path
from typing import Any

import contrast_core
import pytest
import torch
from contrast_core import Term
from contrast_core.assembly import assemble
from contrast_core.registry import discover
from contrast_core.runs import Interrupted, find_recipe
from contrast_core.stepper import Stepper
from torch import nn

from contrast_sharp.step import Sam

SMALL = {"training.steps": 6, "training.checkpoint_every": 2, "evaluation": {}}


class Bowl(nn.Module):
    """L(w) = sum_k a_k (w_k - n)^4, with n drawn anew in each pass, and a buffer that counts passes."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("passes", torch.tensor(0))
        self.noises: list[float] = []


class Hands:
    """What a step may do, for a bowl and plain gradient descent at rate 0.1."""

    def __init__(self, pipeline: Bowl) -> None:
        self.pipeline = pipeline

    def draw_views(self, batch: Any) -> Any:
        return batch

    def encode_views(self, viewed: Any) -> Any:
        bowl = self.pipeline
        bowl.passes += 1
        noise = torch.rand((), dtype=torch.float64)
        bowl.noises.append(float(noise))
        return (viewed["a"] * (bowl.w - noise) ** 4).sum()

    def compare(self, batch: Any, encoded: Any) -> Any:
        return encoded

    def terms(self, outputs: Any) -> dict[str, Term]:
        return {"bowl": Term(outputs, rows=1)}

    def backward(self, terms: dict[str, Term]) -> None:
        self.pipeline.zero_grad()
        terms["bowl"].value.backward()

    def update(self, outputs: Any) -> None:
        with torch.no_grad():
            self.pipeline.w -= 0.1 * self.pipeline.w.grad


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.5])
def test_two_steps_equal_the_equation(rho: float) -> None:
    """Scalars and loops, with derivatives by hand."""
    bowl, a = Bowl(), [0.1, 0.2, 0.3]
    w = bowl.w.tolist()
    for number in range(2):
        (term,) = Sam(rho).run(Hands(bowl), {"a": torch.tensor(a, dtype=torch.float64)}).values()
        noise, again = bowl.noises[2 * number :]
        assert noise == again
        slope = [4 * a[k] * (w[k] - noise) ** 3 for k in range(3)]
        length = sum(x * x for x in slope) ** 0.5
        above = [w[k] + rho * slope[k] / length for k in range(3)]
        here, there = (sum(a[k] * (x[k] - noise) ** 4 for k in range(3)) for x in (w, above))
        w = [w[k] - 0.1 * 4 * a[k] * (above[k] - noise) ** 3 for k in range(3)]
        assert bowl.w.tolist() == pytest.approx(w, rel=1e-12)
        assert float(term.value.detach()) == pytest.approx(here, rel=1e-12)
        assert term.scalars["sharpness"] == pytest.approx(there - here, rel=1e-9, abs=1e-12)
    assert bowl.noises[0] != bowl.noises[2]
    assert int(bowl.passes) == 2


def test_on_a_flat_place_it_stays() -> None:
    """No gradient, no direction: nothing is divided by zero."""
    bowl = Bowl()
    Sam().run(Hands(bowl), {"a": torch.zeros(3, dtype=torch.float64)})
    assert bowl.w.tolist() == [1.0, -2.0, 0.5]


@pytest.mark.parametrize("rho", [-1.0, float("nan")])
def test_a_negative_rho_is_refused(rho: float) -> None:
    """The sentence says what would be right."""
    with pytest.raises(ValueError, match="at least 0"):
        Sam(rho)


def losses(folder: Path) -> list[float]:
    """The loss of each step of a run."""
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def stepped(settings: dict[str, Any]) -> list[float]:
    """The losses of four steps on the same batches of digits."""
    registry = discover()
    data = assemble(find_recipe("sharp/digits", registry), registry).data
    stepper = Stepper("sharp/digits", first=data.batch(torch.arange(64)), set=settings, steps=4)
    torch.manual_seed(0)
    batches = [data.batch(torch.arange(64 * number, 64 * number + 64)) for number in range(4)]
    return [float(sum(t.weight * t.value.detach() for t in stepper.step(b).values())) for b in batches]


@pytest.mark.parametrize("when", ["after-update", "before-pairs"])
def test_with_rho_0_it_is_the_ordinary_step(when: str) -> None:
    """Bit for bit, and whenever the memory is written, although it has two places a class to draw for."""
    memory = {"memory.reservoirs.when": when, "memory.reservoirs.size": 2}
    plain = stepped({**memory, "step.use": "core/ordinary"})
    assert stepped({**memory, "step.rho": 0.0}) == plain
    assert stepped({**memory, "step.rho": 0.5})[1:] != plain[1:]


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Stopped after step 5 of 6, resumed from the checkpoint of step 4."""

    def stop(done: int, total: int, text: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    whole = contrast_core.run("sharp/digits", set=SMALL, out=tmp_path / "whole").folder
    with contextlib.suppress(Interrupted):
        contrast_core.run("sharp/digits", set=SMALL, out=tmp_path / "broken", progress=stop)
    assert len(losses(tmp_path / "broken")) < 6
    broken = contrast_core.resume(tmp_path / "broken").folder
    assert losses(whole) == losses(broken)
    for file in ("model.safetensors", "embedding.safetensors"):
        assert (whole / file).read_bytes() == (broken / file).read_bytes()
