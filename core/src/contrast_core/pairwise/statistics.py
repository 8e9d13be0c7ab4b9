"""The row statistics; each chooses the cheapest exact road: a list of pairs, hand-written tiles, or blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.pairwise.generic import Problem, by_blocks
from contrast_core.pairwise.kernels import LogSumExp, WeightedSum, spans
from contrast_core.relations import Relation
from contrast_core.similarity import Cosine, Rows, Similarity

Temperature = float | Tensor | str
SIDE = 512
"""Side of the tiles of the hand-written path: a float32 tile of 1 MB stays in a core's own cache."""
COSINE = Cosine()


def _problem(
    pairs: Pairs, relation: Relation, similarity: Similarity, temperature: Temperature, tile: int | None
) -> Problem:
    anchors, candidates = pairs.anchors, pairs.candidates
    relation.check(anchors, candidates)
    if isinstance(temperature, str):
        temperature = candidates[temperature][None, :]
    if isinstance(temperature, Tensor) and temperature.dim() not in (0, 2):
        raise ValueError(f"A temperature is a scalar, (n, 1) or (1, m), not of shape {tuple(temperature.shape)}.")
    a = similarity.prepare(anchors)
    c = a if candidates is anchors else similarity.prepare(candidates)
    return Problem(anchors, candidates, relation, similarity, _widened(a), _widened(c), temperature, tile)


def _widened(rows: Rows) -> Rows:
    """Reductions are computed in float32 or better."""
    return tuple(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x for x in rows)


def _scaled_rows(problem: Problem) -> tuple[Tensor, Tensor]:
    """Tables whose inner products are the logits: the temperature goes to whichever side it belongs to."""
    (a, *_), (c, *_) = problem.a, problem.c
    temperature = problem.temperature
    if isinstance(temperature, Tensor) and temperature.dim() == 2 and temperature.shape[0] == 1:
        return a, c / temperature.T
    return a / temperature, c


def _written_by_hand(problem: Problem) -> bool:
    return problem.similarity.bilinear and not problem.relation.differentiable and not problem.is_small()


def _without_autocast(anchors: Embeddings) -> torch.autocast:
    return torch.autocast(anchors.device.type, enabled=False)


def logsumexp(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """log sum_j w_ij exp(s_ij / t), (n,); -inf, without gradient, for an anchor without related candidates."""
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)
        if _written_by_hand(problem):
            setting = (pairs.anchors, pairs.candidates, relation, tile or SIDE)
            result: Tensor = LogSumExp.apply(*_scaled_rows(problem), setting)
            return result

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            logits = _log_weighted(problem.scaled(similarities, rows), weights)
            return (_safe_logsumexp(logits),)

        return by_blocks(problem, statistic)[0]


