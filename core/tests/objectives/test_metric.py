"""Triplet, multi-similarity, NCA and one-term-a-pair NT-Xent against loops, with mining and empty rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.multisimilarity import MultiSimilarity
from contrast_core.objectives.nca import NCA
from contrast_core.objectives.ntxent import PairwiseNTXent
from contrast_core.objectives.triplet import Triplet
from contrast_core.pairs import Pairs
from contrast_core.relations import dense
from contrast_core.samplers.labels import Labels

Make = Callable[..., Any]
LABEL = torch.tensor([0, 0, 1, 1, 1, 0, 2, 1, 0])


def triplets(z: Tensor, label: Tensor, power: int, mining: str, margin: float) -> list[Tensor]:
    """Losses of all triplets that the mining leaves, by loops."""
    unit = nn.functional.normalize(z, dim=1)

    def distance(i: int, j: int) -> Tensor:
        return (unit[i] - unit[j]).norm() ** power

    losses = []
    for a in range(len(z)):
        near = [distance(a, p) for p in range(len(z)) if p != a and label[p] == label[a]]
        far = [distance(a, n) for n in range(len(z)) if label[n] != label[a]]
        if mining == "hard":
            near, far = [max(near)] if near else [], [min(far)] if far else []
        for p, n in itertools.product(near, far):
            if mining != "semi-hard" or 0 < n - p < margin:
                losses.append((p - n + margin).clamp(min=0))
    return losses


@pytest.mark.parametrize("mining", ["all", "hard", "semi-hard"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("reduction", ["mean_positive", "mean_all"])
def test_triplets_equal_loops(run: Make, table: Make, rows: Make, power: Any, mining: Any, reduction: Any) -> None:
    """Every mining, power and reduction; the row alone in its class is dropped."""
    z = rows(9)
    objective = Triplet(margin=0.3, power=power, mining=mining, reduction=reduction)
    term = run(objective, Labels(), embedding=table(z, label=LABEL))
    losses = torch.stack(triplets(z, LABEL, power, mining, 0.3))
    count = int((losses > 0).sum()) if reduction == "mean_positive" else len(losses)
    expected = losses.sum() / count
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
    assert term.rows == count
    assert term.dropped >= 1 if mining == "semi-hard" else term.dropped == 1


def test_triplets_in_blocks_equal_the_dense_formula(run: Make, table: Make, rows: Make) -> None:
    """120 rows have 2280 positive pairs, too many against 120 rows for one block of plain autograd."""
    z, label = rows(120), torch.arange(120) % 6
    term = run(Triplet(margin=0.2), Labels(), embedding=table(z, label=label))
    unit = nn.functional.normalize(z, dim=1)
    distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    same = label[:, None] == label[None]
    positive = same & ~torch.eye(120, dtype=torch.bool)
    hinge = (distance[:, :, None] - distance[:, None, :] + 0.2).clamp(min=0)
    losses = hinge[positive[:, :, None] & ~same[:, None, :]]
    expected = losses.sum() / (losses > 0).sum()
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, plain = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)


def test_pairs_that_can_not_list_themselves(on: Make, rows: Make) -> None:
    """Positives from a dense matrix give the same triplets and pair terms as those from labels."""
    z = rows(9)
    positive = (LABEL[:, None] == LABEL[None]) & ~torch.eye(9, dtype=torch.bool)
    negative = LABEL[:, None] != LABEL[None]
    embedding = Embeddings.of(z, label=LABEL)
    by_label = Labels()({"embedding": embedding})["pairs"]
    by_matrix = Pairs(embedding, embedding, dense(positive), dense(negative))
    for objective in (Triplet(margin=0.3), PairwiseNTXent(), Triplet(mining="semi-hard", margin=0.3)):
        torch.testing.assert_close(on(objective, by_matrix).value, on(objective, by_label).value)


def test_one_term_a_pair_equals_loops(run: Make, table: Make, rows: Make) -> None:
    """Each ordered positive pair against the anchor's negatives alone, also for 300 rows in tiles."""
    for z, label in ((rows(9), LABEL), (rows(300), torch.arange(300) % 60)):
        unit = nn.functional.normalize(z, dim=1)
        logits = unit @ unit.T / 0.07
        losses = []
        for a in range(len(z)):
            negative = logits[a, label != label[a]]
            own = ((label == label[a]) & (torch.arange(len(z)) != a)).nonzero()[:, 0]
            losses += [torch.cat([logits[a, p][None], negative]).logsumexp(0) - logits[a, p] for p in own]
        expected = torch.stack(losses).mean()
        term = run(PairwiseNTXent(), Labels(), embedding=table(z, label=label))
        torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
        ours, loops = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
        torch.testing.assert_close(ours, loops, rtol=1e-9, atol=1e-12)
        assert term.rows == len(losses)
    assert run(PairwiseNTXent(), Labels(), embedding=table(rows(9), label=LABEL)).dropped == 1


