"""NSPT on the engine against the order of computation of SupCon's reference code; both sides in one run.

    python plugins/speech/benchmarks/speed.py --out docs/evidence/coconut-speed.md

The authors of COCONUT published no code. The other side therefore does what reference code of supervised contrastive
losses does: a dense matrix of all rows of the batch against all rows of student and teacher; who is an anchor, a
positive or a negative, are masks on it. The last line is the teacher on the rows that NSPT needs, against all rows, as
NTPT and distillation on all data need. CPU seconds, forward and backward (the teacher: forward), one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_speech.encoder import Seq2Seq
from contrast_speech.objectives import NSPT
from contrast_speech.samplers import RehearsalDistillation

WIDTH, CLASSES, TEMPERATURE = 64, 10, 0.1


def seconds(work: Callable[[], object], times: int) -> float:
    """CPU seconds of the fastest of some runs, after one that does not count."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def dense(a: Tensor, b: Tensor, labels: Tensor, again: Tensor) -> Tensor:
    """The loss from one matrix of every row against every row; `b` has a teacher's row for each of the batch."""
    a, b = torch.nn.functional.normalize(a, dim=1), torch.nn.functional.normalize(b, dim=1)
    logits = torch.cat([a @ a.T, a @ b.T], dim=1) / TEMPERATURE
    n = len(a)
    positives = torch.cat([torch.zeros(n, n), (labels[:, None] == labels) * again], dim=1)
    negatives = torch.cat([1 - torch.eye(n), torch.zeros(n, n)], dim=1)
    largest = logits.detach().amax(1, keepdim=True)
    denominator = ((logits - largest).exp() * negatives).sum(1, keepdim=True).log() + largest
    log_p = logits - denominator
    losses = -(positives * log_p).sum(1) / positives.sum(1).clamp(min=1)
    return losses[again == 1].mean()


def losses(count: int, times: int) -> tuple[float, float, float]:
    """CPU seconds here and there of a batch of so many rows, a third of them rehearsal, and how far values differ."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(count, WIDTH, generator=generator)
    teacher = student + torch.randn(count, WIDTH, generator=generator)
    student.requires_grad_()
    labels = torch.randint(CLASSES, (count,), generator=generator)
    again = (torch.arange(count) < count // 3).long()
    facts = {"label": labels, "rehearsal": again, "sample": torch.arange(count)}
    sampler, objective = RehearsalDistillation(), NSPT(temperature=TEMPERATURE)
    taught = Embeddings.of(teacher, **facts).select(again == 1)

    def here() -> Tensor:
        pairs = sampler({"audio": Embeddings.of(student, **facts), "audio-teacher": taught})
        value = objective(Outputs({}, pairs, {})).value
        value.backward()
        return value.detach()

    def there() -> Tensor:
        value = dense(student, teacher, labels, again)
        value.backward()
        return value.detach()

    apart = float((here() - there()).abs() / there().abs())
    return seconds(here, times), seconds(there, times), apart


def teachers(count: int = 48, frames: int = 60) -> tuple[float, float]:
    """CPU seconds of the default network's forward pass on a third of a batch, and on all of it."""
    torch.manual_seed(0)
    flow = {
        "features": torch.randn(count, frames, 40), "frames": torch.full((count,), frames),
        "sample": torch.arange(count), "target": torch.randint(4, 20, (count, 13)),
        "label": torch.zeros(count, dtype=torch.long), "vocabulary": torch.tensor(40),
    }  # fmt: skip
    model = Seq2Seq()
    model.prepare(flow)
    model.eval().becomes_teacher()
    some = {name: value[: count // 3] if value.dim() else value for name, value in flow.items()}
    with torch.no_grad():
        return seconds(lambda: model(some), 5), seconds(lambda: model(flow), 5)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        f"Made by `python plugins/speech/benchmarks/speed.py --out {given.out}`.",
        "",
        "| CPU s, one thread | dense | here | ratio |",
        "|---|---|---|---|",
    ]
    apart = []
    for count, times in ((48, 50), (768, 10), (6144, 3)):
        ours, theirs, difference = losses(count, times)
        apart.append(difference)
        lines.append(f"| NSPT, {count:,} rows | {theirs:.5f} | {ours:.5f} | {theirs / ours:.2f} |")
    ours, theirs = teachers()
    lines.append(f"| teacher, 16 of 48 rows | {theirs:.5f} | {ours:.5f} | {theirs / ours:.2f} |")
    lines += [
        "",
        f"Rows of {WIDTH} numbers, a third of them rehearsal, {CLASSES} classes; values, of float32, differ by at most "
        f"{max(apart):.0e} of themselves. A ratio below 1 means that the dense matrix is faster.",
    ]  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