def weighted_sum(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(sum_j w_ij s_ij / t, sum_j w_ij), (n,) each, in one pass."""
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)
        n, m = len(pairs.anchors), len(pairs.candidates)
        found = relation.listed(pairs.anchors, pairs.candidates, limit=4 * (n + m))
        if found is not None:
            logits, weights = problem.listed(*found)
            weights = weights.to(logits.dtype)
            zero = logits.new_zeros(n)
            return zero.index_add(0, found[0], weights * logits), zero.index_add(0, found[0], weights)
        if _written_by_hand(problem):
            setting = (pairs.anchors, pairs.candidates, relation, tile or SIDE)
            sums, total = WeightedSum.apply(*_scaled_rows(problem), setting)
            return sums, total

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
            logits = problem.scaled(similarities, rows)
            return (weights * logits).sum(1), weights.to(logits.dtype).sum(1)

        sums, total = by_blocks(problem, statistic)
        return sums, total


def mean(
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """sum_j w_ij s_ij / t divided by sum_j w_ij, (n,); 0, without gradient, for an anchor without related candidates."""
    sums, total = weighted_sum(pairs, relation, similarity, temperature, tile=tile)
    return sums / torch.where(total > 0, total, 1.0)


def weight(pairs: Pairs, relation: Relation) -> Tensor:
    """sum_j w_ij, (n,), differentiable where the relation is learned; for a 0/1 relation the number of candidates."""
    return sum_of(torch.ones_like, pairs, relation)


def sum_of(
    function: Callable[..., Tensor],
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    *,
    tile: int | None = None,
    rowwise: bool = False,
) -> Tensor:
    """sum_j w_ij f(s_ij), (n,).

    `f` maps a block of similarities (r, m) to one of the same shape. With `rowwise` it is called f(block, rows), where
    the slice `rows` says which anchors the block holds, so that it may use a threshold of each row's own.
    """
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, 1.0, tile)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            values = function(similarities, rows) if rowwise else function(similarities)
            # Unrelated entries are set aside before the product: f may be infinite there.
            return ((torch.where(weights > 0, values, 0.0) * weights).sum(1),)

        return by_blocks(problem, statistic)[0]


def softmax_mean(
    function: Callable[[Tensor], Tensor],
    pairs: Pairs,
    relation: Relation,
    similarity: Similarity = COSINE,
    temperature: Temperature = 1.0,
    *,
    tile: int | None = None,
) -> Tensor:
    """sum_j p_ij f(s_ij) with p_ij = w_ij exp(s_ij / t) / sum_k w_ik exp(s_ik / t), (n,); 0 for an empty row.

    A negative temperature prefers the least similar candidates.
    """
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, tile)

        def statistic(similarities: Tensor, weights: Tensor, rows: slice) -> tuple[Tensor]:
            logits = _log_weighted(problem.scaled(similarities, rows), weights)
            peak = _safe_logsumexp(logits)
            share = torch.exp(logits - torch.where(peak == -math.inf, 0.0, peak)[:, None])
            return ((share * torch.where(weights > 0, function(similarities), 0.0)).sum(1),)

        return by_blocks(problem, statistic)[0]


def topk(
    pairs: Pairs, relation: Relation, k: int, similarity: Similarity = COSINE, *, tile: int | None = None
) -> tuple[Tensor, Tensor]:
    """The k largest s_ij among related candidates, descending: values (n, k), differentiable, and indices (n, k).

    Where fewer than k are related, the rest has value -inf and index -1.

    Raises:
        ValueError: if k < 1.
    """
    if k < 1:
        raise ValueError(f"topk needs k >= 1, not {k}.")
    n, m = len(pairs.anchors), len(pairs.candidates)
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, 1.0, tile)
        indices = torch.full((n, k), -1, dtype=torch.long, device=pairs.anchors.device)
        with torch.no_grad():
            for rows in spans(n, tile or max(1, 2**20 // max(m, 1))):
                similarities, weights, _ = problem.block(rows)
                best, where = similarities.masked_fill(weights == 0, -math.inf).topk(min(k, m), dim=1)
                indices[rows, : where.shape[1]] = torch.where(best == -math.inf, -1, where)
        i, place = (indices >= 0).nonzero(as_tuple=True)
        found, _ = problem.listed(i, indices[i, place])
        values = found.new_full((n, k), -math.inf).index_put((i, place), found)
    return values, indices


def matrix(
    pairs: Pairs, relation: Relation, similarity: Similarity = COSINE, temperature: Temperature = 1.0
) -> tuple[Tensor, Tensor]:
    """(logits s_ij / t, weights w_ij), (n, m) each: for looking at them and for odd losses; takes O(n m) memory."""
    with _without_autocast(pairs.anchors):
        problem = _problem(pairs, relation, similarity, temperature, None)
        similarities, weights, rows = problem.block(slice(0, len(pairs.anchors)))
        return problem.scaled(similarities, rows), weights


def _log_weighted(logits: Tensor, weights: Tensor) -> Tensor:
    """Logits + log weights, -inf where unrelated, with finite gradients everywhere."""
    related = weights > 0
    if weights.dtype != torch.bool:
        logits = logits + torch.where(related, weights, 1.0).log()
    return logits.masked_fill(~related, -math.inf)


def _safe_logsumexp(logits: Tensor) -> Tensor:
    """Row-wise log-sum-exp that gives -inf and no gradient, rather than NaN, for a row of -inf."""
    empty = (logits == -math.inf).all(1) if logits.shape[1] else torch.ones_like(logits[:, :0].sum(1), dtype=torch.bool)
    result = torch.logsumexp(logits.masked_fill(empty[:, None], 0.0), dim=1) if logits.shape[1] else logits.sum(1)
    return result.masked_fill(empty, -math.inf)
