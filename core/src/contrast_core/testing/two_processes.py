"""Two processes against one: each has a share of the rows, and the loss, its gradient and memories must be the same.

python -m contrast_core.testing.two_processes RENDEZVOUS RANK RESULTS PLUGIN
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from contrast_core.distributed import average_gradients
from contrast_core.embeddings import Embeddings
from contrast_core.registry import discover
from contrast_core.testing.bench import Bench, Ready, close, leaf
from contrast_core.testing.examples import Example
from contrast_core.testing.outcome import Skip, Violation
from contrast_core.testing.session import Session
from contrast_core.training.checkpoint import seed_everything
from contrast_core.training.processes import Together

KINDS = ("objective", "memory", "sampler")
PATIENCE = 240


def key(example: Example) -> str:
    """What names an example in both processes."""
    return f"{example.component.kind}:{example.component.name} in {example.origin} at {example.path}"


def verdict(bench: Bench) -> None:
    """Raise Violation or Skip, as two processes say of an example."""
    said = bench.session.apart.get(key(bench.example), "skip it is not looked at.")
    if said.startswith("skip "):
        raise Skip(said.removeprefix("skip "))
    if said:
        raise Violation(said)


def compare(plugin: str, components: Sequence[str]) -> Mapping[str, str]:
    """Start two processes for all examples of some components; what the first one says of each."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "contrast_core.testing.two_processes", str(Path(folder) / "rendezvous")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        started = [
            subprocess.Popen(
                [*command, str(rank), str(results), plugin, *components],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
            )
            for rank in range(2)
        ]  # fmt: skip
        try:
            errors = [process.communicate(timeout=PATIENCE)[1] for process in started]
        except subprocess.TimeoutExpired as error:
            raise Violation(f"Two processes did not come to an end within {PATIENCE} s.") from error
        finally:
            for process in started:
                process.kill()
        if any(process.returncode for process in started):
            raise Violation(f"Two processes could not be compared: {' '.join(errors[0].split())[-400:]}")
        found: dict[str, str] = json.loads(results.read_text())
        return found


def main() -> None:
    """One of the two."""
    rendezvous, rank, results, name = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    registry = discover()
    plugin = next(each for each in registry.plugins if each.name == name)
    session = Session(plugin, registry, components=sys.argv[5:])
    together = Together("gloo", whole=False)
    said: dict[str, str] = {}
    for component in session.selected():
        examples = session.examples(component) if component.kind in KINDS else ""
        for example in () if isinstance(examples, str) else examples:
            said[key(example)] = _said(Bench(example, session), together)
    both: list[dict[str, str]] = [{}, {}]
    distributed.all_gather_object(both, said)
    if rank == 0:
        results.write_text(json.dumps({name: both[0][name] or both[1][name] for name in said}))
    distributed.barrier()
    sys.stderr.flush()
    # Everything is written. Tables that still hold the group would have its threads torn down in the middle.
    os._exit(0)


def _said(bench: Bench, together: Together) -> str:
    try:
        if bench.data().whole:
            return "skip its batch is always the whole data set."
        alone = _step(bench.ready(), None)
        others = _step(bench.ready(), together)
        for name, expected in alone.items():
            close(others[name], expected, f"In two processes, {name} is another than in one")
    # Whoever fails, fails in both processes alike, so nobody waits for somebody who left.
    except Violation as violation:
        return str(violation)
    except Exception as error:
        return f"In two processes it ends in {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


def _step(ready: Ready, together: Together | None) -> dict[str, Tensor]:
    """Loss, gradients of tables and parameters, and buffers after the step; of two processes, of the whole batch."""
    seed_everything(0)
    pipeline = ready.pipeline
    for stage in (pipeline.late_views, pipeline.memories, pipeline.samplers, pipeline.objectives):
        stage.train()
    pipeline.training = True
    flow: dict[str, Any] = dict(ready.flow)
    tables = dict(ready.tables)
    shared = set(pipeline.encoder.shared)
    if together is not None:
        share = {name: t if name in shared else _share(t, together.rank) for name, t in tables.items()}
        tables = {name: leaf(table) for name, table in share.items()}
        flow.update(together.whole(tables, (), shared))
    outputs = pipeline.compare(ready.batch, flow)
    terms = ready.part(outputs) if ready.part in list(pipeline.objectives.values()) else pipeline.terms(outputs)
    listed = list(terms.values()) if isinstance(terms, Mapping) else [terms]
    loss = torch.stack([term.weight * term.value for term in listed]).sum()
    parameters = [p for stage in (pipeline.late_views, pipeline.samplers, pipeline.objectives) for p in
                  stage.parameters() if p.requires_grad]  # fmt: skip
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    if together is not None:
        average_gradients(parameters)
    found = {"the loss": loss.detach()}
    for name, table in tables.items():
        for field, rows in table.fields.items():
            if rows.requires_grad:
                gradient = torch.zeros_like(rows) if rows.grad is None else rows.grad
                found[f"the gradient of {name}.{field}"] = _joined(gradient, name in shared, together)
    for number, parameter in enumerate(parameters):
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        found[f"the gradient of parameter {number}"] = gradient
    with torch.no_grad():
        pipeline.after_update(outputs)
    for name, buffer in (b for m in pipeline.memories.values() for b in m.named_buffers()):
        found[f"the memory's buffer {name}"] = buffer.clone()
    return found


def _share(table: Embeddings, rank: int) -> Embeddings:
    """The first third of the rows, or the rest."""
    cut = len(table) // 3
    return table.select(torch.arange(cut) if rank == 0 else torch.arange(cut, len(table)))


def _joined(gradient: Tensor, shared: bool, together: Together | None) -> Tensor:
    """The whole batch's gradient; gathering multiplied it by the number of processes."""
    if together is None or shared:
        return gradient
    parts: list[Any] = [None] * together.size
    distributed.all_gather_object(parts, gradient)
    return torch.cat(parts) / together.size


if __name__ == "__main__":
    main()
