"""Rank-N-Contrast: the authors' loss, loops with ties, blocks, and edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.rankncontrast import RankNContrast
from contrast_core.pairs import Pairs
from contrast_core.relations import dense, everything, same
from contrast_core.samplers.near_labels import NearLabels
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Cosine, Dot, NegativeDistance, Similarity

Make = Callable[..., Any]


def loop(similarities: Tensor, apart: Tensor, compared: Tensor, temperature: float) -> Tensor:
    """The definition, from s (n, m), distances of labels (n, m) and who is compared (n, m)."""
    losses = []
    for i in range(len(similarities)):
        others = compared[i].nonzero().flatten().tolist()
        for j in others:
            behind = [k for k in others if apart[i, k] >= apart[i, j]]
            logits = similarities[i] / temperature
            losses.append(logits[behind].logsumexp(0) - logits[j])
    return torch.stack(losses).mean()


def distances(a: Tensor, c: Tensor) -> Tensor:
    """Minus Euclidean distances, with a gradient of 0 where rows coincide."""
    return -torch.cdist(a, c, compute_mode="donot_use_mm_for_euclid_dist")


def test_the_authors_loss(golden: Make, run: Make, table: Make, agrees: Make) -> None:
    """Two views of rows that are not normalised; both samplers give the same pairs."""
    for case in golden("rnc"):
        for sampler in (NearLabels(), TwoViews()):
            features, label = case["in_features"].clone().requires_grad_(), case["in_labels"].squeeze(1)
            one, two = (table(features[:, view], label=label) for view in (0, 1))
            term = run(RankNContrast(temperature=case.meta["params"]["temperature"]), sampler, one=one, two=two)
            agrees(term.value, case, features=features)
            n = 2 * len(label)
            assert (term.rows, term.dropped) == (n * (n - 1), 0)


@pytest.mark.parametrize("n", [2, 3, 12])
@pytest.mark.parametrize("numbers", [1, 2])
@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.float16, torch.float64])
def test_it_equals_the_loop_with_ties(
    on: Make, table: Make, rows: Make, n: int, numbers: int, kind: torch.dtype
) -> None:
    """Few different labels, of one number or of two: whoever is equally far shares the denominator."""
    z, label = rows(n), torch.arange(n * numbers).reshape(n, numbers) * 7 % 5
    labelled = table(z, label=label.to(kind).squeeze(1) if numbers == 1 else label.to(kind))
    others = ~same("sample")
    term = on(RankNContrast(temperature=0.7), Pairs(labelled, labelled, others, others))
    apart = (label[:, None] - label).abs().sum(-1)
    expected = loop(distances(z, z), apart, ~torch.eye(n, dtype=torch.bool), 0.7)
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("similarity", [NegativeDistance(power=1.0), Cosine(), Dot()], ids=str)
def test_only_positives_and_negatives_are_compared(on: Make, rows: Make, similarity: Similarity) -> None:
    """Another table of candidates, of which some have no part; an anchor without any is dropped."""
    a, c = rows(5, 4), rows(7, 4, seed=1)
    label_a, label_c = torch.tensor([0.0, 1.5, 3.0, 2.0, 1.0]), torch.tensor([0.5, 1.0, 1.0, 2.5, 4.0, 0.0, 2.0])
    compared = torch.rand(5, 7, generator=torch.Generator().manual_seed(2)) < 0.6
    compared[3] = False
    one = compared & (torch.arange(7) % 2 == 0)
    anchors, candidates = Embeddings.of(a, label=label_a), Embeddings.of(c, label=label_c)
    pairs = Pairs(anchors, candidates, dense(one * 2.0), dense(compared & ~one))
    term = on(RankNContrast(temperature=0.5, similarity=similarity), pairs)
    similarities = similarity.between(similarity.prepare(anchors), similarity.prepare(candidates))
    expected = loop(similarities, (label_a[:, None] - label_c).abs(), compared, 0.5)
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = torch.autograd.grad(term.value, (a, c)), torch.autograd.grad(expected, (a, c))
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (int(compared.sum()), 1)


def test_blocks_of_rows_equal_one_block(run: Make, table: Make, rows: Make) -> None:
    """300 rows make more pairs than one block holds; the oracle is the formula on whole matrices."""
    n = 300
    z, label = rows(n), (torch.arange(n) * 7 % 50).double() / 8
    term = run(RankNContrast(), NearLabels(["embedding"]), embedding=table(z, label=label))
    logits, apart = distances(z, z) / 2, (label[:, None] - label).abs()
    others = ~torch.eye(n, dtype=torch.bool)
    behind = (apart[:, None, :] >= apart[:, :, None]) & others[:, None, :]
    sums = torch.where(behind, logits[:, None, :], -math.inf).logsumexp(2)
    expected = (sums - logits)[others].mean()
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_equal_labels_make_it_infonce_with_a_denominator_of_everyone(run: Make, table: Make, rows: Make) -> None:
    """Without any order all pairs are positives against all others."""
    tables = {"embedding": table(rows(6), label=torch.zeros(6))}
    similarity, sampler = NegativeDistance(power=1.0), NearLabels(["embedding"])
    ranked = run(RankNContrast(), sampler, **tables).value
    plain = run(InfoNCE(temperature=2.0, similarity=similarity), sampler, **tables).value
    torch.testing.assert_close(ranked, plain, rtol=1e-12, atol=1e-12)


def test_far_and_equal_rows_stay_finite(run: Make, table: Make) -> None:
    """Logits whose exponentials vanish in float32, and a distance of zero."""
    z = (torch.tensor([0.0, 0.0, 1.0, 2.0])[:, None] * 1e4).requires_grad_()
    label = torch.tensor([0.0, 0.0, 2.0, 1.0])
    term = run(RankNContrast(), NearLabels(["embedding"]), embedding=table(z, label=label))
    expected = loop(distances(z, z), (label[:, None] - label).abs(), ~torch.eye(4, dtype=torch.bool), 2.0)
    torch.testing.assert_close(term.value, expected)
    assert term.value > 0
    assert torch.autograd.grad(term.value, z)[0].isfinite().all()


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_to_compare_with_is_zero(run: Make, table: Make, rows: Make, n: int) -> None:
    """One row, or none."""
    z = rows(n)
    term = run(RankNContrast(), NearLabels(["embedding"]), embedding=table(z, label=torch.zeros(n)))
    assert (term.value.item(), term.rows, term.dropped) == (0.0, 0, n)
    assert torch.equal(torch.autograd.grad(term.value, z)[0], torch.zeros_like(z))


def test_mistakes_are_named(on: Make, table: Make, rows: Make) -> None:
    """What is wrong and what would be right."""
    with pytest.raises(ValueError, match="positive"):
        RankNContrast(temperature=0)
    bare, wide = table(rows(2)), table(rows(2), label=torch.zeros(2, 3))
    known, unknown = table(rows(2), label=torch.zeros(2)), table(rows(2), label=torch.tensor([0.0, math.nan]))
    for anchors, candidates, sentence in [
        (known, bare, "column 'label', which the candidates lack; they have z, sample"),
        (unknown, known, "A label of the anchors is NaN, which has no rank; the sampler core/near-labels"),
        (known, wide, "have 1 and 3 numbers"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            on(RankNContrast(), Pairs(anchors, candidates, everything, everything))
