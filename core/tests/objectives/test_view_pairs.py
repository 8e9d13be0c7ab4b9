"""Losses that go through pairs of views or single targets: DHEL, PVC, averages over pairs, the mean of other views."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.dhel import DHEL
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.multiview import MVDHEL
from contrast_core.objectives.ntxent import PairwiseNTXent
from contrast_core.objectives.polyview import PolyView
from contrast_core.objectives.view_pairs import MeanOfOthers, PairwiseViews
from contrast_core.pairs import Pairs
from contrast_core.relations import dense, edges, same
from contrast_core.samplers.views import TwoViews

Golden = Callable[[str], list[Any]]
Make = Callable[..., Any]


def pairs_of(z: Tensor, sample: Tensor, view: Tensor) -> Pairs:
    """The pairs of two-views from rows that say themselves what they are."""
    rows = Embeddings.of(z, sample=sample, view=view)
    return Pairs(rows, rows, same("sample") & ~same("view"), ~same("sample"))


def complete(z: Tensor, views: int) -> Pairs:
    """Row v M + i is view v of instance i."""
    m = len(z) // views
    return pairs_of(z, torch.arange(m).repeat(views), torch.arange(views).repeat_interleave(m))


def some_lacking() -> tuple[Tensor, Tensor]:
    """(sample, view) of 13 shuffled rows: four instances of 2 to 4 views, and instance 9 with one."""
    have = {3: (0, 1, 2, 3), 5: (0, 1, 3), 7: (1, 2, 3), 8: (0, 2), 9: (1,)}
    rows = [(sample, view) for sample, views in have.items() for view in views]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(3)).tolist()
    sample, view = zip(*(rows[k] for k in order), strict=True)
    return torch.tensor(sample), torch.tensor(view)


def test_golden_cases_of_dhel(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """With the log-sum-exp of both views, or of the first alone."""
    for case in golden("dhel"):
        params, z = case.meta["params"], case["in_z"].clone().requires_grad_()
        one, two = z.chunk(2)
        objective = DHEL(temperature=params["tau"], include_augs=params["include_augs"])
        term = run(objective, TwoViews(), one=table(one), two=table(two))
        agrees(term.value, case, z=z)
        assert (term.rows, term.dropped) == (len(z) if params["include_augs"] else len(one), 0)


def test_poly_view_means(on: Make, rows: Make) -> None:
    """Each target competes with other instances alone; geometric and arithmetic means of what it gets."""
    sample, view = some_lacking()
    z = rows(len(sample))
    e = (nn.functional.normalize(z, dim=1) @ nn.functional.normalize(z, dim=1).T / 0.4).exp()
    logarithms, arithmetic = [], []
    for r in range(len(z)):
        negative = e[r, sample != sample[r]].sum()
        q = torch.stack([x / (x + negative) for x in e[r, (sample == sample[r]) & (view != view[r])]] or [e[r, r]])
        if int((sample == sample[r]).sum()) > 1:
            logarithms.append(q.log().mean())
            arithmetic.append(q.mean().log())
    for mean, parts in (("geometric", logarithms), ("arithmetic", arithmetic)):
        term = on(PolyView(temperature=0.4, mean=mean), pairs_of(z, sample, view))  # type: ignore[arg-type]
        expected = -torch.stack(parts).mean()
        torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
        ours, theirs = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z, retain_graph=True)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        assert (term.rows, term.dropped) == (len(z) - 1, 1)


def test_means_of_other_views_of_what_there_is(on: Make, rows: Make) -> None:
    """Each view against the mean of the views that its instances have besides."""
    sample, view = some_lacking()
    z = rows(len(sample))
    unit, losses = nn.functional.normalize(z, dim=1), []
    for v in range(4):
        here = [r for r in range(len(z)) if view[r] == v and int((sample == sample[r]).sum()) > 1]
        means = [
            torch.stack([unit[p] for p in range(len(z)) if sample[p] == sample[r] and p != r]).mean(0) for r in here
        ]
        both = torch.cat([unit[here], torch.stack(means)])
        logits = (both @ both.T / 0.5).masked_fill(torch.eye(2 * len(here), dtype=torch.bool), -math.inf)
        losses.append(nn.functional.cross_entropy(logits, torch.arange(2 * len(here)).roll(len(here))))
    term = on(MeanOfOthers(temperature=0.5), pairs_of(z, sample, view))
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)
    ours, theirs = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (24, 1)


def test_pairs_of_views_of_what_there_is(on: Make, rows: Make) -> None:
    """A pair of views counts once, whatever it has; rows without a partner in it are dropped there."""
    sample, view = some_lacking()
    z = rows(len(sample))
    found = on(PairwiseViews(InfoNCE(temperature=0.5)), pairs_of(z, sample, view))
    parts = []
    for a, b in combinations(range(4), 2):
        here = (view == a) | (view == b)
        parts.append(on(InfoNCE(temperature=0.5), pairs_of(z[here], sample[here], view[here])))
    torch.testing.assert_close(found.value, torch.stack([part.value for part in parts]).mean())
    assert (found.rows, found.dropped) == (sum(p.rows for p in parts), sum(p.dropped for p in parts))
    assert found.dropped > 0


class TwoTerms(Objective):
    """An objective of two named terms."""

    needs = ("pairs",)

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.updates = InfoNCE(), 0

    def forward(self, outputs: Outputs) -> dict[str, Term]:
        """One loss and its square."""
        term: Term = self.inner(outputs)
        return {"plain": term, "square": Term(term.value.square(), term.rows)}

    def after_update(self) -> None:
        """Count."""
        self.updates += 1


def test_pairs_of_views_keep_the_names_of_terms(rows: Make) -> None:
    """Every named term is averaged by itself, and the objective inside hears of updates."""
    pairs = complete(rows(12), 3)
    objective = PairwiseViews(TwoTerms())
    found = objective(Outputs({}, {"pairs": pairs}, {}))
    alone = PairwiseViews(InfoNCE())(Outputs({}, {"pairs": pairs}, {}))
    torch.testing.assert_close(found["plain"].value, alone.value)
    assert found["square"].value > found["plain"].value.square()
    objective.after_update()
    assert isinstance(objective.objective, TwoTerms)
    assert objective.objective.updates == 1


def test_losses_that_are_one_another(on: Make, rows: Make) -> None:
    """Two views make MV-DHEL DHEL; DHEL is its own average over pairs of views; complete views make PVC a known one."""
    z = rows(24)
    two, four = complete(z, 2), complete(z, 4)
    for one, other, pairs in (
        (MVDHEL(temperature=0.3), DHEL(temperature=0.3), two),
        (DHEL(temperature=0.3), PairwiseViews(DHEL(temperature=0.3)), four),
        (PolyView(temperature=0.3), PairwiseNTXent(temperature=0.3), four),
        (PairwiseViews(InfoNCE(temperature=0.3)), InfoNCE(temperature=0.3), two),
    ):
        found, expected = on(one, pairs).value, on(other, pairs).value
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        ours, theirs = torch.autograd.grad(found, z), torch.autograd.grad(expected, z)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_only_the_first_view_repels_in_dhel_without_augmentations(on: Make, rows: Make) -> None:
    """First is the view of the first row, not the smallest name."""
    z = rows(8)
    unit = nn.functional.normalize(z, dim=1) / math.sqrt(0.5)
    sample, view = torch.arange(4).repeat(2), torch.tensor([6, 6, 6, 6, 2, 2, 2, 2])
    first = (unit[:4] @ unit[:4].T).masked_fill(torch.eye(4, dtype=torch.bool), -math.inf).logsumexp(1)
    expected = (first - (unit[:4] * unit[4:]).sum(1)).mean()
    term = on(DHEL(temperature=0.5, include_augs=False), pairs_of(z, sample, view))
    torch.testing.assert_close(term.value, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("objective", [PairwiseViews(InfoNCE()), MeanOfOthers(), DHEL(include_augs=False)])
def test_relations_by_row_number_are_refused(on: Make, rows: Make, objective: Objective) -> None:
    """In a part of a table row 3 is another row; computing on would be silently wrong."""
    pairs = complete(rows(6), 2)
    edge = edges(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5]))
    for odd in (edge, ~dense(torch.eye(6, dtype=torch.bool)), edge * ~same("view"), edge.transposed()):
        with pytest.raises(ValueError, match="names rows by number"):
            on(objective, Pairs(pairs.anchors, pairs.candidates, pairs.positives, odd))
