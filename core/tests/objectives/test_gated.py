"""Pairs of classes behind a gate: the losses of Hydra and SimLAP, how partners are drawn, blocks and edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.ntxent import PairwiseNTXent
from contrast_core.pairs import Pairs
from contrast_core.pairwise import logsumexp, matrix
from contrast_core.relations import dense, everything
from contrast_core.samplers.class_pairs import ClassPairs, partner_classes
from contrast_core.similarity import Cosine, GatedCosine, GatedDot, Similarity, WeightedSum

Make = Callable[..., Any]
BOTH = WeightedSum([GatedDot(), Cosine()], [1.0, -0.5])


def leaves_of(case: Any) -> dict[str, Tensor]:
    """q, k and gate of a case, that want gradients."""
    return {name: case[f"in_{name}"].clone().requires_grad_() for name in ("q", "k", "gate")}


def tables_of(q: Tensor, k: Tensor, gate: Tensor, y1: Tensor, y2: Tensor) -> dict[str, Embeddings]:
    """Anchors with gate and partner, and candidates; keys have the classes y1."""
    return {
        "one": Embeddings({"z": q, "gate": gate}, {"label": y1, "partner": y2}),
        "two": Embeddings.of(k, label=y1),
    }


def similarities(similarity: Similarity, anchors: Embeddings, candidates: Embeddings) -> Tensor:
    """s, (n, m), by the definition with all n m d gated entries."""
    q, k, g = anchors.z[:, None], candidates.z[None], anchors["gate"][:, None]
    if isinstance(similarity, GatedCosine):
        return torch.cosine_similarity(q * g, k * g, dim=2)
    cosines = torch.nn.functional.normalize(q, dim=2) * torch.nn.functional.normalize(k, dim=2)
    weight = 0.5 if similarity is BOTH else 0.0
    return (cosines * (g**2 - weight)).sum(2)


def gates(n: int) -> Tensor:
    """n gates in (0, 1) that want a gradient."""
    make = torch.Generator().manual_seed(9)
    return torch.rand(n, 8, generator=make, dtype=torch.float64).requires_grad_()


def loop(s: Tensor, y1: Tensor, y2: Tensor, y: Tensor, temperature: float, reduction: str) -> Tensor:
    """The definition, from s (n, m), classes of anchors and candidates."""
    rows = []
    for i in range(len(s)):
        negatives = [j for j in range(len(y)) if y[j] not in (y1[i], y2[i])]
        logits = s[i] / temperature
        rows.append(
            [logits[[p, *negatives]].logsumexp(0) - logits[p] for p in range(len(y)) if y[p] == y2[i]],
        )
    if reduction == "pairs":
        return torch.stack([loss for row in rows for loss in row]).mean()
    if reduction == "rows":
        return torch.stack([torch.stack(row).mean() for row in rows if row]).mean()
    return sum((sum(row) / (len(row) + 1e-6) for row in rows), start=s.new_zeros(())) / len(rows)


def test_the_authors_gated_similarity(golden: Make) -> None:
    """The cosine behind the query's gate, by two matrix products."""
    for case in golden("gated_contrast"):
        leaves = leaves_of(case)
        anchors = Embeddings({"z": leaves["q"], "gate": leaves["gate"]})
        pairs = Pairs(anchors, Embeddings.of(leaves["k"]), everything, everything)
        found, _ = matrix(pairs, everything, GatedCosine())
        torch.testing.assert_close(found, case["out_sim"], rtol=1e-10, atol=1e-12)
        gradients = torch.autograd.grad((found * case["in_cotangent"]).sum(), list(leaves.values()))
        for name, gradient in zip(leaves, gradients, strict=True):
            torch.testing.assert_close(gradient, case[f"grad_{name}"], rtol=1e-10, atol=1e-12)


def test_the_loss_of_hydra(golden: Make, run: Make, agrees: Make) -> None:
    """A mean over all positive pairs."""
    for case in golden("hydra_disparate"):
        leaves = leaves_of(case)
        objective = PairwiseNTXent(temperature=case.meta["params"]["T"], similarity=GatedCosine())
        term = run(objective, ClassPairs(), **tables_of(**leaves, y1=case["in_y1"], y2=case["in_y2"]))
        agrees(term.value, case, **leaves)
        assert term.rows == int((case["in_y2"][:, None] == case["in_y1"]).sum())


