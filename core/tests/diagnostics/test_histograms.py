"""Histograms of similarities against loops over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrast_core.diagnostics import by_label, comparing, paired, similarity_histograms
from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.relations import dense
from contrast_core.similarity import Dot


def rows(n: int, d: int = 3, seed: int = 0) -> Tensor:
    """Isotropic Gaussian rows."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def counted(values: list[float], bins: int, low: float, high: float) -> list[int]:
    """How many values lie in each bin."""
    made = [0] * bins
    for value in values:
        made[min(max(math.floor((value - low) / (high - low) * bins), 0), bins - 1)] += 1
    return made


@pytest.mark.parametrize("entries", [2**18, 1, 50])
def test_each_histogram_counts_its_pairs(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positives, negatives and the k hardest of each anchor, in blocks of any size."""
    monkeypatch.setattr(comparing, "ENTRIES", entries)
    z, labels = rows(25), torch.arange(25) % 4 - 1
    found = similarity_histograms(by_label(z, labels), k=3, bins=16)
    u, mine = torch.nn.functional.normalize(z[labels >= 0], dim=1), labels[labels >= 0]
    positives, negatives, hardest = [], [], []
    for i in range(len(u)):
        cosines = [float(u[i] @ u[j]) for j in range(len(u))]
        positives += [s for j, s in enumerate(cosines) if mine[i] == mine[j] and i != j]
        others = [s for j, s in enumerate(cosines) if mine[i] != mine[j]]
        negatives += others
        hardest += sorted(others)[-3:]
    assert found.positives.tolist() == counted(positives, 16, -1, 1)
    assert found.negatives.tolist() == counted(negatives, 16, -1, 1)
    assert found.hardest.tolist() == counted(hardest, 16, -1, 1)
    assert found.centres.tolist() == pytest.approx([-1 + (k + 0.5) / 8 for k in range(16)])


def test_weights_and_missing_negatives() -> None:
    """A weight says who is related, not how often; anchors with fewer than k negatives count those they have."""
    a, b = rows(4), rows(6, seed=1)
    weights = torch.tensor([[0.5] * 6, [0] * 6, [3.0, 2.0] + [0] * 4, [0] * 5 + [1]], dtype=torch.float64)
    pairs = Pairs(Embeddings.of(a), Embeddings.of(b), dense(weights == 0), dense(weights))
    found = similarity_histograms(pairs, Dot(), k=4, bins=10, span=(-0.5, 2.0))
    assert found.positives.sum() == 24 - 9
    assert found.negatives.sum() == 9
    assert found.hardest.sum() == 4 + 2 + 1
    dots = (a @ b.T)[weights > 0].tolist()
    assert found.negatives.tolist() == counted(dots, 10, -0.5, 2.0)


def test_rows_that_point_the_same_way_lie_in_the_last_bin() -> None:
    """Also in float32, where a cosine may come out above 1."""
    z = rows(50, 20).float()
    assert similarity_histograms(paired(z, 3 * z), bins=7).positives.tolist() == [0] * 6 + [50]
    empty = similarity_histograms(by_label(z[:3], torch.full((3,), -1)))
    assert (empty.positives.sum(), empty.hardest.sum()) == (0, 0)


def test_bins_that_can_not_be_are_refused() -> None:
    """One sentence each."""
    pairs = paired(rows(4), rows(4))
    with pytest.raises(ValueError, match="k >= 1, not 0"):
        similarity_histograms(pairs, k=0)
    with pytest.raises(ValueError, match="at least 1 and a span"):
        similarity_histograms(pairs, bins=0)
    with pytest.raises(ValueError, match="from less to more"):
        similarity_histograms(pairs, span=(1.0, 1.0))
