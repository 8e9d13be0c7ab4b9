"""Episodes: which items stand for which class, and which are to be classified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Episodes(NamedTuple):
    """E episodes of w ways: rows of the supports (E, w, s) and queries (E, q), the queries' ways (E, q), and the class
    behind each way (E, w).
    """

    support: Tensor
    query: Tensor
    way: Tensor
    classes: Tensor


def draw_episodes(
    labels: Tensor,
    episodes: int,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
    seed: int = 0,
    imbalance: float | None = None,
    classes: Sequence[str] = (),
) -> Episodes:
    """Draw episodes that depend on the labels and the seed alone, so that all methods meet the same ones.

    Classes and items are drawn without repetition in an episode. Fewer shots are the first of each class's. Balanced,
    every class has so many queries; with an imbalance the ways * queries of an episode are parted by shares from a
    Dirichlet distribution with all parameters equal to it (the smaller, the less even). What a class has too few items
    for goes to the other classes of the episode, the rarest first.

    Args:
        labels: (n,) int64, -1 where unknown: such rows are never drawn.
        episodes, ways, shots, queries: E, w, s, and queries a class.
        seed: of the episodes.
        imbalance: alpha of the Dirichlet distribution.
        classes: their names, for messages.

    Raises:
        ValueError: if a number is below 1, or there are fewer classes than ways, or fewer items of a class than shots
            and queries; the sentence names the class.
    """
    if min(episodes, ways, shots, queries) < 1 or (imbalance is not None and imbalance <= 0):
        raise ValueError(
            f"episodes = {episodes}, ways = {ways}, shots = {shots} and queries = {queries} must be at least 1, and "
            f"an imbalance more than 0, not {imbalance}."
        )
    numbers = labels[labels >= 0].unique()
    if len(numbers) < ways:
        raise ValueError(f"Episodes of {ways} ways need as many classes; the labels have {len(numbers)}.")
    members = [(labels == value).nonzero().squeeze(1) for value in numbers]
    least = min(range(len(members)), key=lambda number: len(members[number]))
    if len(members[least]) < shots + queries:
        name = classes[int(numbers[least])] if classes else int(numbers[least])
        raise ValueError(
            f"Class {name} has {len(members[least])} items, fewer than {shots} shots and {queries} "
            "queries; ask for fewer, or leave the class out."
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = [_episode(members, ways, shots, queries, imbalance, generator) for _ in range(episodes)]
    support, query, way, chosen = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    return Episodes(support, query, way, numbers[chosen])


def _episode(
    members: list[Tensor], ways: int, shots: int, queries: int, imbalance: float | None, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    chosen = torch.randperm(len(members), generator=generator)[:ways]
    mixed = [members[c][torch.randperm(len(members[c]), generator=generator)] for c in chosen.tolist()]
    counts = [queries] * ways
    if imbalance is not None:
        counts = _parted([len(items) - shots for items in mixed], ways * queries, imbalance, generator)
    support = torch.stack([items[:shots] for items in mixed])
    query = torch.cat([items[shots : shots + count] for items, count in zip(mixed, counts, strict=True)])
    way = torch.arange(ways).repeat_interleave(torch.tensor(counts))
    return support, query, way, chosen


def _parted(room: list[int], total: int, alpha: float, generator: torch.Generator) -> list[int]:
    """How many queries each class gets, `total` together and no more than there is room for."""
    # A gamma variable by numpy's generator would be a second source of randomness: torch seeds this one.
    state = torch.random.get_rng_state()
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    try:
        shares = torch.distributions.Dirichlet(torch.full((len(room),), alpha, dtype=torch.float64)).sample()
    finally:
        torch.random.set_rng_state(state)
    exact = shares * total
    counts = [int(x) for x in exact.floor()]
    for number in (exact - exact.floor()).argsort(descending=True).tolist()[: total - sum(counts)]:
        counts[number] += 1
    counts = [min(count, most) for count, most in zip(counts, room, strict=True)]
    while sum(counts) < total:
        open_ = [number for number in range(len(room)) if counts[number] < room[number]]
        counts[min(open_, key=lambda number: counts[number])] += 1
    return counts
