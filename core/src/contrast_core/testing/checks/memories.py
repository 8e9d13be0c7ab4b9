"""Memories: what was written is read again, detached, apart from the rows it came from, and all of it is saved."""

from __future__ import annotations

from typing import Any

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.testing.bench import Bench, close, tensors_of
from contrast_core.testing.checks import at_work
from contrast_core.testing.outcome import Violation

MOST = 64
"""Times that rows are written to fill a memory."""


def _at_work(bench: Bench) -> tuple[Any, Embeddings]:
    """A memory with rows in it, and a table to write."""
    ready = bench.ready()
    flow = {**ready.flow}
    for view in ready.pipeline.late_views.values():
        flow.update(view(flow))
    rows = flow[ready.part.source].detach()
    # Until it is full: what is overwritten, drawn or moved on shows only then.
    for _ in range(MOST):
        before = len(ready.part.read())
        ready.part.write(rows)
        if len(ready.part.read()) == before:
            break
    return ready.part, rows


def _read(memory: Any) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in tensors_of(memory.read()).items()}


@at_work
def reads_a_table(bench: Bench) -> None:
    """It gives a table with a column `source`, without gradients, also before anything was written."""
    part, rows = _at_work(bench)
    composition, fresh = bench.composition()
    for memory, when in ((fresh, "Before anything was written"), (part, "After writing")):
        try:
            found = memory.read()
        except (ValueError, RuntimeError) as error:
            if len(str(error)) < 15:
                raise Violation(f"{when}, reading fails with '{error}' alone.") from error
            continue
        if not isinstance(found, Embeddings):
            raise Violation(f"It must give a table (Embeddings), not {type(found).__name__}.")
        if "source" not in found:
            raise Violation(f"{when}, the table it gives has no column 'source' that says what its rows are.")
        if any(x.requires_grad for x in found.fields.values()):
            raise Violation(f"{when}, the rows it gives want a gradient; a memory holds them detached.")
    del composition, rows


@at_work
def keeps_rows_of_its_own(bench: Bench) -> None:
    """Neither changing what was written nor writing again changes what was read or written before."""
    part, rows = _at_work(bench)
    own = Embeddings({k: v.clone() for k, v in rows.fields.items()}, {k: v.clone() for k, v in rows.columns.items()})
    part.write(own)
    table = part.read()
    before = {name: x.clone() for name, x in tensors_of(table).items()}
    for x in own.fields.values():
        x.zero_()
    for name, x in _read(part).items():
        if not torch.equal(x, before[name]):
            raise Violation("It keeps the tensors it was given, not copies: what their owner does to them changes it.")
    part.write(rows.with_fields(z=-rows.z))
    for name, x in tensors_of(table).items():
        if not torch.equal(x, before[name]):
            raise Violation("Writing changes a table that was read before: its gradient would be spoilt.")


@at_work
def every_bit_is_in_buffers(bench: Bench) -> None:
    """Its state dict, loaded into a fresh one, gives the same rows, now and after writing more."""
    part, rows = _at_work(bench)
    if lost := [name for name, _ in part.named_buffers() if name not in part.state_dict()]:
        raise Violation(f"Its buffer '{lost[0]}' is not persistent: it is lost when a run goes on.")
    fresh = bench.composition()[1].to(rows.z.dtype)
    fresh.load_state_dict(part.state_dict())
    close_tables(_read(fresh), _read(part), "Loaded into a fresh memory, its state gives other rows")
    for memory in (part, fresh):
        torch.manual_seed(3)
        memory.write(rows)
    close_tables(_read(fresh), _read(part), "After loading, writing the same rows gives another memory")


def close_tables(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], what: str) -> None:
    """Raise Violation unless two tables are the same."""
    if found.keys() != expected.keys():
        raise Violation(f"{what}: {sorted(found)} and {sorted(expected)}.")
    for name, x in expected.items():
        close(found[name], x, what, 0.0)


@at_work
def reading_changes_nothing(bench: Bench) -> None:
    """Reading twice gives the same and leaves the state as it was."""
    part, _ = _at_work(bench)
    before = {name: x.clone() for name, x in part.state_dict().items()}
    close_tables(_read(part), _read(part), "Read twice, it gives two tables")
    for name, x in part.state_dict().items():
        if not torch.equal(x, before[name]):
            raise Violation(f"Reading changes its state '{name}'.")


@at_work
def processes_agree(bench: Bench) -> None:
    """In two processes, each with a share of the rows, what it holds after a step is what one process would hold."""
    from contrast_core.testing.two_processes import verdict

    verdict(bench)


CHECKS = (reads_a_table, keeps_rows_of_its_own, every_bit_is_in_buffers, reading_changes_nothing, processes_agree)
