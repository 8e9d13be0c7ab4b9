"""Retrieval: does a query find what belongs to it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.evaluation.ranking import gains, match_ranks
from contrast_core.interfaces import Data, Evaluator, Score


@final
class Retrieval(Evaluator):
    """Mean reciprocal rank, MRR = mean_q 1 / r_q, and recall, R@k = mean_q [r_q <= k], of each query's own candidate.

    Candidates are sorted by cosine (or inner product); r_q is the rank of the best one whose `match` equals the
    query's, tied ones counting half; see `contrast_core.evaluation.ranking.match_ranks`. Queries and candidates are the
    test items of every split: all of them ("test"), and in pools of `pool` candidates, the protocol of CodeSearchNet
    ("test, pools of 1,000"): consecutive test items, each query against the pool with its own candidate; what does not
    fill a last pool is left out.

    Args:
        queries: the encoder's table of the queries.
        candidates: the encoder's table of the candidates.
        k: where recall is taken.
        pool: candidates of a pool; None, or fewer test items than that: no pools.
        cutoff: a match beyond this rank counts as not found; None: however far.
        match: the column that a query and what it looks for have in common.
        asked: a column of the queries' table; rows where it is 0 are only candidates.
        normalise: cosine, otherwise the inner product.

    Raises:
        ValueError: for no or a non-positive k, pool or cutoff; in use, if there is no split with test items or no
            query among them, or something is not finite.

    Papers: Husain et al., CodeSearchNet Challenge, arXiv 1909.09436.
    """

    def __init__(
        self,
        queries: str = "one",
        candidates: str = "two",
        k: Sequence[int] = (1, 5, 10),
        pool: int | None = 1000,
        cutoff: int | None = None,
        match: str = "sample",
        asked: str | None = None,
        normalise: bool = True,
    ):
        if not k or min(k) < 1:
            raise ValueError(f"k must hold at least one number, all at least 1, not {list(k)}.")
        for name, value in (("pool", pool), ("cutoff", cutoff)):
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value} must be at least 1.")
        self.queries, self.candidates, self.k, self.pool, self.cutoff = queries, candidates, tuple(k), pool, cutoff
        self.match, self.asked, self.normalise = match, asked, normalise
        columns = [f"{queries}.{match}", f"{candidates}.{match}", *([f"{queries}.{asked}"] if asked else [])]
        self.needs = ("embedding", queries, candidates, *columns)

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """MRR and R@k of each split's test items; nothing is drawn at random."""
        scores = []
        for name, ranks in self.ranks(tables, data).items():
            worst = self.cutoff if self.cutoff is not None else 2**53
            scores.append(Score("MRR", float(gains(ranks, "MRR", worst).mean()), split=name))
            scores += [Score(f"R@{k}", float(gains(ranks, "Recall", k).mean()), split=name) for k in self.k]
        return scores

    def ranks(self, tables: Mapping[str, Embeddings], data: Data) -> dict[str, Tensor]:
        """The rank of each query's match, (n,) float64, infinite if there is none, by what the scores are called."""
        place = torch.full((len(data),), -1)
        place[tables["embedding"]["sample"]] = torch.arange(len(tables["embedding"]))
        found: dict[str, Tensor] = {}
        for name, split in data.splits.items():
            rows = place[split.test]
            rows = rows[rows >= 0]
            _, queries, candidates = (
                self._rows(tables[table], rows) for table in ("embedding", self.queries, self.candidates)
            )
            label = "test" if len(data.splits) == 1 else f"{name} test"
            found[label] = self._pooled(queries, candidates, max(1, len(rows)))
            if self.pool is not None and self.pool < len(rows):
                found[f"{label}, pools of {self.pool:,}"] = self._pooled(queries, candidates, self.pool)
        if not found or not all(len(ranks) for ranks in found.values()):
            raise ValueError("Retrieval needs a split whose test items hold queries and are embedded; there is none.")
        return found

    def _rows(self, table: Embeddings, rows: Tensor) -> Embeddings:
        some = table.select(rows)
        z = at_least_float32(some.z.detach())
        if not bool(z.isfinite().all()):
            raise ValueError("An embedding of a test item is NaN or infinite; there is nothing to rank.")
        return Embeddings({"z": functional.normalize(z, dim=1) if self.normalise else z}, some.columns)

    def _pooled(self, queries: Embeddings, candidates: Embeddings, size: int) -> Tensor:
        """Ranks in pools of consecutive rows; a last pool that is not full is left out."""
        ranks = []
        for start in range(0, len(candidates) - size + 1, size):
            pool = torch.arange(start, start + size)
            asking = queries.select(pool)
            if self.asked is not None:
                asking = asking.select(asking[self.asked] != 0)
            others = candidates.select(pool)
            ranks.append(match_ranks(asking.z, others.z, asking[self.match], others[self.match]))
        return torch.cat(ranks) if ranks else torch.empty(0, dtype=torch.float64)
