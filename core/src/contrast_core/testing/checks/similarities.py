"""Similarities: one number for each pair, the same in whatever block it is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.testing.bench import Bench, close
from contrast_core.testing.checks import at_work
from contrast_core.testing.outcome import Skip, Violation


def _at_work(bench: Bench) -> tuple[Any, Embeddings, Embeddings]:
    """The similarity and the two tables of the first pairs it fits."""
    ready = bench.ready()
    outputs: Outputs = ready.outputs()
    for pairs in outputs.pairs.values():
        try:
            ready.part.check(pairs.anchors, pairs.candidates)
        except ValueError:
            continue
        return ready.part, pairs.anchors, pairs.candidates
    raise Skip("no pairs of the recipe have the fields that it compares.")


def _matrix(part: Any, anchors: Embeddings, candidates: Embeddings) -> Tensor:
    return part.between(part.prepare(anchors), part.prepare_candidates(candidates))  # type: ignore[no-any-return]


@at_work
def gives_a_number_a_pair(bench: Bench) -> None:
    """It gives finite numbers (n, m) in the type of the rows, with a finite gradient."""
    part, anchors, candidates = _at_work(bench)
    found = _matrix(part, anchors, candidates)
    if found.shape != (len(anchors), len(candidates)):
        raise Violation(f"For {len(anchors)} x {len(candidates)} rows it gives shape {tuple(found.shape)}.")
    if found.dtype != anchors.z.dtype or not bool(found.isfinite().all()):
        raise Violation(f"From rows of {anchors.z.dtype} it must give finite numbers of that type, not {found.dtype}.")
    leaves = [x for x in anchors.fields.values() if x.requires_grad]
    if leaves and found.requires_grad:
        gradients = torch.autograd.grad(found.sum(), leaves, allow_unused=True)
        if not all(g is None or bool(g.isfinite().all()) for g in gradients):
            raise Violation("Its gradient is NaN or infinite on ordinary rows.")


@at_work
def blocks_agree(bench: Bench) -> None:
    """In blocks, and for listed pairs, it gives what it gives at once."""
    part, anchors, candidates = _at_work(bench)
    whole = _matrix(part, anchors, candidates).detach()
    a, c = part.prepare(anchors), part.prepare_candidates(candidates)
    rows, columns = torch.arange(len(anchors)).split(5), torch.arange(len(candidates)).split(7)
    tiles = [
        torch.cat([part.between(tuple(x[i] for x in a), tuple(x[j] for x in c)) for j in columns], 1) for i in rows
    ]
    close(torch.cat(tiles).detach(), whole, "In blocks it gives other numbers than at once")
    count = min(len(anchors), len(candidates))
    listed = part.listed(tuple(x[:count] for x in a), tuple(x[:count] for x in c))
    close(listed.detach(), whole.diagonal()[:count], "For listed pairs it gives other numbers than in a matrix")


CHECKS = (gives_a_number_a_pair, blocks_agree)
