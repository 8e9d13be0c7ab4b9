"""A component at work: its surroundings built anew for each check, always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, final

import torch
from attrs import evolve, frozen
from torch import Tensor

from contrast_core.compose import Composition, compose
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Data, Outputs, Term
from contrast_core.pipeline import Pipeline
from contrast_core.testing.examples import Example
from contrast_core.testing.outcome import Violation
from contrast_core.training.checkpoint import own_randomness, seed_everything
from contrast_core.training.legs import marked
from contrast_core.training.loader import training_items

if TYPE_CHECKING:
    from contrast_core.testing.session import Session

ITEMS = 24
"""Items in a batch that is looked at."""


@frozen(eq=False)
class Ready:
    """A pipeline that has seen two batches, and the encoded rows of a third.

    Args:
        pipeline: in evaluation mode, what comes after the encoder in float64.
        part: the component that is looked at, in this pipeline.
        flow: the batch, what the views made of it, and the encoder's tables: float64 leaves that want a gradient.
        batch: the batch alone.
        tables: the encoder's tables alone.
    """

    pipeline: Pipeline
    part: Any
    flow: Mapping[str, Any]
    batch: Mapping[str, Any]
    tables: Mapping[str, Embeddings]

    def outputs(self, tables: Mapping[str, Embeddings] | None = None) -> Outputs:
        """What objectives see of the tables, or of others in their place."""
        return self.pipeline.compare(self.batch, {**self.flow, **(self.tables if tables is None else tables)})

    def terms(self, tables: Mapping[str, Embeddings] | None = None) -> dict[str, Term]:
        """The terms of the objective that is looked at, or of all."""
        outputs = self.outputs(tables)
        if self.part not in list(self.pipeline.objectives.values()):
            return self.pipeline.terms(outputs)
        return named(self.part(outputs))

    def loss(self, tables: Mapping[str, Embeddings] | None = None) -> Tensor:
        """The weighted sum of these terms."""
        return torch.stack([term.weight * term.value for term in self.terms(tables).values()]).sum()

    def leaves(self) -> list[Tensor]:
        """The tables' fields."""
        return [x for t in self.tables.values() for x in t.fields.values() if x.requires_grad]


@final
class Bench:
    """Builds what a check of one example needs.

    Args:
        example: the component in its recipe.
        session: what the examples of a plugin share.
    """

    def __init__(self, example: Example, session: Session):
        self.example, self.session = example, session
        self._ready: Ready | None = None
        self._template: tuple[Composition, Any] | None = None

    def data(self) -> Data:
        """The recipe's data set, loaded once."""
        key = str(self.example.recipe.tree.get("data"))
        loaded = self.session.loaded
        if key not in loaded:
            data = compose(self.example.recipe, self.session.registry).data
            with own_randomness():
                data.load()
            loaded[key] = data
        return loaded[key]

    def composition(self) -> tuple[Composition, Any]:
        """The recipe, composed and prepared with the same weights each time, and the part that is looked at."""
        if self._template is None:
            self._template = self._prepared()
        made, part = self._template
        if part is made.data:
            return self._prepared()
        # All that a check may change; preparing anew would give the same and can take long.
        copied = deepcopy((made.pipeline, made.step, made.evaluators, part), {id(made.data): made.data})
        return evolve(made, pipeline=copied[0], step=copied[1], evaluators=copied[2]), copied[3]

    def _prepared(self) -> tuple[Composition, Any]:
        seed_everything(self.example.recipe.training.seed)
        made = compose(self.example.recipe, self.session.registry)
        part = made.parts[self.example.path].part
        if part is made.data:
            made.data.load()
        else:
            made = evolve(made, data=self.data())
        batch = made.data.batch(self.items())
        made.pipeline.prepare(batch if made.tasks is None else marked(batch))
        return made, part

    def items(self, number: int = 0) -> Tensor:
        """The items of a batch; several numbers give different ones as long as there are enough."""
        every = training_items(self.data())
        if self.data().whole:
            return torch.arange(len(self.data()))
        size = min(ITEMS, len(every))
        return every[(torch.arange(size) + number * size) % len(every)]

    def batch(self, number: int = 0) -> dict[str, Any]:
        """The items' batch; with a section [rehearsal], some of its items are of a task that has ended."""
        batch, recipe = self.data().batch(self.items(number)), self.example.recipe
        if recipe.single("tasks") is None:
            return dict(batch)
        again = batch["sample"] % 3 == 0 if recipe.single("rehearsal") is not None else None
        return dict(marked(batch, again))

    def ready(self) -> Ready:
        """The surroundings of a part after the encoder; each call gives copies of the same."""
        if self._ready is None:
            self._ready = self._made()
        copied = deepcopy((self._ready.pipeline, self._ready.part))
        tables = {name: leaf(table) for name, table in self._ready.tables.items()}
        return Ready(*copied, {**_copied(self._ready.flow), **tables}, _copied(self._ready.batch), tables)

    def outputs_and_terms(self) -> dict[str, Term]:
        """Everything once; raises whatever a part raises."""
        return self.ready().terms()

    def _made(self) -> Ready:
        composition, part = self.composition()
        pipeline = composition.pipeline.train()
        with torch.no_grad():
            for number in (1, 2):
                batch = self.batch(number)
                pipeline.after_update(pipeline.compare(batch, pipeline.encode(batch)))
            if composition.tasks is not None:
                pipeline.after_task()
            batch = self.batch()
            pipeline.eval()
            for view in pipeline.views.values():
                view.train()
            encoded = pipeline.encode(batch)
            # Memories that are written before pairs are formed see these rows too.
            pipeline.train().compare(batch, encoded)
            pipeline.eval()
        tables = {name: leaf(value) for name, value in encoded.items() if isinstance(value, Embeddings)}
        for stage in (pipeline.late_views, pipeline.memories, pipeline.samplers, pipeline.objectives):
            stage.double()
        flow = {name: value for name, value in encoded.items() if name not in tables}
        return Ready(pipeline, part, flow, batch, tables)


