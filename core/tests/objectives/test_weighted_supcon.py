"""SupCon weighted by label distance: the authors' loss, the paper's with mixtures, loops and edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings, cat
from contrast_core.objectives.supcon import SupCon
from contrast_core.objectives.weighted_supcon import WeightedSupCon
from contrast_core.pairs import Pairs
from contrast_core.pairwise import matrix
from contrast_core.relations import distance, everything, near, same, where
from contrast_core.samplers.near_labels import NearLabels
from contrast_core.similarity import Dot

Make = Callable[..., Any]
LABEL = torch.tensor([1.0, 3.5, 1.0, 2.0, 3.5, 3.5, 7.0, -1.0], dtype=torch.float64)
WEIGHT: dict[str, Callable[[float], float]] = {
    "L1_inv": lambda d: abs(d) + 1,
    "L1": lambda d: 1 / (abs(d) + 1),
    "L2_inv": lambda d: d * d + 1,
    "L2": lambda d: 1 / (d * d + 1),
}


def loop(z: Tensor, label: Tensor, weighting: str, temperature: float, tolerance: float = 0.0) -> Tensor:
    """The definition: a mean over rows that have a positive."""
    unit = torch.nn.functional.normalize(z, dim=1)
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = [j for j in others if abs(float(label[i] - label[j])) <= tolerance]
        logits = {j: unit[i] @ unit[j] / temperature for j in others}
        weights = {j: WEIGHT[weighting](float(label[i] - label[j])) for j in others}
        if positives:
            denominator = torch.stack([logits[j] + math.log(weights[j]) for j in others]).logsumexp(0)
            losses.append(denominator - torch.stack([logits[p] for p in positives]).mean())
    return torch.stack(losses).mean()


def test_the_authors_loss_without_mixtures(golden: Make, run: Make, table: Make, agrees: Make) -> None:
    """SupReMix's code, two views of unit rows."""
    for case in golden("weighted_supcon"):
        features, label = case["in_features"].requires_grad_(), case["in_labels"]
        params = case.meta["params"]
        objective = WeightedSupCon(temperature=params["temperature"], weighting=params["distance"], similarity=Dot())
        one, two = (table(features[:, view], label=label) for view in (0, 1))
        term = run(objective, NearLabels(), one=one, two=two)
        agrees(term.value, case, features=features)
        assert (term.rows, term.dropped) == (2 * len(label), 0)


def mixed(z: Tensor, label: Tensor, share: Tensor, window: float) -> Embeddings:
    """SupReMix's mixtures, each with the row that it is a candidate of and its role: 1 for negatives, 2 for positives.

    Mixed with any row of another label, an anchor makes a negative; two rows on either side of it make a positive.
    """
    rows, labels, owners, roles = [], [], [], []
    for i in range(len(z)):
        for k in range(len(z)):
            if label[k] != label[i]:
                rows.append(share[i, k] * z[i] + (1 - share[i, k]) * z[k])
                labels.append(share[i, k] * label[i] + (1 - share[i, k]) * label[k])
                owners.append(i)
                roles.append(1)
            for j in range(len(z)):
                if label[i] - window < label[j] < label[i] < label[k] < label[i] + window:
                    left = (label[k] - label[i]) / (label[k] - label[j])
                    rows.append(left * z[j] + (1 - left) * z[k])
                    labels.append(label[i])
                    owners.append(i)
                    roles.append(2)
    columns = {"row": torch.full((len(rows),), -1), "owner": torch.tensor(owners), "role": torch.tensor(roles)}
    return Embeddings.of(torch.stack(rows).detach(), label=torch.stack(labels), **columns)


