"""The gradient cache gives the gradient of the full batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Encoder, Flow
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.pipeline import Pipeline, Weighted
from contrast_core.recipe import Training
from contrast_core.samplers.cross import Cross
from contrast_core.similarity import Dot
from contrast_core.training.context import Context
from contrast_core.training.gradient_cache import GradientCache
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import Runtime
from contrast_core.training.steps import Ordinary


class Two(Encoder):
    """Two networks, one for each side of a pair."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """Tables one and two."""
        rows = {"one": self.first(flow["a"]), "two": self.second(flow["b"])}
        return {name: Embeddings.of(z, sample=flow["sample"]) for name, z in rows.items()}


def network(sizes: list[int], dropout: float) -> nn.Sequential:
    """Linear, tanh, dropout, linear in float64."""
    layers = [nn.Linear(sizes[0], sizes[1]), nn.Tanh(), nn.Linear(sizes[1], sizes[2]), nn.Dropout(dropout)]
    return nn.Sequential(*layers).double()


def pipeline(encoder: Encoder, objective: InfoNCE) -> Pipeline:
    """Anchors one, candidates two."""
    return Pipeline({}, encoder, {}, {}, {"cross": Cross("one", "two")}, {"nce": Weighted(objective, 1.0)})


def gradients(made: Pipeline, step: Any, batch: dict[str, Tensor]) -> tuple[float, dict[str, Tensor]]:
    """The loss of one step, and the gradients it left."""
    training = Training(learning_rate=0.0, optimizer="sgd")
    optimizer = optimiser_for(made, training)
    context = Context(made, optimizer, Schedule(optimizer, training, 1), Runtime(), None)
    terms = step.run(context, batch)
    return terms["nce"].value.item(), {name: p.grad for name, p in made.named_parameters()}


def test_golden_case(golden: Any) -> None:
    """Loss and gradients are those of the published implementation and of the full batch."""
    (case,) = golden("gradcache")
    encoder = Two(network([6, 7, 5], 0.0), network([6, 7, 5], 0.0))
    for number, net in enumerate((encoder.first, encoder.second)):
        weights = {
            f"{k}.{end}": torch.as_tensor(case[f"in_m{number}_{k}_{end}"]) for k in (0, 2) for end in ("weight", "bias")
        }
        net.load_state_dict(weights)
    batch = {"a": torch.as_tensor(case["in_xa"]), "b": torch.as_tensor(case["in_xb"]), "sample": torch.arange(10)}
    made = pipeline(encoder, InfoNCE(temperature=1.0, similarity=Dot()))
    for step in (GradientCache(chunk=case.meta["params"]["chunk_size"]), Ordinary()):
        loss, found = gradients(made, step, batch)
        assert loss == pytest.approx(float(case["out_loss"]), rel=1e-10)
        for number, net in enumerate(("first", "second")):
            for k in (0, 2):
                for end in ("weight", "bias"):
                    expected = torch.as_tensor(case[f"grad_m{number}_{k}_{end}"])
                    torch.testing.assert_close(found[f"encoder.{net}.{k}.{end}"], expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_dropout_is_replayed(chunk: int) -> None:
    """With dropout the second pass draws what the first drew: finite differences agree with the cached gradient."""
    torch.manual_seed(0)
    encoder = Two(network([3, 8, 4], 0.4), network([3, 8, 4], 0.4))
    made = pipeline(encoder, InfoNCE(temperature=0.5, learnable_temperature=True).double())
    batch = {"a": torch.randn(9, 3).double(), "b": torch.randn(9, 3).double(), "sample": torch.arange(9)}
    torch.manual_seed(1)
    _, found = gradients(made, GradientCache(chunk), batch)
    for name, parameter in made.named_parameters():
        moved, losses = copy.deepcopy(made), []
        for sign in (1, -1):
            with torch.no_grad():
                dict(moved.named_parameters())[name].copy_(parameter).flatten()[0].add_(sign * 1e-6)
            torch.manual_seed(1)
            losses.append(gradients(moved, GradientCache(chunk), batch)[0])
        assert found[name].flatten()[0].item() == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-5, abs=1e-8)


class WithClasses(Encoder):
    """A network, and a table of classes that is the same whatever the batch."""

    gives = ("one", "two")
    shared = ("two",)

    def __init__(self, first: nn.Module):
        super().__init__()
        self.first, self.classes = first, nn.Linear(4, 9, bias=False).double()

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """Rows, and classes that are numbered like the items."""
        rows = Embeddings.of(self.first(flow["a"]), sample=flow["sample"])
        return {"one": rows, "two": Embeddings.of(self.classes.weight, sample=torch.arange(9))}


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_a_shared_table_is_there_once(chunk: int) -> None:
    """It is not put together of the chunks' copies, and its gradient is that of the full batch."""
    torch.manual_seed(0)
    made = pipeline(WithClasses(network([3, 8, 4], 0.0)), InfoNCE(temperature=0.5))
    batch = {"a": torch.randn(7, 3).double(), "sample": torch.randperm(9)[:7]}
    loss, expected = gradients(made, Ordinary(), batch)
    found_loss, found = gradients(made, GradientCache(chunk), batch)
    assert found_loss == pytest.approx(loss, rel=1e-12)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-14)


def test_inputs_of_another_length_are_refused() -> None:
    """An input that has no entry for each item is named."""
    made = pipeline(Two(network([3, 4, 2], 0.0), network([3, 4, 2], 0.0)), InfoNCE())
    batch = {"a": torch.zeros(4, 3).double(), "b": torch.zeros(5, 3).double(), "sample": torch.arange(4)}
    with pytest.raises(ContrastError, match="'b' has 5 entries for 4 items"):
        gradients(made, GradientCache(2), batch)


def test_chunks_must_not_be_empty() -> None:
    """A chunk has at least one item."""
    with pytest.raises(ValueError, match="at least 1"):
        GradientCache(0)