def test_the_loss_of_simlap(golden: Make, run: Make, agrees: Make) -> None:
    """A mean over rows, each divided by slightly more than its positives, with and without the ungated term."""
    for case in golden("simlap_disparate"):
        leaves, params = leaves_of(case), case.meta["params"]
        alpha = params["alpha"]
        similarity = GatedDot() if alpha is None else WeightedSum([GatedDot(), Cosine()], [1.0, -alpha])
        objective = PairwiseNTXent(temperature=params["temperature"], similarity=similarity, reduction="all_rows")
        term = run(objective, ClassPairs(), **tables_of(**leaves, y1=case["in_y1"], y2=case["in_y2"]))
        agrees(term.value, case, **leaves)
        assert term.rows == len(case["in_y1"])


@pytest.mark.parametrize("similarity", [GatedCosine(), GatedDot(), BOTH], ids=str)
@pytest.mark.parametrize("reduction", ["pairs", "rows", "all_rows"])
@pytest.mark.parametrize(("n", "m"), [(12, 9), (120, 100)])
def test_it_equals_the_loop(run: Make, rows: Make, n: int, m: int, similarity: Similarity, reduction: Any) -> None:
    """Few pairs, which are listed, and many, which are not; one row's partner is absent."""
    q, k, gate = rows(n), rows(m, seed=1), gates(n)
    make = torch.Generator().manual_seed(3)
    y1, y2 = torch.randint(0, 3, (2, n), generator=make)
    y2[0] = 7
    y = torch.arange(m) % 3
    anchors = Embeddings({"z": q, "gate": gate}, {"label": y1, "partner": y2})
    candidates = Embeddings.of(k, label=y)
    objective = PairwiseNTXent(temperature=0.3, similarity=similarity, reduction=reduction)
    term = run(objective, ClassPairs(), one=anchors, two=candidates)
    expected = loop(similarities(similarity, anchors, candidates), y1, y2, y, 0.3, reduction)
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = (torch.autograd.grad(value, (q, k, gate)) for value in (term.value, expected))
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
    count = {"pairs": int((y2[:, None] == y).sum()), "rows": n - 1, "all_rows": n}[reduction]
    assert (term.rows, term.dropped) == (count, 1)


@pytest.mark.parametrize("similarity", [GatedCosine(), GatedDot(), BOTH], ids=str)
def test_tiles_equal_the_whole_matrix(rows: Make, similarity: Similarity) -> None:
    """Behind a gate one table makes two, in tiles as well."""
    z, gate = rows(40), gates(40)
    table = Embeddings({"z": z, "gate": gate})
    pairs = Pairs(table, table, everything, everything)
    tiled = logsumexp(pairs, everything, similarity, 0.5, tile=16)
    whole = (similarities(similarity, table, table) / 0.5).logsumexp(1)
    torch.testing.assert_close(tiled, whole, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(value.square().sum(), (z, gate)) for value in (tiled, whole))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("similarity", [GatedCosine(), GatedDot()], ids=str)
