"""Pair samplers: pairs under the names they declare, with weights that are weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation
from contrast_core.testing.bench import Bench, close, twice
from contrast_core.testing.checks import at_work
from contrast_core.testing.order import by_rows, marked, reordered
from contrast_core.testing.outcome import Skip, Violation
from contrast_core.testing.reading import Reading

SIDE = 5
"""Least side of a tile that weights are looked at in."""


def _flow(bench: Bench) -> tuple[Any, dict[str, Any]]:
    """The sampler and the flow it sees."""
    ready = bench.ready()
    return ready.part, _seen(ready.pipeline, {**ready.flow})


def _seen(pipeline: Any, flow: dict[str, Any]) -> dict[str, Any]:
    for view in pipeline.late_views.values():
        flow.update(view(flow))
    return {**flow, **pipeline.memories}


def _weights(pairs: Pairs, relation: Relation, side: int | None = None) -> torch.Tensor:
    """All weights (n, m), at once or tile by tile."""
    n, m = len(pairs.anchors), len(pairs.candidates)
    if not n or not m:
        return torch.zeros(n, m, dtype=torch.float64)
    step = side or max(n, m)
    rows = [slice(i, min(i + step, n)) for i in range(0, n, step)]
    columns = [slice(j, min(j + step, m)) for j in range(0, m, step)]
    prepared = relation if side is None else relation.prepared(pairs.anchors, pairs.candidates)
    found = [
        [prepared.weigh(b := Block.tile(pairs.anchors, pairs.candidates, r, c)).expand(b.shape) for c in columns]
        for r in rows
    ]
    return torch.cat([torch.cat(line, 1) for line in found]).double()


@at_work
def gives_what_it_says(bench: Bench) -> None:
    """It gives pairs under exactly the names in `gives`."""
    part, flow = _flow(bench)
    found = part(flow)
    if not isinstance(found, Mapping) or not all(isinstance(pairs, Pairs) for pairs in found.values()):
        raise Violation("It must give Pairs by name.")
    if set(found) != set(part.gives):
        raise Violation(f"It declares gives = {sorted(part.gives)}, but gives {sorted(found)}.")


@at_work
def reads_what_it_needs(bench: Bench) -> None:
    """What it reads is declared in `needs`."""
    part, flow = _flow(bench)
    read = Reading()
    part(read.watching(flow))
    read.check(part.needs)


@at_work
def weights_are_weights(bench: Bench) -> None:
    """Weights of positives and negatives are finite and at least 0, and somebody has a candidate."""
    part, flow = _flow(bench)
    for name, pairs in part(flow).items():
        some = False
        for what in ("positives", "negatives"):
            weights = _weights(pairs, getattr(pairs, what))
            if not bool(weights.isfinite().all()) or bool((weights < 0).any()):
                raise Violation(f"The {what} of '{name}' have weights that are negative or not finite.")
            some = some or bool(weights.any())
        if not some:
            raise Violation(f"In '{name}' nobody has a positive or a negative.")


@at_work
def relations_agree_in_tiles(bench: Bench) -> None:
    """A relation gives a pair the same weight whatever tile it is in, and lists what it relates."""
    part, flow = _flow(bench)
    for name, pairs in part(flow).items():
        for what in ("positives", "negatives"):
            relation: Relation = getattr(pairs, what)
            whole = _weights(pairs, relation)
            side = max(SIDE, max(whole.shape) // 4)
            close(_weights(pairs, relation, side), whole, f"In tiles, the {what} of '{name}' are others than at once")
            listed = relation.listed(pairs.anchors, pairs.candidates, whole.numel())
            if listed is not None:
                outside = whole.clone()
                outside[listed[0], listed[1]] = 0
                if bool(outside.any()):
                    raise Violation(f"The {what} of '{name}' list fewer pairs than they relate.")


@at_work
def order_of_rows(bench: Bench) -> None:
    """Whatever the order of the items, the same rows meet with the same weights."""
    part, flow = _flow(bench)
    plain = marked(flow)
    one, two = twice(lambda: _all(part(plain)), (5, 6))
    if any(not torch.equal(one[k], two[k]) for k in one if one[k].shape == two[k].shape):
        raise Skip("it draws at random.")
    other, _ = reordered(plain)
    before, after = part(plain), part(other)
    for name, pairs in before.items():
        expected, found = by_rows(pairs, _both(pairs)), by_rows(after[name], _both(after[name]))
        if expected is None or found is None:
            raise Skip("its rows are not those of tables alone.")
        close(found, expected, f"Who meets whom in '{name}' depends on the order of the items")


def _both(pairs: Pairs) -> torch.Tensor:
    """Weights of positives and of negatives side by side, (n, 2 m)."""
    return torch.cat([_weights(pairs, pairs.positives), _weights(pairs, pairs.negatives)], 1)


@at_work
def nothing_to_pair(bench: Bench) -> None:
    """Tables without rows give pairs without rows, or a sentence."""
    part, flow = _flow(bench)
    none = torch.arange(0)
    empty = {name: value.select(none) if isinstance(value, Embeddings) else value for name, value in flow.items()}
    try:
        for pairs in part(empty).values():
            _both(pairs)
    except (ValueError, ContrastError):
        return
    except Exception as error:
        raise Violation(f"Tables without rows end in {type(error).__name__}: {error}") from error


def _all(found: Mapping[str, Pairs]) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{what}": _weights(pairs, getattr(pairs, what))
        for name, pairs in found.items()
        for what in ("positives", "negatives")
    }


@at_work
def same_seed_same_pairs(bench: Bench) -> None:
    """With the same random state it gives the same pairs."""
    part, flow = _flow(bench)
    one, two = twice(lambda: _all(part(flow)), (5, 5))
    for name, weights in one.items():
        close(two[name], weights, f"Twice with the same seed, {name} differ")


@at_work
def processes_agree(bench: Bench) -> None:
    """In two processes, each with a share of the rows, loss and gradient are those of one."""
    from contrast_core.testing.two_processes import verdict

    verdict(bench)


CHECKS = (
    gives_what_it_says,
    reads_what_it_needs,
    weights_are_weights,
    relations_agree_in_tiles,
    order_of_rows,
    nothing_to_pair,
    same_seed_same_pairs,
    processes_agree,
)