def leaf(table: Embeddings, kind: torch.dtype = torch.float64) -> Embeddings:
    """A copy of the table with fields of another type that collect gradients."""
    fields = {k: v.detach().clone() for k, v in table.fields.items()}
    fields = {k: v.to(kind).requires_grad_() if v.is_floating_point() else v for k, v in fields.items()}
    return Embeddings(fields, {k: v.clone() for k, v in table.columns.items()})


def _copied(flow: Mapping[str, Any]) -> dict[str, Any]:
    """The flow with copies of its tensors; what else it holds, such as a graph, is shared."""
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in flow.items()}


def named(terms: Term | Mapping[str, Term]) -> dict[str, Term]:
    """One term, or several by name."""
    return {"": terms} if isinstance(terms, Term) else dict(terms)


def close(found: Tensor, expected: Tensor, what: str, tolerance: float = 1e-9, scale: float = 0.0) -> None:
    """Raise Violation if two tensors differ by more than a fraction of the largest number, or of `scale`."""
    if found.shape != expected.shape:
        raise Violation(f"{what}: shapes {tuple(found.shape)} and {tuple(expected.shape)} differ.")
    found, expected = found.detach().double(), expected.detach().double()
    largest = float(expected.abs().nan_to_num(0, 0, 0).max()) if expected.numel() else 0.0
    scale = max(scale, largest)
    if not torch.allclose(found, expected, rtol=tolerance, atol=tolerance * max(scale, 1e-3), equal_nan=True):
        apart = float((found - expected).abs().max())
        raise Violation(f"{what}: they differ by {apart:.3g} where the largest number is {scale:.3g}.")


@contextmanager
def generators_kept(what: str) -> Iterator[None]:
    """Raise Violation if what happens inside draws from the global generators of torch or numpy, or Python's."""
    import random

    import numpy

    before = torch.get_rng_state(), numpy.random.get_state()[1].tobytes(), random.getstate()  # type: ignore[index]
    yield
    after = torch.get_rng_state(), numpy.random.get_state()[1].tobytes(), random.getstate()  # type: ignore[index]
    for name, one, two in zip(("torch", "numpy", "random"), before, after, strict=True):
        if not (torch.equal(one, two) if isinstance(one, Tensor) else one == two):
            raise Violation(f"{what} draws from the global generator of {name}.")


def equal(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are the same to the last bit; what is NaN in both is."""
    return one.shape == two.shape and bool(((one == two) | ((one != one) & (two != two))).all())


@contextmanager
def left_alone(flow: Mapping[str, Any]) -> Iterator[None]:
    """Raise Violation if what happens inside changes a tensor of a flow in place."""
    before = {name: x.detach().clone() for name, x in tensors_of(flow).items()}
    yield
    for name, x in tensors_of(flow).items():
        if not equal(x, before[name]):
            raise Violation(f"It changes '{name}' in place.")


def twice(make: Callable[[], Any], seeds: tuple[int, int]) -> tuple[Any, Any]:
    """What something gives after the global generators were seeded, for two seeds."""
    found = []
    for seed in seeds:
        seed_everything(seed)
        found.append(make())
    return found[0], found[1]


def tensors_of(value: Any, name: str = "") -> dict[str, Tensor]:
    """All tensors in a flow, a table, pairs' tables or terms, by their place."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, Embeddings):
        return {f"{name}.{key}": tensor for key, tensor in {**value.fields, **value.columns}.items()}
    if isinstance(value, Term):
        return {name: value.value}
    if isinstance(value, Mapping):
        parts = [tensors_of(each, f"{name}.{key}" if name else str(key)) for key, each in value.items()]
        return {key: tensor for part in parts for key, tensor in part.items()}
    return {}
