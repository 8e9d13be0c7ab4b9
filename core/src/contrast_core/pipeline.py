"""The pipeline: one component a stage, and the flow of names through them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Encoder, Flow, Memory, Objective, Outputs, PairSampler, Part, Term, View
from contrast_core.tasks import REHEARSED, Rehearsal


class Weighted(NamedTuple):
    """An objective and the factor of its terms."""

    objective: Objective
    weight: float


class PartError(ContrastError):
    """What a part of a pipeline refused; `path` is its section in the recipe."""

    def __init__(self, path: str, message: str):
        super().__init__(f"[{path}] {message}")
        self.path = path


class Pipeline(nn.Module):
    """batch -> views -> encoder -> late views -> memories -> samplers -> objectives.

    Memories with `when="before-pairs"` are written between the encoder and the samplers, the others by `after_update`;
    neither in evaluation mode.

    Raises:
        PartError: whenever a part raises ValueError; the sentence names the part's section.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        encoder: Encoder,
        late_views: Mapping[str, View],
        memories: Mapping[str, Memory],
        samplers: Mapping[str, PairSampler],
        objectives: Mapping[str, Weighted],
        rehearsal: Rehearsal | None = None,
    ):
        super().__init__()
        self.views = _named_modules("view", views)
        self.encoder = encoder
        self.late_views = _named_modules("view", late_views)
        self.memories = _named_modules("memory", memories)
        self.samplers = _named_modules("sampler", samplers)
        self.objectives = _named_modules("objective", {name: each.objective for name, each in objectives.items()})
        self.weights = {name: weighted.weight for name, weighted in objectives.items()}
        self.rehearsal = rehearsal

    def prepare(self, batch: Flow) -> None:
        """Let every part build what depends on the data, in order, on a first batch."""
        flow: dict[str, Any] = dict(batch)
        with torch.no_grad():
            for path, part in self._transforming():
                with blaming(path):
                    part.prepare(flow)
                    flow.update(part(flow))
        flow.update(self.memories)
        for path, part in self._comparing():
            with blaming(path):
                part.prepare(flow)

    def forward(self, batch: Flow) -> Outputs:
        """From a batch to tables and pairs."""
        return self.compare(batch, self.encode(batch))

    def read_after_encoding(self) -> frozenset[str]:
        """Names that late views, memories, samplers and objectives read."""
        stages = (self.late_views, self.memories, self.samplers, self.objectives)
        parts: list[Any] = [part for stage in stages for part in stage.values()]
        return frozenset(name.partition(".")[0] for part in parts for name in part.needs)

    def encode(self, batch: Flow) -> dict[str, Any]:
        """The flow after views and encoder: everything that may be done for some items of a batch at a time."""
        return self.encode_views(self.draw_views(batch))

    def draw_views(self, batch: Flow) -> dict[str, Any]:
        """The flow after the views."""
        flow: dict[str, Any] = dict(batch)
        for path, view in self._views("views"):
            with blaming(path):
                flow.update(view(flow))
        return flow

    def encode_views(self, viewed: Flow) -> dict[str, Any]:
        """The flow after the encoder, from that after the views."""
        with blaming("encoder"):
            found = self.encoder(viewed)
        if REHEARSED in viewed:
            found = {name: _marked(table, viewed) for name, table in found.items()}
        return {**viewed, **found}

    def compare(self, batch: Flow, encoded: Flow) -> Outputs:
        """From the flow after the encoder to tables and pairs: late views, memories, samplers."""
        flow: dict[str, Any] = dict(encoded)
        for path, view in self._views("late_views"):
            with blaming(path):
                flow.update(view(flow))
        self._write("before-pairs", flow)
        flow.update(self.memories)
        pairs = {}
        for name, sampler in self.samplers.items():
            with blaming(f"sampler.{name}"):
                pairs.update(sampler(flow))
        tables = {name: table for name, table in flow.items() if isinstance(table, Embeddings)}
        return Outputs(tables, pairs, batch)

    def terms(self, outputs: Outputs, only: Collection[str] = ()) -> dict[str, Term]:
        """The terms of all objectives, or of some sections, as `section` or `section/name`, with the recipe's factors.

        Raises:
            ContrastError: if a term is NaN or infinite, or no scalar, or a section is not there; the sentence names it.
        """
        if unknown := sorted(set(only) - set(self.objectives)):
            have = ", ".join(self.objectives)
            raise ContrastError(f"The step asks for the objective '{unknown[0]}', but the recipe has {have}.")
        terms: dict[str, Term] = {}
        for name, objective in self.objectives.items():
            if only and name not in only:
                continue
            with blaming(f"objective.{name}"):
                found = objective(outputs)
            for key, term in ({"": found} if isinstance(found, Term) else found).items():
                label = f"{name}/{key}" if key else name
                if term.value.dim() != 0:
                    raise PartError(f"objective.{name}", f"The loss term '{label}' must be a scalar, not a tensor of "
                                                         f"shape {tuple(term.value.shape)}.")  # fmt: skip
                weight = term.weight * self.weights[name]
                if not torch.isfinite(term.value * weight):
                    times = f" (times its weight {weight:g})" if torch.isfinite(term.value) else ""
                    raise ContrastError(f"The loss term '{label}' became {term.value.item()}{times}; training stopped.")
                terms[label] = Term(term.value, term.rows, term.dropped, weight, term.scalars)
        return terms

    def after_update(self, outputs: Outputs) -> None:
        """Momentum updates of all parts, then the memories that are written after a step, in the recipe's order."""
        for part in self.modules():
            if isinstance(part, Part):
                part.after_update()
        self._write("after-update", outputs.tables)

    def after_task(self) -> None:
        """What all parts do when a task ends."""
        for part in self.modules():
            if isinstance(part, Part):
                part.after_task()

    def embed(self, batch: Flow) -> Embeddings:
        """The embedding of a batch's items."""
        flow = self.draw_views(batch)
        encoder: Encoder = self.encoder
        with blaming("encoder"):
            return encoder.embed(flow)

    def _views(self, which: str) -> list[tuple[str, Any]]:
        return [(f"view.{name}", view) for name, view in getattr(self, which).items()]

    def _transforming(self) -> list[tuple[str, Any]]:
        return [*self._views("views"), ("encoder", self.encoder), *self._views("late_views")]

    def _comparing(self) -> Iterator[tuple[str, Any]]:
        for kind, parts in (("memory", self.memories), ("sampler", self.samplers), ("objective", self.objectives)):
            for name, part in parts.items():
                yield f"{kind}.{name}", part

    def _write(self, when: str, flow: Mapping[str, Any]) -> None:
        if not self.training:
            return
        for name, memory in self.memories.items():
            if isinstance(memory, Memory) and memory.when == when:
                with torch.no_grad(), blaming(f"memory.{name}"):
                    memory.write(flow[memory.source].detach())


