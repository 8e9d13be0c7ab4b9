"""Losses: golden cases through the public components, and the plain loops."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.over_pairs import OverPairs
from contrast_core.pairs import Pairs
from contrast_core.relations import dense
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Cosine, Dot
from contrast_recommendation.augmenters import LearnableAugmenters
from contrast_recommendation.objectives import MarginRegulariser
from contrast_recommendation.samplers import AugmentedPairs, NextItem, SameTarget

PAIRS = ("one-two", "two-one", "augmented")


def check(value: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal to ten digits."""
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


def test_golden_nt_xent(golden, rows):
    """The core's InfoNCE on pairs of two views is the authors' info_nce, with inner products and with cosines."""
    for case in golden("info_nce"):
        params = case["meta"]["params"]
        one, two = rows(case["in_z1"]), rows(case["in_z2"])
        similarity = Dot() if params["sim"] == "dot" else Cosine()
        pairs = TwoViews()({"one": one, "two": two})
        value = InfoNCE(temperature=params["tau"], similarity=similarity)(Outputs({}, pairs, {})).value
        check(value, case["out_loss"])
        value.backward()
        check(one.z.grad, case["grad_z1"])
        check(two.z.grad, case["grad_z2"])


def test_golden_margin_regulariser(golden, rows):
    """With bounds of each row it is the authors' regulariser."""
    for case in golden("contrastive_regulariser"):
        one, two = rows(case["in_z1"]), rows(case["in_z2"])
        pairs = TwoViews()({"one": one, "two": two})
        params = case["meta"]["params"]
        term = MarginRegulariser(temperature=params["tau"], bounds="row")(Outputs({}, pairs, {}))
        check(term.value, case["out_loss"])
        easy = params["rows_with_positive_above_hardest_negative"]
        assert term.scalars["hard"] == pytest.approx(1 - easy / term.rows)
        term.value.backward()
        check(one.z.grad, case["grad_z1"])
        check(two.z.grad, case["grad_z2"])


def test_golden_meta_contrast(golden, rows):
    """Augmenters, three pairs, InfoNCE and regulariser: every term, and gradients of views and augmenters."""
    for case in golden("meta_contrast"):
        params = case["meta"]["params"]
        flow = {"one": rows(case["in_h1"]), "two": rows(case["in_h2"])}
        view = LearnableAugmenters(hidden=params["layers"][1:-1])
        view.prepare(flow)
        view.double()
        for number, augmenter in enumerate(view.augmenters, 1):
            for index, layer in enumerate(augmenter.dense, 1):
                for kind in ("weight", "bias"):
                    getattr(layer, kind).data = case[f"in_aug{number}__dense_{index}.{kind}"].clone()
        flow |= view(flow)
        check(flow["one-augmented"].z, case["out_z1"])
        check(flow["two-augmented"].z, case["out_z2"])
        outputs = Outputs({}, AugmentedPairs()(flow), {})
        contrast = OverPairs(InfoNCE(temperature=1.0, similarity=Dot()), PAIRS)(outputs)
        margin = OverPairs(MarginRegulariser(bounds="row"), PAIRS)(outputs)
        for name, golden_name in (("one-two", "h1_z2"), ("two-one", "h2_z1"), ("augmented", "z1_z2")):
            check(contrast[name].value, case[f"out_nce_{golden_name}"])
            check(margin[name].value, case[f"out_reg_{golden_name}"])
        loss = sum(term.value for term in contrast.values())
        if params["use_rl"]:
            loss = loss + 0.1 * sum(term.value for term in margin.values())
        check(loss, case["out_loss"])
        loss.backward()
        check(flow["one"].z.grad, case["grad_h1"])
        check(flow["two"].z.grad, case["grad_h2"])
        for number, augmenter in enumerate(view.augmenters, 1):
            for index, layer in enumerate(augmenter.dense, 1):
                for kind in ("weight", "bias"):
                    check(getattr(layer, kind).grad, case[f"grad_aug{number}__dense_{index}.{kind}"])


