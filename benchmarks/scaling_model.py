"""A model of one training step on P processes: phases of computing and of sending, in closed form and step by step.

Every process encodes its share of a batch. Rows are n in all (all views), d numbers wide, float32. Three designs:

    shared    tables gathered, every process computes 1/P of the tiles, sums (n) and gradients (n x d) are added up
    unshared  tables gathered, every process computes all pairs; nothing but the parameters' gradients is added up
    ring      nobody holds the whole table: blocks of n/P rows travel round, forward, and back with their gradients

A message of b bytes takes latency + b / bandwidth. Collectives go round a ring: gathering takes P - 1 steps of one
share, adding up 2 (P - 1) steps of 1/P of the numbers. Nothing overlaps but the ring's blocks with the computing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from attrs import evolve, frozen

FLOAT = 4
KEPT = 40 * 2**20
"""Bytes that the engine keeps of finished tiles."""
SMALL = 2**16
"""The engine does not share problems of so few pairs."""
FORWARD = 0.25
"""Share of a step's pair arithmetic that is the forward pass: half a product of one and a half more."""
COPIES = 5
"""Tables of n x d that are alive at once: of the views, of all rows, of unit length, and two gradients."""


@frozen
class Link:
    """What joins two neighbours: seconds before the first byte, bytes a second."""

    name: str
    latency: float
    bandwidth: float

    def seconds(self, size: float) -> float:
        """Of one message."""
        return self.latency + size / self.bandwidth


@frozen
class Rates:
    """What a process computes: seconds for a pair of rows and for a row, both passes; the side of its tiles."""

    pair: float
    row: float
    side: int = 512

    def faster(self, times: float, side: int) -> Rates:
        """A process so many times as fast."""
        return evolve(self, pair=self.pair / times, row=self.row / times, side=side)


