"""What the contrastive terms cost beside the denoising loss, and what the gradient cache saves.

    python plugins/diffusion/benchmarks/speed.py --out docs/evidence/customcontrast-speed.md

Overhead: CPU seconds of a training step of diffusion/customcontrast with all terms, and of one that has neither cuts
nor contrastive terms: the picture's tokens, the U-Net's prediction, its error, backward and AdamW alone. Both in one
process, in turn, one thread; the median of the steps. Memory: the largest resident size of a process of its own that
makes two steps, less that of one with two pictures a batch, with and without core/gradient-cache.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from contrast_core.interfaces import Flow
from contrast_core.stepper import Stepper
from contrast_diffusion.data.subjects import Subjects
from contrast_diffusion.encoder import SubjectDiffusion
from contrast_diffusion.model.injection import keywords

SETTINGS: dict[str, Any] = {"training.threads": 1, "training.device": "cpu", "training.schedule": "constant"}
LARGE, CHUNK = 96, 12


def batch_of(size: int) -> Flow:
    """The first batch of rendered subjects."""
    data = Subjects()
    data.load()
    return data.batch(data.drawn(size, torch.Generator().manual_seed(0))[0])


def reconstruction(encoder: SubjectDiffusion, batch: Flow) -> Callable[[], None]:
    """A step that has one term alone, written down plainly."""
    backbone = encoder.backbone
    optimizer = torch.optim.AdamW(encoder.parameters(), 1e-3)

    def step() -> None:
        layers = encoder.features(batch["image"], batch["name"]).layers
        x = backbone.latents(batch["image"])
        noise, t = torch.randn_like(x), torch.randint(1000, (len(x),))
        noisy = backbone.scheduler.add_noise(x, noise, t)
        prediction = backbone.denoise(noisy, t, backbone.text(batch["caption"]), keywords(layers))
        loss = (prediction - backbone.scheduler.get_velocity(x, noise, t)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def overhead(steps: int) -> tuple[float, float]:
    """Median CPU seconds of a step with all terms, and of one with the denoising loss alone."""
    torch.set_num_threads(1)
    batch = batch_of(24)
    stepper = Stepper("diffusion/customcontrast", batch, set=SETTINGS)
    encoder: Any = stepper.pipeline.encoder
    sides: tuple[Callable[[], Any], ...] = (lambda: stepper.step(batch), reconstruction(encoder, batch))
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(steps + 2):
        for side, kept in zip(sides, seconds, strict=True):
            began = time.process_time()
            side()
            if number > 1:
                kept.append(time.process_time() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def peak(size: int, chunk: int) -> dict[str, float]:
    """Largest resident MB and CPU seconds of a step, in this process; chunk 0 is the ordinary step."""
    torch.set_num_threads(1)
    cached = {"step.use": "core/gradient-cache", "step.chunk": chunk} if chunk else {}
    batch = batch_of(size)
    stepper = Stepper("diffusion/customcontrast", batch, set={**SETTINGS, **cached})
    stepper.step(batch)
    began = time.process_time()
    stepper.step(batch)
    seconds = time.process_time() - began
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "seconds": seconds}


def in_own_process(size: int, chunk: int) -> dict[str, float]:
    """The same, in a process of its own: a peak never goes down again."""
    command = [sys.executable, __file__, "--peak", str(size), str(chunk)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--peak", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print(json.dumps(peak(*given.peak)))
        return
    whole, alone = overhead(given.steps)
    least, plain, cached = (in_own_process(*sizes) for sizes in ((2, 0), (LARGE, 0), (LARGE, CHUNK)))
    lines = [
        "Made by `python plugins/diffusion/benchmarks/speed.py --out docs/evidence/customcontrast-speed.md`.", "",
        "| a step of 24 pictures, one thread | CPU s |", "|---|---:|", f"| denoising alone | {alone:.3f} |",
        f"| with cuts, CSCL and MACL | {whole:.3f} |", f"| overhead | {100 * (whole / alone - 1):.1f} % |", "",
        f"| a step of {LARGE} pictures, one thread | CPU s | peak above that of 2 pictures, MB |", "|---|---:|---:|",
        f"| ordinary step | {plain['seconds']:.2f} | {plain['mb'] - least['mb']:.0f} |",
        f"| gradient cache, {CHUNK} at a time | {cached['seconds']:.2f} | {cached['mb'] - least['mb']:.0f} |",
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