def test_many_pairs_in_blocks_equal_the_whole_matrix(run: Make, rows: Make, similarity: Similarity) -> None:
    """Classes so large that pairs are not listed, and tables so large that blocks are recomputed."""
    q, k, gate = rows(300), rows(260, seed=1), gates(300)
    y1, y2, y = torch.arange(300) % 5, torch.arange(300) // 5 % 5, torch.arange(260) % 5
    anchors = Embeddings({"z": q, "gate": gate}, {"label": y1, "partner": y2})
    candidates = Embeddings.of(k, label=y)
    term = run(PairwiseNTXent(temperature=0.3, similarity=similarity), ClassPairs(), one=anchors, two=candidates)
    logits = similarities(similarity, anchors, candidates) / 0.3
    positive = y2[:, None] == y
    repelled = logits.masked_fill(positive | (y1[:, None] == y), -math.inf).logsumexp(1, keepdim=True)
    expected = (torch.logaddexp(logits, repelled) - logits)[positive].mean()
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad(value, (q, k, gate)) for value in (term.value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (int(positive.sum()), 0)


@pytest.mark.parametrize("reduction", ["pairs", "rows", "all_rows"])
@pytest.mark.parametrize("related", [0, 2])
def test_without_positives_or_negatives_it_is_zero(on: Make, rows: Make, reduction: Any, related: int) -> None:
    """Nobody attracts: all rows are dropped. Nobody repels: every pair has the loss 0."""
    z = rows(4)
    table, nobody = Embeddings.of(z), dense(torch.zeros(4, 4, dtype=torch.bool))
    positives = dense(torch.arange(4).expand(4, 4) < related)
    term = on(PairwiseNTXent(reduction=reduction), Pairs(table, table, positives, nobody))
    assert term.value.item() == 0
    assert term.dropped == (0 if related else 4)
    assert torch.equal(torch.autograd.grad(term.value, z)[0], torch.zeros_like(z))


def weights(sampler: ClassPairs, **tables: Embeddings) -> tuple[list[list[int]], list[list[int]]]:
    """Positives and negatives as matrices."""
    (pairs,) = sampler(tables).values()
    found = (matrix(pairs, relation)[1].int().tolist() for relation in (pairs.positives, pairs.negatives))
    return next(found), next(found)


def test_positives_are_of_the_partner_class_and_negatives_of_neither() -> None:
    """A partner that is given stays; rows of unknown class are in no pair; no row meets itself."""
    label = torch.tensor([0, 1, 2, -1])
    anchors = Embeddings.of(torch.ones(4, 2), label=label, partner=torch.tensor([1, 1, 0, -1]))
    candidates = Embeddings.of(torch.ones(4, 2), label=label)
    positives, negatives = weights(ClassPairs(), one=anchors, two=candidates)
    assert positives == [[0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert negatives[:3] == [[0, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0]]
    positives, _ = weights(ClassPairs("one", "one"), one=anchors)
    assert positives == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_identical_partners_make_it_supervised() -> None:
    """Positives of the own class, in the other table also of the own sample."""
    table = Embeddings.of(torch.ones(3, 2), label=torch.tensor([0, 1, 0]))
    positives, negatives = weights(ClassPairs(mode="identical"), one=table, two=table)
    assert positives == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert negatives == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_partners_are_drawn_as_they_say() -> None:
    """A permutation of the classes; another class, each equally often; the own; unknown classes have no partner."""
    torch.manual_seed(0)
    label = torch.tensor([3, -1, 0, 0, 1, -1, 2, 2] * 300)
    known = label != -1
    for mode in ("arbitrary", "distinct", "identical"):
        found = partner_classes(label, mode, 5)  # type: ignore[arg-type]
        assert found.dtype == label.dtype
        assert torch.equal(found == -1, ~known)
    arbitrary = partner_classes(label)[known]
    assert torch.equal(arbitrary.sort()[0], label[known].sort()[0])
    assert not torch.equal(arbitrary, label[known])
    distinct = partner_classes(label, "distinct", 5)[known]
    assert not (distinct == label[known]).any()
    for own in range(4):
        share = torch.bincount(distinct[label[known] == own], minlength=5) / (label == own).sum()
        assert all(abs(share[other] - 0.25) < 0.1 for other in range(5) if other != own)
    assert torch.equal(partner_classes(label, "identical"), label)
    assert partner_classes(label[:0], "distinct", 5).shape == (0,)


def test_a_step_draws_again_from_the_global_generator() -> None:
    """The same seed gives the same partners, the next step others."""
    table = Embeddings.of(torch.ones(20, 2), label=torch.arange(20))
    sampler = ClassPairs()

    def partners() -> Tensor:
        return sampler({"one": table, "two": table})["pairs"].anchors["partner"]

    torch.manual_seed(1)
    first, second = partners(), partners()
    torch.manual_seed(1)
    assert torch.equal(partners(), first)
    assert not torch.equal(first, second)


def test_mistakes_are_named() -> None:
    """What is wrong and what would be right."""
    with pytest.raises(ValueError, match="set classes to their number"):
        ClassPairs(mode="distinct")
    with pytest.raises(ValueError, match="a third one its negatives"):
        ClassPairs(classes=2)
    with pytest.raises(ValueError, match="give their number"):
        partner_classes(torch.tensor([0]), "distinct")
    with pytest.raises(ValueError, match="with classes = 3 one is 3"):
        partner_classes(torch.tensor([0, 3]), "distinct", 3)
    with pytest.raises(ValueError, match="not 'other'"):
        partner_classes(torch.tensor([0]), "other")  # type: ignore[arg-type]
