"""One statistic's inputs, checked and prepared: tables, relation, similarity, temperature."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.pattern import Listing
from contrast_core.relations import Block, Relation
from contrast_core.similarity import Rows, Similarity

Temperature = float | Tensor | str

ENTRIES = 2**18
"""Pairs alive at once: some ten tensors of this size stay in a processor's shared cache."""
SMALL = 2**16
"""Up to so many pairs plain autograd on the whole matrix is the faster way."""


@frozen(eq=False)
class Problem:
    """One statistic's inputs.

    Args:
        anchors: the table of n rows.
        candidates: the table of m rows.
        relation: who meets whom.
        similarity: how alike two rows are.
        a: the anchors' rows as the similarity prepared them.
        c: the candidates' rows likewise.
        temperature: a number or a tensor that broadcasts to (n, m).
        kind: the type that sums are computed in.
        side: the side of a tile, or None for the engine's choice.
        lists: what relations of these tables list; shared by problems that differ in the relation alone.
    """

    anchors: Embeddings
    candidates: Embeddings
    relation: Relation
    similarity: Similarity
    a: Rows
    c: Rows
    temperature: float | Tensor
    kind: torch.dtype
    side: int | None
    lists: dict[object, Listing] = field(factory=dict)

    def weights(self, rows: slice, relation: Relation | None = None) -> Tensor:
        """Weights of some anchors with all candidates; they broadcast to (r, m)."""
        everyone = slice(0, len(self.candidates))
        return self._weigh(Block.tile(self.anchors, self.candidates, rows, everyone), relation or self.relation)

    def _weigh(self, block: Block, relation: Relation) -> Tensor:
        """A gradient only if the relation declares one, and fractions in the type of the similarities."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.relation.differentiable):
            weights = relation.weigh(block)
        return weights.to(self.kind) if weights.is_floating_point() else weights

    def scaled(self, similarities: Tensor, rows: slice) -> Tensor:
        """Logits of a block."""
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() == 2 and len(temperature) > 1:
            temperature = temperature[rows]
        return similarities / temperature

    def temperature_by_row(self) -> float | Tensor | None:
        """A number or (n,); None if every candidate has its own."""
        temperature = self.temperature
        if not isinstance(temperature, Tensor) or temperature.numel() == 1:
            return temperature if not isinstance(temperature, Tensor) else temperature.reshape(())
        return temperature[:, 0] if temperature.shape[1] == 1 else None

    def listed(self, i: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and weights, (p,) each, of listed pairs."""
        a, c = (tuple(x.index_select(0, at) for x in rows) for rows, at in ((self.a, i), (self.c, j)))
        temperature = self.temperature
        if isinstance(temperature, Tensor) and temperature.dim() == 2:
            temperature = temperature[i if len(temperature) > 1 else 0, j if temperature.shape[1] > 1 else 0]
        return self.similarity.listed(a, c) / temperature, self.listed_weights(i, j)

    def listed_weights(self, i: Tensor, j: Tensor) -> Tensor:
        """Weights, (p,), of listed pairs."""
        return self._weigh(Block(self.anchors, self.candidates, i, j), self.relation).expand(i.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return len(self.anchors), len(self.candidates)

    def is_small(self) -> bool:
        """Whether plain autograd on the whole matrix is the faster way."""
        n, m = self.shape
        return self.side is None and n * m <= SMALL

    def by_hand(self) -> bool:
        """Whether the hand-written functions apply."""
        return self.similarity.bilinear and not self.relation.differentiable

    def swapped(self) -> Problem:
        """The same problem seen from the candidates; for similarities that treat both sides alike."""
        t = self.temperature
        turned = t.T if isinstance(t, Tensor) and t.dim() == 2 else t
        relation = self.relation.transposed()
        return evolve(
            self, anchors=self.candidates, candidates=self.anchors, relation=relation, a=self.c, c=self.a,
            temperature=turned, lists={},
        )  # fmt: skip

    def rows_at_once(self) -> int:
        """How many anchors a block holds."""
        if self.side is not None:
            return self.side
        numbers = max(self.similarity.numbers_per_pair(self.a, self.c), self.relation.numbers_per_pair)
        return max(1, ENTRIES // max(self.shape[1] * numbers, 1))


_SIDE: ContextVar[int | None] = ContextVar("side", default=None)


@contextmanager
def in_tiles(side: int) -> Iterator[None]:
    """Inside, every statistic without a tile of its own is computed in tiles of this side, however small it is.

    For tests: what an objective gives must not depend on whether its pairs are computed at once or in tiles.
    """
    token = _SIDE.set(side)
    try:
        yield
    finally:
        _SIDE.reset(token)


def problem_of(
    pairs: Pairs, relation: Relation, similarity: Similarity, temperature: Temperature, tile: int | None
) -> Problem:
    """The inputs checked; the tables as the similarity wants them.

    Raises:
        ValueError: if the relation, the similarity, the temperature or the tile does not fit the tables.
    """
    anchors, candidates = pairs.anchors, pairs.candidates
    tile = _SIDE.get() if tile is None else tile
    if tile is not None and tile < 1:
        raise ValueError(f"A tile has a side of at least 1, not {tile}.")
    relation.check(anchors, candidates)
    similarity.check(anchors, candidates)
    a = similarity.prepare(anchors)
    one_table = candidates is anchors and not similarity.two_sided
    c = a if one_table else similarity.prepare_candidates(candidates)
    # Reductions are computed in float32 or better, and in the wider type of both sides.
    kind = kind_of(*a, *c)
    a = _in_kind(a, kind)
    c = a if one_table else _in_kind(c, kind)
    temperature = _temperature(pairs, temperature, kind)
    return Problem(anchors, candidates, relation, similarity, a, c, temperature, kind, tile)


def _in_kind(rows: Rows, kind: torch.dtype) -> Rows:
    return tuple(x.to(kind) if x.is_floating_point() else x for x in rows)


def kind_of(*tensors: Tensor) -> torch.dtype:
    """The widest floating type among tensors, at least float32."""
    kind = torch.float32
    for tensor in tensors:
        if tensor.is_floating_point():
            kind = torch.promote_types(kind, tensor.dtype)
    return kind


def _temperature(pairs: Pairs, temperature: Temperature, kind: torch.dtype) -> float | Tensor:
    n, m = len(pairs.anchors), len(pairs.candidates)
    if isinstance(temperature, str):
        if temperature not in pairs.candidates:
            have = ", ".join(pairs.candidates.columns) or "none"
            raise ValueError(
                f"The temperature is the column '{temperature}', which the candidates lack; they have {have}."
            )
        temperature = pairs.candidates[temperature].reshape(1, -1)
    if not isinstance(temperature, Tensor):
        if temperature == 0 or math.isnan(temperature):
            raise ValueError(f"A temperature is a number other than 0, not {temperature}.")
        return temperature
    shape = tuple(temperature.shape)
    if temperature.dim() == 0:
        return temperature.to(kind)
    if shape not in ((n, 1), (1, m), (1, 1)):
        raise ValueError(f"A temperature is a scalar, ({n}, 1) or (1, {m}) here, not of shape {shape}.")
    return temperature.to(kind)


def scaled_tables(problem: Problem) -> tuple[Tensor, Tensor, float]:
    """Tables and a number whose product is the logit: the temperature goes to whichever side it belongs to."""
    (a, *_), (c, *_) = problem.a, problem.c
    temperature = problem.temperature
    if not isinstance(temperature, Tensor):
        return a, c, 1 / temperature
    if temperature.numel() == 1 and c is a:
        # Half of it to each side keeps one table one.
        root = temperature.reshape(()).abs().rsqrt()
        scaled = a * root
        return scaled, scaled, math.copysign(1.0, float(temperature.detach()))
    if temperature.dim() == 2 and temperature.shape[0] == 1:
        return a, c / temperature.T, 1.0
    return a / temperature, c, 1.0