@pytest.mark.parametrize("epsilon", [None, 0.1, 10.0])
def test_multi_similarity_equals_loops(run: Make, table: Make, rows: Make, epsilon: float | None) -> None:
    """With the miner and without; a miner that lets everything pass is no miner."""
    z = rows(9)
    unit = nn.functional.normalize(z, dim=1)
    s = unit @ unit.T
    losses = []
    for i in range(9):
        positive, negative = s[i, (LABEL[i] == LABEL) & (torch.arange(9) != i)], s[i, LABEL[i] != LABEL]
        if epsilon is not None:
            hardest = positive.min() if len(positive) else torch.tensor(torch.inf)
            positive, negative = (
                positive[positive < negative.max() + epsilon],
                negative[negative > hardest - epsilon],
            )
        pull = torch.log1p(torch.exp(-2.0 * (positive - 0.5)).sum()) / 2.0
        push = torch.log1p(torch.exp(50.0 * (negative - 0.5)).sum()) / 50.0
        if len(positive) or len(negative):
            losses.append(pull + push)
    expected = torch.stack(losses).mean()
    term = run(MultiSimilarity(epsilon=epsilon), Labels(), embedding=table(z, label=LABEL))
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (len(losses), 9 - len(losses))


@pytest.mark.parametrize("normalise", [True, False])
def test_nca_equals_its_definition(run: Make, table: Make, rows: Make, normalise: bool) -> None:
    """Squared distances, whether or not rows are scaled to unit length first."""
    z = rows(9)
    x = nn.functional.normalize(z, dim=1) if normalise else z
    closeness = -0.7 * ((x[:, None] - x[None]) ** 2).sum(-1)
    others = ~torch.eye(9, dtype=torch.bool)
    own = (LABEL[:, None] == LABEL[None]) & others
    rest = closeness.masked_fill(~others, -torch.inf).logsumexp(1)
    counted = own.any(1)
    expected = (rest[counted] - closeness[counted].masked_fill(~own[counted], -torch.inf).logsumexp(1)).mean()
    term = run(NCA(scale=0.7, normalise=normalise), Labels(), embedding=table(z, label=LABEL))
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    assert (term.rows, term.dropped) == (8, 1)


@pytest.mark.parametrize(
    "objective",
    [
        Triplet(),
        Triplet(mining="hard"),
        Triplet(mining="semi-hard", power=2),
        PairwiseNTXent(),
        NCA(),
        MultiSimilarity(),
        MultiSimilarity(epsilon=0.1),
    ],
)
@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare_is_a_zero(run: Make, table: Make, rows: Make, objective: Any, n: int) -> None:
    """No row, or one alone: zero, and backward works."""
    z = rows(n)
    term = run(objective, Labels(), embedding=table(z, label=torch.arange(n)))
    term.value.backward()
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, n)
    assert not z.grad.any()


@pytest.mark.parametrize(
    "objective", [Triplet(), Triplet(mining="hard"), PairwiseNTXent(temperature=0.005), NCA(scale=100.0)]
)
def test_equal_rows_stay_finite(run: Make, table: Make, rows: Make, objective: Any) -> None:
    """All rows one and the same, in float32: distances of 0 have finite gradients."""
    z = rows(1).detach().float().expand(6, -1).clone().requires_grad_()
    value = run(objective, Labels(), embedding=table(z, label=torch.arange(6) % 2)).value
    (gradient,) = torch.autograd.grad(value, z)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_settings_that_make_no_sense_are_refused() -> None:
    """A negative margin and scales that are not positive."""
    for make in (lambda: Triplet(margin=-0.1), lambda: NCA(scale=0.0), lambda: MultiSimilarity(beta=-1.0)):
        with pytest.raises(ValueError, match="must"):
            make()
