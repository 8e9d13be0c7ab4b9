"""Parameter groups by pattern, and the schedule's closed form."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from contrast_core.errors import ContrastError
from contrast_core.pipeline import Pipeline, Weighted
from contrast_core.recipe import Group, Training
from contrast_core.training.optimiser import Schedule, optimiser_for


def pipeline(parts: SimpleNamespace) -> Pipeline:
    """An encoder with a frozen layer, a sampler and an objective with parameters."""
    memories = {"last": parts.Last("after-update")}
    return Pipeline({}, parts.Net(), {}, memories, {"seen": parts.Seen("last")},
                    {"spread": Weighted(parts.Spread(), 1.0)})  # fmt: skip


def test_groups_are_filled_in_order_and_the_rest_remains(parts: SimpleNamespace) -> None:
    """Names are paths in the recipe; the first group that matches has a parameter."""
    made = pipeline(parts)
    groups = {
        "norm": Group(["encoder.norm.*"], learning_rate=0.5, weight_decay=0.1),
        "encoder": Group(["encoder.*"]),
        "centre": Group(["objective.spread.centre", "nothing.*"], learning_rate=0.0),
    }
    optimizer = optimiser_for(made, Training(learning_rate=0.01, groups=groups))
    found = {group["name"]: group for group in optimizer.param_groups}
    assert [group["lr"] for group in found.values()] == [0.5, 0.01, 0.0, 0.01]
    assert found["norm"]["weight_decay"] == 0.1
    assert {id(p) for p in found["encoder"]["params"]} == {id(p) for p in made.encoder.layer.parameters()}
    assert [p.shape for p in found["rest"]["params"]] == [torch.Size([])]
    trained = {id(p) for group in found.values() for p in group["params"]}
    assert not trained & {id(p) for p in made.encoder.frozen.parameters()}


def test_a_group_without_parameters_says_what_there_is(parts: SimpleNamespace) -> None:
    """In the words of the recipe."""
    with pytest.raises(ContrastError, match=r"\[training.groups.x\] matches no parameter: samplers.\*; there are "
                                            r"encoder.\*, objective.spread.\*, sampler.seen.\*\."):  # fmt: skip
        optimiser_for(pipeline(parts), Training(groups={"x": Group(["samplers.*"])}))


def test_nothing_to_train_is_refused() -> None:
    """All frozen."""
    with pytest.raises(ContrastError, match="No part of this recipe has parameters to train"):
        optimiser_for(nn.Linear(1, 1).requires_grad_(False), Training())


@pytest.mark.parametrize(("name", "cls"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_each_optimiser(name: str, cls: str) -> None:
    """With the plan's numbers."""
    optimizer = optimiser_for(nn.Linear(1, 1), Training(optimizer=name, weight_decay=0.25, momentum=0.5))  # type: ignore[arg-type]
    assert type(optimizer).__name__ == cls
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    assert optimizer.param_groups[0].get("momentum", 0.5) == 0.5


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
@pytest.mark.parametrize("warmup", [0, 3, 20])
def test_schedule_in_closed_form(schedule: str, warmup: int) -> None:
    """lr(t) = lr (t + 1) / w for t < w, then lr, lr (1 + cos(pi p)) / 2 or lr (1 - p) with p = (t - w) / (T - w)."""
    training = Training(schedule=schedule, warmup_steps=warmup, learning_rate=0.3)  # type: ignore[arg-type]
    optimizer = optimiser_for(nn.Linear(1, 1), training)
    made = Schedule(optimizer, training, steps=10)
    for step in (0, 1, 2, 3, 7, 9, 10, 2, 25):
        made.set(step)
        if step < warmup:
            expected = 0.3 * (step + 1) / warmup
        elif schedule == "constant":
            expected = 0.3
        elif schedule == "linear":
            expected = 0.3 * (1 - min(1.0, (step - warmup) / max(1, 10 - warmup)))
        else:
            expected = 0.15 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, 10 - warmup))))
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-12)
