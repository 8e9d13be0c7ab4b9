"""Training steps: the ordinary one, and one with two updates of different groups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from attrs import evolve

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow, Step, Term
from contrast_core.pipeline import Pipeline, Weighted
from contrast_core.recipe import Group, Training
from contrast_core.training.context import Context
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import Runtime
from contrast_core.training.steps import Ordinary

GROUPS = {"encoder": Group(["encoder.*"])}


def context_of(pipeline: Pipeline) -> Context:
    """A context with plain gradient descent."""
    training = Training(optimizer="sgd", momentum=0.0, learning_rate=0.5, groups=GROUPS)
    optimizer = optimiser_for(pipeline, training)
    return Context(pipeline, optimizer, Schedule(optimizer, training, 10), Runtime(), None)


def test_the_ordinary_step_is_gradient_descent_on_the_sum(parts: SimpleNamespace) -> None:
    """theta - lr dL/dtheta, by hand."""
    composition = parts.make()
    pipeline = composition.pipeline.train()
    batch = composition.data.batch(torch.arange(6))
    torch.manual_seed(2)
    loss = pipeline.terms(pipeline(batch))["spread"].value
    trained = [p for p in pipeline.parameters() if p.requires_grad]
    expected = [p - 0.5 * g for p, g in zip(trained, torch.autograd.grad(loss, trained), strict=True)]
    torch.manual_seed(2)
    terms = Ordinary().run(context_of(pipeline), batch)
    assert terms["spread"].value.item() == loss.item()
    assert all(torch.equal(p, q) for p, q in zip(trained, expected, strict=True))


class Turns(Step):
    """One backward; the encoder moves first, then the objective's centre, by the same gradients."""

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Notes what moved."""
        pipeline = context.pipeline
        outputs = context.outputs(batch)
        terms = context.terms(outputs)
        context.backward(terms)
        centre, layer = pipeline.objectives["spread"].centre, pipeline.encoder.layer.weight
        a, b = centre.detach().clone(), layer.detach().clone()
        context.update(outputs, only="encoder")
        assert torch.equal(centre, a)
        assert not torch.equal(layer, b)
        b = layer.detach().clone()
        context.update(outputs, only=["rest"])
        assert not torch.equal(centre, a)
        assert torch.equal(layer, b)
        return terms


def test_a_step_may_update_groups_in_turn(parts: SimpleNamespace, tmp_path: Path) -> None:
    """Gradients of the waiting group are kept; Adam's memory does not move the other group."""
    assert parts.fit(parts.make(step=Turns(), groups=GROUPS, epochs=1), tmp_path)[0] == 3


def test_two_updates_in_a_step_are_one_step_of_the_schedule(parts: SimpleNamespace, tmp_path: Path) -> None:
    """A half cosine over six steps is not over after three."""
    rates = []

    class Watching(Turns):
        def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
            rates.append(context.optimizer.param_groups[0]["lr"])
            return super().run(context, batch)

    parts.fit(parts.make(step=Watching(), groups=GROUPS, epochs=2, schedule="cosine", learning_rate=1.0), tmp_path)
    assert rates == pytest.approx([(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)])


def test_an_unknown_group_is_named(parts: SimpleNamespace) -> None:
    """Rather than silently updating nothing."""
    composition = parts.make()
    context = context_of(composition.pipeline)
    outputs = context.outputs(composition.data.batch(torch.arange(4)))
    with pytest.raises(ContrastError, match=r"the group 'encoders', which is none of .*: there are encoder, rest\."):
        context.update(outputs, only=["encoders"])


def test_a_loss_without_parameters_is_refused(parts: SimpleNamespace) -> None:
    """One sentence that names its terms."""
    context = context_of(parts.make().pipeline)
    with pytest.raises(ContrastError, match=r"No loss term \(a, b\) depends on a parameter"):
        context.backward({"a": Term(torch.tensor(1.0), 1), "b": Term(torch.tensor(2.0), 1)})


@pytest.mark.parametrize(("when", "expected"), [("after-update", [0, 4, 8]), ("before-pairs", [4, 8, 12])])
def test_when_a_memory_sees_a_step(parts: SimpleNamespace, tmp_path: Path, when: str, expected: list[int]) -> None:
    """After the update a step never meets its own rows; and diagnoses never write."""
    composition = parts.make(parts.Rows(12), epochs=1, diagnose_every=1)
    seen = parts.Seen("last")
    pipeline = Pipeline({}, parts.Net(), {}, {"last": parts.Last(when)}, {"seen": seen},
                        {"spread": Weighted(parts.Spread(), 1.0)})  # fmt: skip
    parts.fit(evolve(composition, pipeline=pipeline), tmp_path)
    assert [len(each) for each in seen.seen] == expected
    assert sorted(pipeline.memories["last"].samples.tolist()) == list(range(12))