@pytest.mark.parametrize("bounds", ["row", "set"])
def test_margin_regulariser_is_its_definition(rows, bounds):
    """Two rectified means, with bounds of each row or of all; values and gradients by plain loops."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    one, two = rows(z[0]), rows(z[1])
    pairs = TwoViews()({"one": one, "two": two})
    value = MarginRegulariser(temperature=0.5, bounds=bounds)(Outputs({}, pairs, {})).value
    value.backward()
    plain = z.clone().requires_grad_()
    both = plain.flatten(0, 1)
    scores = both @ both.T / 0.5
    positive = [scores[r, (r + 7) % 14] for r in range(14)]
    negative = [torch.stack([scores[r, j] for j in range(14) if j % 7 != r % 7]) for r in range(14)]
    total, count = torch.zeros((), dtype=torch.float64), 0
    for r in range(14):
        least = positive[r] if bounds == "row" else torch.stack(positive).min()
        most = negative[r].max() if bounds == "row" else torch.cat(negative).max()
        total = total + (positive[r] - torch.minimum(least, most)).relu() / 14
        total = total + (torch.maximum(least, most) - negative[r]).relu().mean() / 14
        count += len(negative[r])
    assert count == 14 * 12
    check(value, total)
    total.backward()
    check(torch.stack([one.z.grad, two.z.grad]), plain.grad)


def test_margin_regulariser_drops_rows_without_positive_and_refuses_several(rows):
    """One of three anchors has no positive; a second positive is an error that names the anchor."""
    table = rows(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    one = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    term = MarginRegulariser()(Outputs({}, {"pairs": Pairs(table, table, dense(one), dense(~one))}, {}))
    assert (term.rows, term.dropped) == (2, 1)
    nobody = torch.zeros_like(one)
    term = MarginRegulariser()(Outputs({}, {"pairs": Pairs(table, table, dense(nobody), dense(~one))}, {}))
    assert (term.rows, term.dropped, float(term.value.detach())) == (0, 3, 0.0)
    two = one.clone()
    two[1, 2] = True
    with pytest.raises(ValueError, match=r"anchor 1 of 'pairs' has 2"):
        MarginRegulariser()(Outputs({}, {"pairs": Pairs(table, table, dense(two), dense(~two))}, {}))
    with pytest.raises(ValueError, match="temperature must be positive"):
        MarginRegulariser(temperature=0.0)


def items_and_sequences(n: int = 9, items: int = 30, d: int = 6) -> dict[str, Embeddings]:
    """Sequences with targets, one of them unknown, and the table of items."""
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(n, d, generator=generator, dtype=torch.float64, requires_grad=True)
    e = torch.randn(items + 1, d, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(1, items + 1, (n,), generator=generator)
    target[4], target[5], target[6] = 0, 7, 7
    number = torch.arange(items + 1)
    return {
        "sequence": Embeddings.of(h, sample=torch.arange(n), target=target),
        "items": Embeddings.of(e, sample=number, target=number),
    }


@pytest.mark.parametrize("size", [(9, 30), (300, 400)])
def test_next_item_is_the_cross_entropy_over_all_items(size):
    """Padding included as class 0, no temperature, no bias; an unknown target is left out. Small and tiled roads."""
    flow = items_and_sequences(*size)
    pairs = NextItem()(flow)
    term = InfoNCE("next-item", temperature=1.0, similarity=Dot())(Outputs({}, pairs, {}))
    term.value.backward()
    h, e = (flow[name].z.detach().clone().requires_grad_() for name in ("sequence", "items"))
    target = flow["sequence"]["target"]
    expected = cross_entropy((h @ e.T)[target > 0], target[target > 0])
    expected.backward()
    check(term.value, expected)
    check(flow["sequence"].z.grad, h.grad)
    check(flow["items"].z.grad, e.grad)
    assert (term.rows, term.dropped) == (size[0] - 1, 1)


def test_same_target_pairs_are_those_of_a_loop():
    """Positives: the other view, and rows of the same known target; negatives: known and different."""
    flow = {view: items_and_sequences()["sequence"] for view in ("one", "two")}
    pairs = SameTarget()(flow)["same-target"]
    target = flow["one"]["target"].tolist() * 2
    positives, negatives = (pairwise.matrix(pairs, r, Dot())[1].bool() for r in (pairs.positives, pairs.negatives))
    for i in range(18):
        for j in range(18):
            alike = i % 9 == j % 9 or (target[i] > 0 and target[i] == target[j])
            assert bool(positives[i, j]) == (alike and i != j)
            known = target[i] > 0 and target[j] > 0
            assert bool(negatives[i, j]) == (known and target[i] != target[j])


def test_what_cannot_be_is_refused():
    """Two views of one name, and no table at all."""
    with pytest.raises(ValueError, match="two different views"):
        AugmentedPairs(("one", "one"))
    with pytest.raises(ValueError, match="at least one table"):
        SameTarget(())
