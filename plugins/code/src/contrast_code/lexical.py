"""What search by words finds, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.feature_extraction.text import TfidfTransformer
from torch import Tensor

from contrast_code.data.pairs import CodePairs
from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.ranking import gains, score_ranks
from contrast_core.figures import Figure
from contrast_core.interfaces import Data, Evaluator, Score

BLOCK = 256
"""Queries whose scores are in memory at a time."""


@final
class Lexical(Evaluator):
    """MRR and R@k of TF-IDF and BM25 over the same tokens, queries and candidates as `core/retrieval` has.

        TF-IDF(q, c) = cos(tf_q idf, tf_c idf),                  idf_t = 1 + ln((1 + n) / (1 + n_t))
        BM25(q, c)   = sum_{t in q} w_t tf_ct (k1 + 1) / (tf_ct + k1 (1 - b + b |c| / mean |c|)),
        w_t          = ln(1 + (n - n_t + 1/2) / (n_t + 1/2))

    with n candidates, n_t of them holding t, and tf_ct how often c holds it. Nothing is learned but the tokens, by
    which names fall into their words.

    Args:
        k: where recall is taken.
        pool: candidates of a pool, as in `core/retrieval`; None: no pools.
        k1, b: of BM25.

    Raises:
        ValueError: in use, if the data are no pairs of query and code, or there is nothing to test on.

    Papers: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, for BM25 (with the idf
    of Lucene, which is never negative).
    """

    needs = ("embedding",)

    def __init__(self, k: Sequence[int] = (1, 5, 10), pool: int | None = 1000, k1: float = 1.5, b: float = 0.75):
        self.k, self.pool, self.k1, self.b = tuple(k), pool, k1, b

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """Scores of both; nothing is drawn at random."""
        return [
            Score(f"{name} {metric}", value, split=label)
            for name, by in self.ranks(data).items()
            for label, ranks in by.items()
            for metric, value in (
                ("MRR", float(gains(ranks, "MRR", 2**53).mean())),
                *((f"R@{k}", float(gains(ranks, "Recall", k).mean())) for k in self.k),
            )
        ]

    def ranks(self, data: Data) -> dict[str, dict[str, Tensor]]:
        """The rank of each query's code, by method and by what the scores are called."""
        if not isinstance(data, CodePairs):
            raise ValueError("code/lexical needs pairs of query and code, as code/installed-libraries.")
        found: dict[str, dict[str, Tensor]] = {"TF-IDF": {}, "BM25": {}}
        for split, parts in data.splits.items():
            items, label = parts.test, "test" if len(data.splits) == 1 else f"{split} test"
            if not len(items):
                raise ValueError(f"There is no test item to search for in '{split}'.")
            pools = {label: len(items)}
            if self.pool is not None and self.pool < len(items):
                pools[f"{label}, pools of {self.pool:,}"] = self.pool
            for name, size in pools.items():
                ranked = [
                    self._pool(data, items[start : start + size]) for start in range(0, len(items) - size + 1, size)
                ]
                for method, each in zip(found, zip(*ranked, strict=True), strict=True):
                    found[method][name] = torch.cat(each)
        return found

    def _pool(self, data: CodePairs, items: Tensor) -> tuple[Tensor, Tensor]:
        """Ranks of the queries of those items that have one, among the code of all of them, by both methods."""
        (queries, codes), keys, asked = data.words(items), data.group[items], data.asked[items] != 0
        queries, wanted = queries[asked.numpy()], keys[asked]
        weighting = TfidfTransformer().fit(codes)
        return (
            _ranks(weighting.transform(queries), weighting.transform(codes), wanted, keys),
            _ranks(sp.csr_array(queries.astype(bool).astype(float)), self._bm25(codes), wanted, keys),
        )

    def _bm25(self, codes: Any) -> Any:
        """What each token of each candidate is worth to a query that holds it."""
        count = codes.shape[0]
        holding = np.asarray((codes > 0).sum(0)).ravel()
        idf = np.log1p((count - holding + 0.5) / (holding + 0.5))
        length = np.asarray(codes.sum(1)).ravel()
        worth = sp.coo_array(codes, dtype=float)
        row, column = worth.coords
        norm = self.k1 * (1 - self.b + self.b * length[row] / max(length.mean(), 1e-12))
        worth.data = idf[column] * worth.data * (self.k1 + 1) / (worth.data + norm)
        return worth.tocsr()


def _ranks(queries: Any, codes: Any, wanted: Tensor, keys: Tensor) -> Tensor:
    """The rank of the code whose key each query wants."""
    found = [torch.empty(0, dtype=torch.float64)]
    for rows in torch.arange(queries.shape[0]).split(BLOCK):
        scores = (queries[rows.numpy()] @ codes.T).toarray()
        found.append(score_ranks(torch.from_numpy(scores), wanted[rows], keys))
    return torch.cat(found)
