"""The pipeline: one component a stage, and the flow of names through them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Encoder, Flow, Memory, Objective, Outputs, PairSampler, Part, Term, View


class Weighted(NamedTuple):
    """An objective and the factor of its terms."""

    objective: Objective
    weight: float


class Pipeline(nn.Module):
    """batch -> views -> encoder -> late views -> memories -> samplers -> objectives.

    Memories with `when="before-pairs"` are written between the encoder and the samplers, the others by `after_update`.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        encoder: Encoder,
        late_views: Mapping[str, View],
        memories: Mapping[str, Memory],
        samplers: Mapping[str, PairSampler],
        objectives: Mapping[str, Weighted],
    ):
        super().__init__()
        self.views = nn.ModuleDict(dict(views))
        self.encoder = encoder
        self.late_views = nn.ModuleDict(dict(late_views))
        self.memories = nn.ModuleDict(dict(memories))
        self.samplers = nn.ModuleDict(dict(samplers))
        self.objectives = nn.ModuleDict({name: weighted.objective for name, weighted in objectives.items()})
        self.weights = {name: weighted.weight for name, weighted in objectives.items()}

    def prepare(self, batch: Flow) -> None:
        """Let every part build what depends on the data, in order, on a first batch."""
        flow: dict[str, Any] = dict(batch)
        with torch.no_grad():
            for part in self._transforming():
                part.prepare(flow)
                flow.update(part(flow))
        for part in self._comparing():
            part.prepare(flow)

    def forward(self, batch: Flow) -> Outputs:
        """From a batch to tables and pairs."""
        flow: dict[str, Any] = dict(batch)
        for part in self._transforming():
            flow.update(part(flow))
        self._write("before-pairs", flow)
        flow.update(self.memories)
        pairs = {}
        for sampler in self.samplers.values():
            pairs.update(sampler(flow))
        tables = {name: table for name, table in flow.items() if isinstance(table, Embeddings)}
        return Outputs(tables, pairs, batch)

    def terms(self, outputs: Outputs) -> dict[str, Term]:
        """The terms of all objectives, `section` or `section/name`, with the recipe's factors applied.

        Raises:
            ContrastError: if a term is NaN or infinite; the sentence names it.
        """
        terms: dict[str, Term] = {}
        for name, objective in self.objectives.items():
            found = objective(outputs)
            for key, term in ({"": found} if isinstance(found, Term) else found).items():
                label = f"{name}/{key}" if key else name
                if not torch.isfinite(term.value):
                    raise ContrastError(
                        f"The loss term '{label}' became {term.value.item()}; training stopped."
                    )
                weight = term.weight * self.weights[name]
                terms[label] = Term(term.value, term.rows, term.dropped, weight, term.scalars)
        return terms

    def after_update(self, outputs: Outputs) -> None:
        """Momentum updates of all parts, then the memories that are written after a step, in the recipe's order."""
        for part in self.modules():
            if isinstance(part, Part):
                part.after_update()
        self._write("after-update", outputs.tables)

    def embed(self, batch: Flow) -> Embeddings:
        """The embedding of a batch's items."""
        flow: dict[str, Any] = dict(batch)
        for view in self.views.values():
            flow.update(view(flow))
        encoder: Encoder = self.encoder
        return encoder.embed(flow)

    def _transforming(self) -> list[Any]:
        return [*self.views.values(), self.encoder, *self.late_views.values()]

    def _comparing(self) -> list[Any]:
        return [*self.memories.values(), *self.samplers.values(), *self.objectives.values()]

    def _write(self, when: str, flow: Mapping[str, Any]) -> None:
        for memory in self.memories.values():
            if isinstance(memory, Memory) and memory.when == when and self.training:
                with torch.no_grad():
                    memory.write(flow[memory.source].detach())


def total(terms: Mapping[str, Term]) -> Tensor:
    """The loss: sum of weight times value."""
    return torch.stack([term.weight * term.value for term in terms.values()]).sum()