def total(terms: Mapping[str, Term]) -> Tensor:
    """The loss: sum of weight times value.

    Raises:
        ContrastError: if there is no term.
    """
    if not terms:
        raise ContrastError("The objectives of this recipe gave no loss term.")
    return torch.stack([term.weight * term.value for term in terms.values()]).sum()


def _marked(table: Embeddings, batch: Flow) -> Embeddings:
    """The table with the column `rehearsal` of its rows' samples; as it is, if it does not say whose rows they are."""
    if "sample" not in table or REHEARSED in table:
        return table
    again = batch["sample"][batch[REHEARSED] == 1].to(table.device)
    return table.with_columns(**{REHEARSED: torch.isin(table["sample"], again).long()})


def _named_modules(kind: str, parts: Mapping[str, Part]) -> nn.ModuleDict:
    """Parts by name; torch forbids some names, such as those of a module's own methods."""
    made = nn.ModuleDict()
    for name, part in parts.items():
        try:
            made[name] = part
        except (KeyError, TypeError) as error:
            raise ContrastError(f"[{kind}.{name}] A {kind} can't be called '{name}': choose another name.") from error
    return made


@contextmanager
def blaming(path: str) -> Iterator[None]:
    """Name the section of whatever raises ValueError inside."""
    try:
        yield
    except ValueError as error:
        raise PartError(path, str(error)) from error