def test_the_papers_loss_with_mixtures(golden: Make, on: Make, agrees: Make) -> None:
    """Mixtures are candidates of one anchor each, beside the real rows of all, in one softmax."""
    for case in golden("intended_loss"):
        features, params = case["in_features"].requires_grad_(), case.meta["params"]
        z, label = torch.cat(features.unbind(1)), case["in_labels"].repeat(2)
        number = torch.arange(len(z))
        real = Embeddings.of(z, label=label, row=number, owner=number, role=0)
        mixtures = mixed(z, label, case["in_lam"], float(case["in_window"]))
        own = same("owner")
        positives = same("label") & ~same("row") & where("role", 0) | own & where("role", 2)
        negatives = ~same("label") & where("role", 0) | own & where("role", 1)
        pairs = Pairs(real, cat([real, mixtures]), positives, negatives)
        objective = WeightedSupCon(temperature=params["temperature"], weighting=params["distance"], similarity=Dot())
        agrees(on(objective, pairs).value, case, features=features)


@pytest.mark.parametrize("weighting", list(WEIGHT))
@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_it_equals_the_loop(run: Make, table: Make, rows: Make, weighting: Any, tolerance: float) -> None:
    """All four weights; rows without a positive are left out and counted."""
    z = rows(len(LABEL))
    objective = WeightedSupCon(temperature=0.3, weighting=weighting)
    term = run(objective, NearLabels(["embedding"], tolerance=tolerance), embedding=table(z, label=LABEL))
    expected = loop(z, LABEL, weighting, 0.3, tolerance)
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, loops = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, loops, rtol=1e-10, atol=1e-12)
    dropped = 3 if not tolerance else 2
    assert (term.rows, term.dropped) == (len(LABEL) - dropped, dropped)


def test_many_rows_in_tiles_equal_the_dense_formula(run: Make, table: Make, rows: Make) -> None:
    """300 rows are too many for one dense matrix."""
    z, label = rows(300), (torch.arange(300) % 40).double() / 4
    term = run(WeightedSupCon(), NearLabels(["embedding"]), embedding=table(z, label=label))
    unit = torch.nn.functional.normalize(z, dim=1)
    self = torch.eye(300, dtype=torch.bool)
    logits = (unit @ unit.T / 0.5).masked_fill(self, -math.inf)
    apart = (label[:, None] - label).abs()
    positive = (apart == 0) & ~self
    attraction = torch.where(positive, logits, 0.0).sum(1) / positive.sum(1)
    expected = ((logits + (apart + 1).log()).logsumexp(1) - attraction).mean()
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_one_label_for_all_is_supcon(run: Make, table: Make, rows: Make) -> None:
    """At distance 0 every weight is 1."""
    tables = {"embedding": table(rows(6), label=torch.full((6,), 2.5))}
    sampler = NearLabels(["embedding"])
    weighted = run(WeightedSupCon(temperature=0.1), sampler, **tables).value
    torch.testing.assert_close(weighted, run(SupCon(temperature=0.1), sampler, **tables).value)


@pytest.mark.parametrize("n", [1, 5])
def test_without_positives_it_is_zero(run: Make, table: Make, rows: Make, n: int) -> None:
    """Labels that occur once leave no row, and a gradient of zero."""
    z = rows(n)
    term = run(WeightedSupCon(), NearLabels(["embedding"]), embedding=table(z, label=torch.arange(float(n))))
    assert (term.value.item(), term.rows, term.dropped) == (0.0, 0, n)
    assert torch.equal(torch.autograd.grad(term.value, z)[0], torch.zeros_like(z))


def test_rows_of_unknown_label_take_part_in_no_pair(run: Make, table: Make, rows: Make) -> None:
    """A label of NaN is as if the row were not there."""
    z = rows(9)
    label = torch.cat([LABEL, LABEL.new_tensor([math.nan])])
    sampler = NearLabels(["embedding"])
    term = run(WeightedSupCon(), sampler, embedding=table(z, label=label))
    without = run(WeightedSupCon(), sampler, embedding=table(z[:8], label=LABEL))
    assert torch.equal(term.value, without.value)
    assert torch.equal(torch.autograd.grad(term.value, z)[0][8], torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64, torch.int64, torch.uint8])
