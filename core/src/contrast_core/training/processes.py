"""The processes that train together: one, or those that torchrun or `accelerate launch` started.

A step's batch is that of all processes; each takes its share of the items, encodes it, and from there on all have the
whole batch. So a run does not depend on the number of processes, but for rounding, for what encoders and views draw at
random, where each process has generators of its own, and for statistics that an encoder takes of the rows it sees, as
batch normalisation does. What is drawn after the encoder is drawn alike by all.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, final

from attrs import evolve
from torch import Tensor, distributed, nn

from contrast_core.distributed import average, average_gradients, gather, gather_rows, started
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow
from contrast_core.training.checkpoint import random_state, seed_everything, set_random_state

T = TypeVar("T")
_STRIDE = 7_368_787
_PATIENCE = datetime.timedelta(hours=2)
"""How long a process waits for the others, for example while the first one looks at the embedding."""


class Alone:
    """One process: nothing to share and nobody to agree with."""

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def own_randomness(self, seed: int) -> None:
        """Give this process generators of its own for views and encoder."""

    def share(self, items: Tensor) -> Tensor:
        """This process's part of a batch's items."""
        return items

    def whole(self, flow: Flow, names: Collection[str], shared: Collection[str] = ()) -> Flow:
        """The flow after the encoder with the whole batch's rows in all tables and in what `names` says.

        Tables in `shared` are those that every process has whole.
        """
        return flow

    @contextmanager
    def alike(self) -> Iterator[None]:
        """Inside, all processes draw the same random numbers."""
        yield

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Make the gradients those of the whole batch."""

    def average_buffers(self, modules: Iterable[nn.Module]) -> None:
        """Make the statistics that encoders keep (batch normalisation's) those of all processes."""

    def agree(self, value: T) -> T:
        """What the first process says."""
        return value

    def state(self) -> dict[str, Any]:
        """The random generators, of all processes: all have to ask together."""
        return {"random": random_state()}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError if another number of processes made a checkpoint."""
        made = len(state["others"]) if "others" in state else 1
        if made != self.size:
            raise ValueError(f"it was made by {made} process(es) and goes on with as many, not with {self.size}")

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put the generators back."""
        set_random_state(state["random"])


@final
class Together(Alone):
    """Several processes.

    Args:
        backend: "gloo" or "nccl".
        whole: whether each process has the whole data set as its batch, as with a graph: then all do the same, and
            only the engine's work is shared.
    """

    def __init__(self, backend: str, whole: bool):
        if not distributed.is_initialized():
            distributed.init_process_group(backend, timeout=_PATIENCE)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.everything = whole
        self._common: dict[str, Any] | None = None

    def own_randomness(self, seed: int) -> None:
        """The first process goes on as if it were alone."""
        kept = random_state()
        seed_everything((seed - _STRIDE) % 2**32)
        self._common = random_state()
        set_random_state(kept)
        if self.rank and not self.everything:
            seed_everything((seed + self.rank * _STRIDE) % 2**32)

    def share(self, items: Tensor) -> Tensor:
        """Consecutive items, as equally many as can be."""
        return items if self.everything else items.tensor_split(self.size)[self.rank]

    def whole(self, flow: Flow, names: Collection[str], shared: Collection[str] = ()) -> Flow:
        """Tables gathered; tensors with one entry an item too, and lists of one entry an item."""
        found = dict(flow)
        for name, value in flow.items():
            if isinstance(value, Embeddings):
                held = self.everything or name in shared
                found[name] = evolve(value, group=distributed.group.WORLD) if held else gather(value)
            elif name in names and not self.everything:
                found[name] = self._joined(value)
        return found

    def _joined(self, value: Any) -> Any:
        if not isinstance(value, Tensor | list | tuple) or (isinstance(value, Tensor) and not value.dim()):
            return value
        everyone: list[Any] = [None] * self.size
        if isinstance(value, Tensor):
            distributed.all_gather_object(everyone, len(value))
            assert distributed.group.WORLD is not None
            return gather_rows(value, everyone, distributed.group.WORLD)
        distributed.all_gather_object(everyone, list(value))
        return type(value)(entry for part in everyone for entry in part)

    @contextmanager
    def alike(self) -> Iterator[None]:
        """The common generators in place of the own ones."""
        if self._common is None or self.everything:
            yield
            return
        own = random_state()
        set_random_state(self._common)
        try:
            yield
        finally:
            self._common = random_state()
            set_random_state(own)

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """The mean over processes; gathering multiplied by their number."""
        average_gradients(parameters)

    def average_buffers(self, modules: Iterable[nn.Module]) -> None:
        """The mean over processes of all fractions; counts are alike anyway."""
        buffers = [b for module in modules for b in module.buffers() if b.is_floating_point()]
        if buffers and not self.everything:
            average(buffers)

    def agree(self, value: T) -> T:
        """Sent from the first to all."""
        box = [value]
        distributed.broadcast_object_list(box)
        return box[0]

    def state(self) -> dict[str, Any]:
        """Every process's generators, and those that all have in common."""
        everyone: list[Any] = [None] * self.size
        distributed.all_gather_object(everyone, random_state())
        return {"random": everyone[0], "others": everyone, "common": self._common or random_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """This process's generators."""
        set_random_state(state["others"][self.rank])
        self._common = state["common"]


def processes(backend: str = "gloo", whole: bool = False) -> Alone:
    """The processes that were started with this one."""
    return Together(backend, whole) if started() > 1 else Alone()
