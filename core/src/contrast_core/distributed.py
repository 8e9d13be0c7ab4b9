"""Several processes, one batch: each encodes its share of the items, and all see the whole batch's tables.

    local table --gather--> the whole table, everywhere --samplers, memories, objectives--> one loss, everywhere

Whatever comes after the encoder therefore runs unchanged, on the rows that one process would see: uneven shares,
labels, queues, clusterings and objectives of other people included. What grows with the square of the batch is shared
out: the engine gives every process of a table's `group` some of the tiles and adds up sums (n) and gradients (n x d).

Memory in each process: its own activations, and O(n d) for the tables of the batch of n. Sent by each process and step,
for every gathered table: about n d numbers forward, and 2 n d in the engine's backward pass.

The gradient that reaches the local rows is multiplied by the number of processes, so that the mean of the parameters'
gradients over processes - what DistributedDataParallel takes, and what `average_gradients` takes here - is the gradient
of one process with the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup

from contrast_core.embeddings import Embeddings


def started() -> int:
    """How many processes torchrun or `accelerate launch` started together; 1 without them."""
    return int(os.environ.get("WORLD_SIZE") or "1")


def leads() -> bool:
    """Whether this process, of those that were started together, is the one that writes files and speaks."""
    return started() == 1 or int(os.environ.get("RANK") or "0") == 0


def leave() -> None:
    """Leave the other processes, if there are any; what comes next is this one's own affair."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def gather(table: Embeddings, group: ProcessGroup | None = None) -> Embeddings:
    """The rows of all processes in the order of their ranks, and differentiable; shares may differ in length.

    Every process has to call it, and to compute the same loss from what it gets.

    Args:
        table: this process's rows; the others have the same fields and columns.
        group: the processes; by default all.

    Raises:
        ValueError: if the processes' tables have different fields, columns or shapes of rows.
    """
    group = group or distributed.group.WORLD
    assert group is not None
    layout = _layout(table)
    everyone: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(everyone, (len(table), layout), group=group)
    for rank, (_, theirs) in enumerate(everyone):
        if theirs != layout:
            raise ValueError(f"Process {rank} has a table of {theirs}, but this one of {layout}: all need the same.")
    counts = [count for count, _ in everyone]
    fields = {name: gather_rows(value, counts, group) for name, value in table.fields.items()}
    columns = {name: gather_rows(value, counts, group) for name, value in table.columns.items()}
    return Embeddings(fields, columns, group)


def gather_rows(rows: Tensor, counts: list[int], group: ProcessGroup) -> Tensor:
    """All processes' rows (n_r, ...) as one tensor (sum_r n_r, ...); `counts` are the n_r in the order of ranks."""
    gathered: Tensor = _Gathered.apply(rows, counts, group)  # type: ignore[no-untyped-call]
    return gathered


class _Gathered(torch.autograd.Function):
    """Rows of all processes; backward, the own rows' part of a gradient that all processes have alike."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int], group: ProcessGroup) -> Tensor:
        """Shares are padded to one length, which every back end can gather."""
        rank, most = distributed.get_rank(group), max(counts)
        ctx.own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        ctx.processes = len(counts)
        # Not every back end sends booleans.
        sent = rows.contiguous().view(torch.uint8) if rows.dtype == torch.bool else rows.contiguous()
        padded = sent.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = sent
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded, group=group)
        whole = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
        return whole.view(torch.bool) if rows.dtype == torch.bool else whole

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        """The own rows, times the number of processes."""
        return upstream[ctx.own] * ctx.processes, None, None


@torch.no_grad()
def average_gradients(parameters: Iterable[Tensor], group: ProcessGroup | None = None) -> None:
    """The mean over processes in place of each gradient; one that only some of them have counts as 0 in the others.

    In one process alone nothing happens.
    """
    if group is None and not (distributed.is_available() and distributed.is_initialized()):
        return
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    if not wanted:
        return
    has = torch.tensor([parameter.grad is not None for parameter in wanted], device=wanted[0].device).int()
    distributed.all_reduce(has, distributed.ReduceOp.MAX, group=group)
    used = [parameter for parameter, flag in zip(wanted, has.tolist(), strict=True) if flag]
    for parameter in used:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    average([parameter.grad for parameter in used if parameter.grad is not None], group)


@torch.no_grad()
def average(tensors: Iterable[Tensor], group: ProcessGroup | None = None) -> None:
    """The mean over processes in place of each tensor; one message for each kind of number."""
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault(tensor.dtype, []).append(tensor)
    for alike in kinds.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in alike])
        distributed.all_reduce(flat, group=group)
        flat /= distributed.get_world_size(group)
        for tensor, mean in zip(alike, flat.split([tensor.numel() for tensor in alike]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def _layout(table: Embeddings) -> str:
    parts: list[tuple[str, Mapping[str, Tensor]]] = [("fields", table.fields), ("columns", table.columns)]
    return "; ".join(
        f"{what} " + ", ".join(f"{name} {list(value.shape[1:])} {value.dtype}" for name, value in sorted(each.items()))
        for what, each in parts
    )