@frozen
class Job:
    """One step.

    Args:
        processes: P.
        rows: n, of all views of all items of the batch.
        d: numbers in a row.
        parameters: of the encoder.
        views: gathered tables; the loss sees their rows as one table of n, or, for `clip`, as two of n/2.
        columns: facts about a row that are gathered, eight bytes each.
        clip: anchors and candidates are two tables, with sums of both sides.
        tensors: into how many the parameters are cut.
    """

    processes: int
    rows: int
    d: int
    parameters: int = 25_000_000
    views: int = 2
    columns: int = 1
    clip: bool = False
    tensors: int = 160

    @property
    def pairs(self) -> int:
        """Of rows that the loss compares."""
        return (self.rows // 2) ** 2 if self.clip else self.rows**2

    def busiest(self, side: int) -> float:
        """Share of the pairs that the process with most tiles computes: tiles are not cut further."""
        cut = max(1, math.ceil(math.sqrt(self.pairs) / side))
        tiles = cut**2 if self.clip else cut * (cut + 1) // 2
        return math.ceil(tiles / self.processes) / tiles


@frozen
class Phase:
    """Steps that all processes take: compute, and meanwhile or then hand a message on to the next one.

    Args:
        name: what it is for.
        steps: how many.
        compute: seconds of computing in each, in every process.
        size: bytes that each process sends in each step; none are sent if negative.
        after: further bytes, which are sent only when the computing is done.
    """

    name: str
    steps: int
    compute: float = 0.0
    size: float = -1.0
    after: float = -1.0

    @property
    def sent(self) -> float:
        """Bytes that a process sends."""
        return self.steps * (max(self.size, 0.0) + max(self.after, 0.0))

    def seconds(self, link: Link) -> float:
        """In closed form."""
        first = max(self.compute, link.seconds(self.size) if self.size >= 0 else 0.0)
        return self.steps * (first + (link.seconds(self.after) if self.after >= 0 else 0.0))


def gathered(name: str, processes: int, share: float) -> list[Phase]:
    """All processes get all shares, of so many bytes each."""
    return [Phase(name, processes - 1, size=share)] if processes > 1 else []


def added(name: str, processes: int, size: float) -> list[Phase]:
    """All processes get the sum of all tensors of so many bytes."""
    return [Phase(name, 2 * (processes - 1), size=size / processes)] if processes > 1 else []


def tables(job: Job) -> list[Phase]:
    """Gathering of all views' rows and facts, each table and each column a message, and two on what they look like."""
    share = job.rows / job.views / job.processes
    each = [*gathered("shape", job.processes, 8), *gathered("shape", job.processes, 256)]
    each += gathered("tables", job.processes, share * job.d * FLOAT)
    return job.views * (each + job.columns * gathered("columns", job.processes, share * 8))


def parameters(job: Job) -> list[Phase]:
    """The mean of the parameters' gradients, and before it, which of them have any."""
    flags = added("parameters", job.processes, job.tensors * FLOAT)
    return flags + added("parameters", job.processes, job.parameters * FLOAT)


def shared(job: Job, rates: Rates) -> list[Phase]:
    """The design of this framework; problems too small to be shared are not."""
    if job.pairs <= SMALL:
        return unshared(job, rates)
    work = rates.pair * job.pairs * job.busiest(rates.side)
    sides = 2 if job.clip else 1
    size = job.rows / sides
    return [
        *tables(job),
        Phase("pairs", 1, FORWARD * work),
        *(sides * added("sums", job.processes, size * FLOAT)),
        Phase("pairs", 1, (1 - FORWARD) * work),
        *(sides * added("gradients", job.processes, size * job.d * FLOAT)),
        Phase("rows", 1, rates.row * job.rows),
        *parameters(job),
    ]


def unshared(job: Job, rates: Rates) -> list[Phase]:
    """Every process computes everything."""
    work = [Phase("pairs", 1, rates.pair * job.pairs), Phase("rows", 1, rates.row * job.rows)]
    return [*tables(job), *work, *parameters(job)]


def ring(job: Job, rates: Rates) -> list[Phase]:
    """Blocks travel; a table's pairs are each computed twice, as no process sees both halves."""
    p, block = job.processes, job.rows / job.processes * job.d * FLOAT
    step = (1 if job.clip else 2) * rates.pair * job.pairs / p**2
    return [
        Phase("blocks", p - 1, FORWARD * step, block),
        Phase("blocks", 1, FORWARD * step),
        Phase("blocks", p, (1 - FORWARD) * step, block, block),
        Phase("rows", 1, rates.row * job.rows / p),
        *parameters(job),
    ]


DESIGNS: dict[str, Callable[[Job, Rates], list[Phase]]] = {"shared": shared, "unshared": unshared, "ring": ring}


def memory(job: Job, design: str, side: int = 512) -> float:
    """Bytes for embeddings and pairs in each process, not for the encoder."""
    if design == "ring":
        return (COPIES + 4) * job.rows / job.processes * job.d * FLOAT + KEPT
    return COPIES * job.rows * job.d * FLOAT + KEPT + 2 * side**2 * FLOAT


def sent(phases: Sequence[Phase], *names: str) -> float:
    """Bytes that a process sends in the phases of these names, or in all."""
    return sum(phase.sent for phase in phases if not names or phase.name in names)


def seconds(phases: Sequence[Phase], link: Link, *names: str) -> float:
    """Closed form: of the phases of these names, or of all."""
    return sum(phase.seconds(link) for phase in phases if not names or phase.name in names)


def simulated(
    phases: Sequence[Phase], processes: int, link: Link, jitter: float = 0.0, rng: np.random.Generator | None = None
) -> float:
    """When the last process is done, each with a clock of its own.

    A process begins a step when it has ended the step before and has what its neighbour sent then. With jitter the
    seconds of every computing and of every message are multiplied by exp(jitter x), x normal.
    """

    def drawn(duration: float) -> np.ndarray:
        if not jitter or rng is None:
            return np.full(processes, duration)
        return duration * np.exp(jitter * rng.standard_normal(processes))

    clock = np.zeros(processes)
    for phase in phases:
        for _ in range(phase.steps):
            done, arrived = clock + drawn(phase.compute), clock
            if phase.size >= 0:
                arrived = clock + drawn(link.seconds(phase.size))
            if phase.after >= 0:
                done = np.maximum(done, arrived)
                arrived = done + drawn(link.seconds(phase.after))
            # What a process sends, the next one waits for.
            clock = np.maximum(np.maximum(done, arrived), np.roll(arrived, 1))
    return float(clock.max())