def test_label_relations_follow_the_definition(kind: torch.dtype) -> None:
    """Distances of any type of numbers, on both sides, and a tolerance that is met exactly."""
    anchors = Embeddings.of(torch.ones(3, 2), label=torch.tensor([1, 4, 2]).to(kind))
    candidates = Embeddings.of(torch.ones(2, 2), label=torch.tensor([3, 1]).to(kind))
    apart = torch.tensor([[2.0, 0.0], [1.0, 3.0], [1.0, 1.0]])
    for weighting, weight in WEIGHT.items():
        relation = distance("label", weighting)  # type: ignore[arg-type]
        expected = apart.clone().apply_(weight)
        pairs = Pairs(anchors, candidates, relation, relation)
        torch.testing.assert_close(matrix(pairs, relation)[1], expected)
        turned = pairs.swapped()
        torch.testing.assert_close(matrix(turned, turned.positives)[1], expected.T)
    close = near("label", 1.0)
    pairs = Pairs(anchors, candidates, close, ~close)
    assert torch.equal(matrix(pairs, close)[1], apart <= 1)


def test_a_tolerance_is_that_of_the_labels_type() -> None:
    """A float64 distance of 0.7 is within 0.7, and one of 0.1 + 1e-9 not within 0.1, as it would be in float32."""
    label = torch.tensor([0.0, 0.1, 0.1 + 1e-9, 0.7], dtype=torch.float64)
    table = Embeddings.of(torch.ones(4, 2), label=label)
    for tolerance, expected in ((0.1, [True, True, False, False]), (0.7, [True, True, True, True])):
        relation = near("label", tolerance)
        assert matrix(Pairs(table, table, relation, relation), relation)[1][0].tolist() == expected


def test_mistakes_are_named(run: Make, on: Make, table: Make, rows: Make) -> None:
    """What is wrong and what would be right."""
    with pytest.raises(ValueError, match="positive"):
        WeightedSupCon(temperature=0)
    with pytest.raises(ValueError, match="L1_inv, L1, L2_inv, L2, not as 'L3'"):
        WeightedSupCon(weighting="L3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 0, not -1"):
        NearLabels(tolerance=-1.0)
    with pytest.raises(ValueError, match="at least one table"):
        NearLabels([])
    wide = table(rows(4), label=torch.ones(4, 2))
    with pytest.raises(ValueError, match=r"shape \(4, 2\)"):
        run(WeightedSupCon(), NearLabels(["embedding"]), embedding=wide)
    relation = distance("label")
    with pytest.raises(ValueError, match=r"distance\('label', 'L1_inv'\) takes .* of the anchors has shape \(4, 2\)"):
        Pairs(wide, wide, relation, relation)
    bare = table(rows(4))
    with pytest.raises(ValueError, match="needs the column 'label', which the anchors lack"):
        on(WeightedSupCon(), Pairs(bare, bare, everything, everything))


@pytest.mark.parametrize("n", [12, 400])
def test_whole_numbers_as_labels_of_float32_rows(run: Make, n: int) -> None:
    """Weights of whole numbers are exact in float64; rows and gradients stay float32, in few and in many pairs."""
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(n, 4, generator=generator).requires_grad_()
    label = torch.randint(0, 4, (n,), generator=generator)
    term = run(WeightedSupCon(temperature=0.5), NearLabels(("one", "two")), **{
        name: Embeddings.of(part, sample=torch.arange(n), label=label) for name, part in (("one", z), ("two", z * 1.1))
    })  # fmt: skip
    term.value.backward()
    assert term.value.dtype == torch.float32
    if n < 50:
        both = torch.cat([z, z * 1.1]).double().detach()
        expected = loop(both, torch.cat([label, label]).double(), "L1_inv", 0.5)
        torch.testing.assert_close(term.value.double().detach(), expected, rtol=1e-5, atol=1e-5)
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())
    assert bool(z.grad.any())
