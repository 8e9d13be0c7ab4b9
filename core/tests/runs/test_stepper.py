"""A recipe's training in somebody else's loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.errors import ContrastError
from contrast_core.registry import Registry
from contrast_core.stepper import Stepper
from contrast_core.training.loader import batches


def numbers(recipe: Path, registry: Registry) -> tuple[torch.Tensor, list[list[int]]]:
    """The rows that a run of the recipe trains on, and which of them are in each of its batches."""
    from contrast_core.assembly import assemble
    from contrast_core.recipe import load_recipe

    resolved = load_recipe(recipe)
    data = assemble(resolved, registry).data
    rows = data.batch(torch.arange(len(data)))["x"]
    order = [
        batch["sample"].tolist()
        for epoch in range(resolved.training.epochs)
        for batch in batches(data, resolved.training, epoch)
    ]
    return rows, order


def test_the_same_batches_give_the_same_weights_as_a_run(recipe: Path, registry: Registry) -> None:
    """Batches that come from outside, one after the other: bit for bit what the run's own loop makes of them."""
    folder = runs.run(recipe, registry=registry).folder
    rows, order = numbers(recipe, registry)

    def batch(items: list[int]) -> dict[str, torch.Tensor]:
        return {"x": rows[items], "sample": torch.tensor(items)}

    stepper = Stepper(recipe, batch([0, 1, 2, 3]), registry=registry)
    for items in order:
        terms = stepper.step(batch(items))
    assert stepper.done == len(order) == 9
    assert set(terms) == {"spread"}
    trained = load_file(folder / "model.safetensors")
    assert trained.keys() == stepper.pipeline.state_dict().keys()
    assert all(torch.equal(trained[name], tensor) for name, tensor in stepper.pipeline.state_dict().items())


def test_making_one_draws_from_generators_of_its_own(recipe: Path, registry: Registry) -> None:
    """Weights follow the recipe's seed, and the loop's own random numbers stay what they were."""
    first = {"x": torch.zeros(4, 3), "sample": torch.arange(4)}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = Stepper(recipe, first, registry=registry, set={"training.seed": 1})
    assert torch.equal(torch.rand(3), expected)
    same = Stepper(recipe, first, registry=registry, set={"training.seed": 1}).pipeline.state_dict()
    other = Stepper(recipe, first, registry=registry, set={"training.seed": 2}).pipeline.state_dict()
    own = one.pipeline.state_dict()
    assert all(torch.equal(own[name], same[name]) for name in own)
    assert not all(torch.equal(own[name], other[name]) for name in own)


def test_the_schedule_follows_the_number_of_steps(recipe: Path, registry: Registry) -> None:
    """A cosine needs to know where it ends, and ends there."""
    first = {"x": torch.randn(4, 3), "sample": torch.arange(4)}
    cosine = {"training.schedule": "cosine"}
    with pytest.raises(ContrastError, match="depends on the number of steps"):
        Stepper(recipe, first, registry=registry, set=cosine)
    stepper = Stepper(recipe, first, registry=registry, set=cosine, steps=4)
    rates = []
    for _ in range(4):
        stepper.step(first)
        rates.append(stepper.optimizer.param_groups[0]["lr"] / stepper.training.learning_rate)
    assert rates == pytest.approx([1.0, 0.5 + 0.5**0.5 / 2, 0.5, 0.5 - 0.5**0.5 / 2])


def test_stages_are_refused(recipe: Path, registry: Registry) -> None:
    """A recipe of several stages changes its parts on the way, which a loop of batches can't."""
    staged = recipe.with_name("staged.toml")
    staged.write_text(recipe.read_text() + '\n[[stage]]\nname = "a"\n[[stage]]\nname = "b"\n')
    with pytest.raises(ContrastError, match="has 2 stages"):
        Stepper(staged, {"x": torch.zeros(4, 3), "sample": torch.arange(4)}, registry=registry)
