"""Relative penalties of negatives against loops, golden cases and the limits of the temperature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.diagnostics import by_label, comparing, paired, penalties, relative_penalty, score_gradients
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.infonce import DCL, InfoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import dense, edges, everything, same
from contrast_core.similarity import Dot, Given, NegativeDistance


def rows(n: int, d: int = 5, seed: int = 0) -> Tensor:
    """Isotropic Gaussian rows."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Several(Objective):
    """Two terms."""

    needs = ("pairs",)

    def forward(self, outputs: Outputs) -> dict[str, Term]:
        """Of nothing."""
        return dict.fromkeys(("pull", "push"), Term(torch.zeros(()), 1))


def shares_by_loops(similarities: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """r_ij from its definition, pair by pair."""
    made = torch.zeros_like(similarities)
    for i, row in enumerate(similarities):
        terms = [float(w) * math.exp(float(s) / temperature) for s, w in zip(row, weights[i], strict=True)]
        for j, term in enumerate(terms):
            made[i, j] = term / sum(terms) if sum(terms) else 0
    return made


def test_golden_penalties_and_gradients(golden: Callable[[str], list[Any]]) -> None:
    """r and dL/ds of the contrastive loss; pull and push of every row are equal."""
    for case in golden("contrastive_gradients"):
        pairs, tau = paired(case["in_z1"], case["in_z2"]), case.meta["params"]["tau"]
        close = {"rtol": 1e-10, "atol": 1e-12}
        r = relative_penalty(pairs, tau)
        torch.testing.assert_close(r, case["out_r"], **close)
        torch.testing.assert_close(r.sum(1), case["out_rel_neg_penalty_sum"], **close)
        gradient = score_gradients(InfoNCE(temperature=tau, similarity=Given()), pairs) * len(r)
        torch.testing.assert_close(gradient, case["out_dL_ds"], **close)
        torch.testing.assert_close(gradient.sum(1), torch.zeros(len(r), dtype=torch.float64), **close)
        torch.testing.assert_close(-gradient / gradient.diagonal()[:, None] + torch.eye(len(r)), r, **close)


def test_numbers_of_every_anchor_against_loops() -> None:
    """Entropy, effective number, the first and the ten largest shares, with weights and an anchor without negatives."""
    a, b = rows(6), rows(14, seed=1)
    weights = torch.rand(6, 14, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights[weights < 0.2] = 0
    weights[3] = 0
    pairs = Pairs(Embeddings.of(a), Embeddings.of(b), dense(weights == 0), dense(weights))
    r = shares_by_loops(a @ b.T, weights, 0.7)
    torch.testing.assert_close(relative_penalty(pairs, 0.7, Dot()), r)
    found = penalties(pairs, 0.7, Dot())
    for i in range(6):
        known = [float(x) for x in r[i] if x > 0]
        entropy = -sum(x * math.log(x) for x in known)
        assert float(found.negatives[i]) == int((weights[i] > 0).sum())
        assert float(found.entropy[i]) == pytest.approx(entropy, rel=1e-10)
        assert float(found.effective[i]) == pytest.approx(math.exp(entropy) if known else 0)
        assert float(found.top_1[i]) == pytest.approx(max(known, default=0))
        assert float(found.top_10[i]) == pytest.approx(sum(sorted(known)[-10:]))
    summary = found.summary()
    assert summary["anchors"] == 5
    assert summary["entropy"] == pytest.approx(float(found.entropy.sum()) / 5)
    assert all(math.isfinite(value) for value in summary.values())


def test_the_engines_statistics_say_the_same() -> None:
    """H = log sum_j exp(l_j) - sum_j r_j l_j, and the ten largest shares are those of the ten largest similarities."""
    pairs, t = by_label(rows(60), torch.arange(60) % 3), 0.15
    log_sum = pairwise.logsumexp(pairs, pairs.negatives, temperature=t)
    mean = pairwise.softmax_mean(None, pairs, pairs.negatives, temperature=t)
    top, _ = pairwise.topk(pairs, pairs.negatives, 10)
    found = penalties(pairs, t)
    torch.testing.assert_close(found.entropy, log_sum - mean / t)
    shares = (top / t - log_sum[:, None]).exp()
    torch.testing.assert_close(found.top_1, shares[:, 0])
    torch.testing.assert_close(found.top_10, shares.sum(1))


def test_the_curve_is_the_mean_penalty_of_each_bin() -> None:
    """Against a loop over pairs; what lies beyond the span counts in the outer bins."""
    z, labels = rows(30, 3), torch.arange(30) % 4 - 1
    pairs = by_label(z, labels)
    found = penalties(pairs, 0.2, bins=5, span=(-0.5, 0.5))
    r, u = relative_penalty(pairs, 0.2), torch.nn.functional.normalize(z[labels >= 0], dim=1)
    bins: list[list[float]] = [[] for _ in range(5)]
    mine = labels[labels >= 0]
    for i in range(len(u)):
        for j in range(len(u)):
            if mine[i] != mine[j]:
                bins[min(max(math.floor((float(u[i] @ u[j]) + 0.5) * 5), 0), 4)].append(float(r[i, j]))
    assert found.count.tolist() == [len(each) for each in bins]
    assert found.mean.tolist() == pytest.approx([sum(each) / len(each) for each in bins])
    assert found.edges.tolist() == pytest.approx([-0.5, -0.3, -0.1, 0.1, 0.3, 0.5])
    # Every anchor shares out a penalty of 1.
    assert float((found.count * found.mean).sum()) == pytest.approx(len(u))
    assert math.isnan(float(penalties(paired(z[:2], z[:2]), bins=4).mean[0]))


def test_entropy_rises_with_the_temperature_to_its_limits() -> None:
    """A low temperature leaves the hardest negative alone, a high one makes all alike."""
    pairs = paired(rows(20), rows(20, seed=1))
    entropies = [penalties(pairs, t).entropy for t in (1e-4, 0.05, 0.2, 1.0, 1e6)]
    assert all((low < high).all() for low, high in itertools.pairwise(entropies))
    cold, hot = penalties(pairs, 1e-4), penalties(pairs, 1e6)
    torch.testing.assert_close(cold.top_1, torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(cold.effective, torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(hot.effective, torch.full((20,), 19.0, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("entries", [1, 40, 97])
def test_blocks_of_any_size_give_the_same(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One anchor at a time or several, also for relations that name rows by their numbers."""
    a, b = rows(23), rows(19, seed=1)
    edge = edges(torch.arange(0, 23), torch.arange(23) % 19)
    pairs = Pairs(Embeddings.of(a), Embeddings.of(b), edge, ~edge)
    whole, matrix = penalties(pairs, 0.3), relative_penalty(pairs, 0.3)
    monkeypatch.setattr(comparing, "ENTRIES", entries)
    parts = penalties(pairs, 0.3)
    for name in ("negatives", "entropy", "top_1", "top_10", "count", "mean"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), equal_nan=True)
    torch.testing.assert_close(relative_penalty(pairs, 0.3, rows=slice(5, 9)), matrix[5:9])


def test_no_block_holds_more_pairs_than_are_allowed() -> None:
    """So memory does not grow with n x m; a single anchor is looked at with all its candidates."""
    many = paired(torch.randn(1500, 2), torch.randn(1500, 2))
    seen = [block.similarities.shape for block in comparing.blocks(many, Dot(), many.negatives)]
    assert sum(rows for rows, _ in seen) == 1500
    assert max(rows * columns for rows, columns in seen) <= comparing.ENTRIES
    wide = Pairs(Embeddings.of(rows(2, 1)), Embeddings.of(rows(comparing.ENTRIES + 1, 1)), everything, everything)
    assert [block.rows.stop for block in comparing.blocks(wide, Dot(), everything)] == [1, 2]


def test_float32_and_numpy_are_taken_as_they_come() -> None:
    """With the accuracy that float32 has."""
    a, b = rows(20), rows(20, seed=1)
    exact = penalties(paired(a, b), 0.07).entropy
    torch.testing.assert_close(penalties(paired(a.numpy(), b.numpy()), 0.07).entropy, exact)
    torch.testing.assert_close(penalties(paired(a.float(), b.float()), 0.07).entropy, exact, rtol=1e-4, atol=1e-5)


def test_no_negatives_at_all() -> None:
    """One class only, one row only, no row: zeros and empty tables, never NaN."""
    alone = penalties(by_label(rows(5), torch.zeros(5)))
    assert alone.effective.tolist() == [0] * 5
    assert alone.summary() == {"anchors": 0.0}
    unknown = by_label(rows(5), torch.full((5,), -1))
    assert len(penalties(unknown).entropy) == 0
    assert relative_penalty(unknown).shape == (0, 0)


def test_gradients_show_which_pairs_an_objective_moves() -> None:
    """DCL pushes no positive; another similarity only changes where the scores come from."""
    pairs = paired(rows(8), rows(8, seed=1))
    gradient = score_gradients(DCL(temperature=0.5, similarity=Given()), pairs) * 8
    torch.testing.assert_close(gradient.diagonal(), torch.full((8,), -2.0, dtype=torch.float64))
    r = relative_penalty(pairs, 0.5)
    torch.testing.assert_close(gradient - torch.diag(gradient.diagonal()), 2 * r)
    distance = score_gradients(DCL(temperature=0.5, similarity=Given()), pairs, NegativeDistance()) * 8
    r = relative_penalty(pairs, 0.5, NegativeDistance())
    torch.testing.assert_close(distance - torch.diag(distance.diagonal()), 2 * r)


def test_what_can_not_be_looked_at_is_refused() -> None:
    """One sentence each."""
    pairs = paired(rows(4), rows(4, seed=1))
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="must be positive"):
            penalties(pairs, wrong)
    with pytest.raises(ValueError, match="at least 1 and a span"):
        penalties(pairs, bins=0)
    with pytest.raises(ValueError, match="similarity=Given"):
        score_gradients(InfoNCE(), pairs)
    with pytest.raises(ValueError, match="gives pull, push"):
        score_gradients(Several(), pairs)
    with pytest.raises(ValueError, match="one shape"):
        paired(rows(4), rows(5))
    with pytest.raises(ValueError, match="one a row"):
        by_label(rows(4), torch.zeros(3))
    infinite = Embeddings.of(torch.full((3, 2), 1e200, dtype=torch.float64))
    with pytest.raises(ValueError, match="NaN or infinite for some pairs"):
        penalties(Pairs(infinite, infinite, dense(torch.eye(3)), dense(1 - torch.eye(3))), similarity=Dot())
    with pytest.raises(ValueError, match="needs the column 'label'"):
        Pairs(infinite, infinite, same("label"), ~same("label"))
