"""What real processes send, 2 and 3 of them with NT-Xent and with CLIP's loss: every collective counted, and the model.

    python benchmarks/scaling_count.py

Processes talk over gloo. A collective is counted by what it is given; the model's rule for rings makes of that what
each process sends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scaling_model as model

D, ROWS = 32, 1536
WHAT = ("shape", "tables", "columns", "sums", "gradients", "parameters")
Calls = list[tuple[str, int]]


def expected(processes: int, clip: bool) -> dict[str, float]:
    """The model's bytes, by what they are for."""
    job = model.Job(processes, ROWS, D, parameters=D * D + D, columns=2, clip=clip, tensors=2)
    phases = model.shared(job, model.Rates(0.0, 0.0))
    return {name: model.sent(phases, name) for name in WHAT if name != "shape"}


def counted(processes: int, clip: bool) -> dict[str, float]:
    """Bytes that each of so many real processes sends in one step."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, str(processes), str(int(clip)), folder]
        running = [
            subprocess.Popen([*command, str(rank)], env=environment, stdout=subprocess.PIPE, text=True)
            for rank in range(processes)
        ]
        texts = [process.communicate(timeout=240)[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"A process of {processes} failed; what it said is above.")
    found = [_by_purpose(json.loads(text.splitlines()[-1]), processes) for text in texts]
    assert all(each == found[0] for each in found), "All processes send alike."
    return found[0]


def _by_purpose(calls: Calls, processes: int) -> dict[str, float]:
    """Bytes sent, from the collectives in their order: a table, its columns; sums; gradients; flags and parameters."""
    found = dict.fromkeys((name for name in WHAT if name != "shape"), 0.0)
    for kind, size in calls:
        name, _, how = kind.partition(" ")
        phases = (model.gathered if how == "gather" else model.added)(name, processes, size)
        found[name] += model.sent(phases)
    return found


def step(processes: int, clip: bool, folder: Path, rank: int) -> Calls:
    """One step in one process, and the collectives that it took part in."""
    import torch
    from torch import distributed, nn

    from contrast_core import Embeddings, Outputs
    from contrast_core.distributed import average_gradients, gather
    from contrast_core.objectives.infonce import InfoNCE
    from contrast_core.samplers.cross import Cross
    from contrast_core.samplers.views import TwoViews

    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=processes)
    calls: Calls = []
    real_gather, real_reduce = distributed.all_gather, distributed.all_reduce
    stage = {"now": "sums"}

    def all_gather(parts: Any, tensor: Any, **given: Any) -> Any:
        name = "tables" if tensor.is_floating_point() else "columns"
        calls.append((f"{name} gather", tensor.nbytes))
        return real_gather(parts, tensor, **given)

    def all_reduce(tensor: Any, *given: Any, **named: Any) -> Any:
        calls.append((f"{stage['now']} reduce", tensor.nbytes))
        return real_reduce(tensor, *given, **named)

    distributed.all_gather, distributed.all_reduce = all_gather, all_reduce  # type: ignore[assignment]
    torch.manual_seed(0)
    encoder = nn.Linear(D, D)
    share = ROWS // 2 // processes
    sample = torch.arange(share) + rank * share
    flow = {
        view: gather(Embeddings.of(encoder(torch.randn(share, D)), sample=sample, label=sample % 7))
        for view in ("one", "two")
    }
    pairs = (Cross() if clip else TwoViews())(flow)
    term = InfoNCE(directions="both" if clip else "one")(Outputs(flow, pairs, {}))
    stage["now"] = "gradients"
    term.value.backward()
    stage["now"] = "parameters"
    average_gradients(encoder.parameters())
    distributed.destroy_process_group()
    return calls


def table(sides: Callable[[int, bool], dict[str, float]] = counted) -> str:
    """Model and count side by side."""
    names = [name for name in WHAT if name != "shape"]
    lines = ["| loss | processes | | " + " | ".join(names) + " |", "|---|---:|---|" + "---:|" * len(names)]
    for clip in (False, True):
        for processes in (2, 3):
            for who, found in (("model", expected(processes, clip)), ("counted", sides(processes, clip))):
                cells = " | ".join(f"{found[name]:,.0f}" for name in names)
                lines.append(f"| {'CLIP' if clip else 'NT-Xent'} | {processes} | {who} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) == 5:
        count, both, place, number = sys.argv[1:]
        print(json.dumps(step(int(count), both == "1", Path(place), int(number))))
    else:
        print(table())
