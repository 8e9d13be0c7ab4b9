"""Alignment, uniformity, prototypes, ranking and the losses without negatives, beyond their golden cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from contrast_core.embeddings import Embeddings
from contrast_core.objectives.alignment import Alignment, Uniformity
from contrast_core.objectives.barlow import BarlowTwins
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.objectives.ranking import MultipleNegativesRanking
from contrast_core.objectives.vicreg import VICReg
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.prototypes import Prototypes
from contrast_core.samplers.ranking import Ranking

Make = Callable[..., Any]


@pytest.mark.parametrize("normalise", [True, False])
def test_uniformity_in_tiles_equals_all_distances(run: Make, table: Make, rows: Make, normalise: bool) -> None:
    """300 rows against the list of their distances."""
    z = rows(300, 6)
    x = nn.functional.normalize(z, dim=1) if normalise else z
    expected = torch.pdist(x).pow(2).mul(-2.0).exp().mean().log()
    term = run(Uniformity("one", normalise=normalise), one=table(z))
    torch.testing.assert_close(term.value, expected, rtol=1e-10, atol=1e-10)
    ours, plain = torch.autograd.grad(term.value, z), torch.autograd.grad(expected, z)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-12)
    assert term.rows == 300


def test_alignment_averages_several_positives(run: Make, table: Make, rows: Make) -> None:
    """The mean over an anchor's positives, then over anchors; an anchor without is dropped."""
    a, c = rows(3, seed=1), rows(4, seed=2)
    one, two = table(a), table(c, sample=torch.tensor([0, 0, 1, 9]))
    term = run(Alignment(power=1.0, normalise=False), Cross(), one=one, two=two)
    expected = (((a[0] - c[0]).norm() + (a[0] - c[1]).norm()) / 2 + (a[1] - c[2]).norm()) / 2
    torch.testing.assert_close(term.value, expected)
    assert (term.rows, term.dropped) == (2, 1)


class Centres(nn.Module):
    """A memory of prototypes."""

    def __init__(self, tables: list[Embeddings]):
        super().__init__()
        self.tables = tables

    def read(self) -> Embeddings:
        """All prototypes, the clusterings one after the other."""
        z = torch.cat([table.z for table in self.tables])
        columns = {name: torch.cat([t.columns[name] for t in self.tables]) for name in self.tables[0].columns}
        return Embeddings.of(z, **columns)


@pytest.mark.parametrize("denominator", ["sum", "mean_times_rows"])
def test_prototypes_of_several_clusterings(run: Make, table: Make, rows: Make, denominator: Any) -> None:
    """The mean over clusterings of the mean over anchors; the authors of MEOW add log(N / K) to each."""
    z, generator = rows(9), torch.Generator().manual_seed(5)
    tables, assigned, expected = [], [], []
    for m, k in enumerate((3, 5)):
        centres = torch.randn(k, 8, generator=generator, dtype=torch.float64)
        phi = torch.rand(k, generator=generator, dtype=torch.float64) + 0.1
        cluster = torch.randint(k, (9,), generator=generator)
        tables.append(Embeddings.of(centres, clustering=m, cluster=torch.arange(k), concentration=phi))
        assigned.append(cluster)
        logits = nn.functional.normalize(z, dim=1) @ nn.functional.normalize(centres, dim=1).T / phi
        constant = torch.tensor(9 / k, dtype=torch.float64).log() if denominator == "mean_times_rows" else 0.0
        expected.append(nn.functional.cross_entropy(logits, cluster) + constant)
    anchors = table(z, cluster=torch.stack(assigned, dim=1))
    term = run(ProtoNCE(denominator=denominator), Prototypes(), embedding=anchors, prototypes=Centres(tables))
    torch.testing.assert_close(term.value, torch.stack(expected).mean())
    assert (term.rows, term.dropped) == (18, 0)


def test_an_anchor_of_no_cluster_is_dropped(run: Make, table: Make, rows: Make) -> None:
    """Cluster -1, as for noise; with nothing left the loss is zero."""
    centres = Embeddings.of(
        rows(3).detach(), clustering=0, cluster=torch.arange(3), concentration=torch.full((3,), 0.2)
    )
    for cluster, dropped in ((torch.tensor([0, -1, 2]), 1), (torch.full((3,), -1), 3)):
        z = rows(3, seed=1)
        objective = ProtoNCE(denominator="mean_times_rows")
        term = run(objective, Prototypes(), embedding=table(z, cluster=cluster), prototypes=Centres([centres]))
        term.value.backward()
        assert term.dropped == dropped
        assert term.value.isfinite()
        assert z.grad.isfinite().all()


def test_ranking_in_both_directions(run: Make, table: Make, rows: Make) -> None:
    """The way back is over the positives alone; the hard negatives are dropped there."""
    names = ("anchor", "positive", "negative")
    z = {name: rows(5, seed=seed) for seed, name in enumerate(names)}
    unit = {name: nn.functional.normalize(x, dim=1) for name, x in z.items()}
    forth = 20.0 * unit["anchor"] @ torch.cat([unit["positive"], unit["negative"]]).T
    back, target = 20.0 * unit["positive"] @ unit["anchor"].T, torch.arange(5)
    expected = (nn.functional.cross_entropy(forth, target) + nn.functional.cross_entropy(back, target)) / 2
    tables = {name: table(x) for name, x in z.items()}
    term = run(MultipleNegativesRanking(directions="both"), Ranking(negatives=("negative",)), **tables)
    torch.testing.assert_close(term.value, expected)
    assert (term.rows, term.dropped) == (10, 5)


@pytest.mark.parametrize("objective", [BarlowTwins(), VICReg(), Uniformity("one")])
def test_one_row_has_no_statistics(run: Make, table: Make, rows: Make, objective: Any) -> None:
    """A batch of one gives zero and a gradient, not NaN."""
    z = rows(1)
    term = run(objective, one=table(z), two=table(z))
    term.value.backward()
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, 1)
    assert not z.grad.any()


@pytest.mark.parametrize("objective", [BarlowTwins(), VICReg()])
def test_views_of_different_samples_are_refused(run: Make, table: Make, rows: Make, objective: Any) -> None:
    """Another number of rows, or another order."""
    z = rows(4)
    with pytest.raises(ValueError, match="same samples"):
        run(objective, one=table(z), two=table(z[:3]))
    with pytest.raises(ValueError, match="another order"):
        run(objective, one=table(z), two=table(z, sample=torch.tensor([1, 0, 2, 3])))


@pytest.mark.parametrize("objective", [BarlowTwins(), VICReg()])
def test_collapsed_rows_stay_finite(run: Make, table: Make, rows: Make, objective: Any) -> None:
    """Columns without variance."""
    z = torch.ones(5, 4, requires_grad=True)
    value = run(objective, one=table(z), two=table(z)).value
    assert value.isfinite()
    assert torch.autograd.grad(value, z)[0].isfinite().all()


def test_settings_that_make_no_sense_are_refused() -> None:
    """Powers below one, t and scales that are not positive."""
    for make in (
        lambda: Alignment(power=0.5),
        lambda: Uniformity(t=0.0),
        lambda: MultipleNegativesRanking(scale=0.0),
    ):
        with pytest.raises(ValueError, match="must be"):
            make()
