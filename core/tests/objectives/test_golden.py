"""Every golden case of the base objectives, values and gradients, through samplers and objectives as users
have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective
from contrast_core.memories.fifo import Queue as QueueMemory
from contrast_core.objectives.alignment import Alignment, Uniformity
from contrast_core.objectives.barlow import BarlowTwins
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.multisimilarity import MultiSimilarity
from contrast_core.objectives.nca import NCA
from contrast_core.objectives.ntxent import PairwiseNTXent
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.objectives.ranking import MultipleNegativesRanking
from contrast_core.objectives.supcon import SupCon
from contrast_core.objectives.triplet import Triplet
from contrast_core.objectives.vicreg import VICReg
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.prototypes import Prototypes
from contrast_core.samplers.queue import Queue
from contrast_core.samplers.ranking import Ranking
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Dot

Golden = Callable[[str], list[Any]]
Make = Callable[..., Any]


def leaf(tensor: Tensor) -> Tensor:
    """A copy that wants a gradient."""
    return tensor.clone().requires_grad_()


def test_nt_xent(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """NT-Xent is InfoNCE over all views."""
    for case in golden("lightly_ntxent"):
        one, two = leaf(case["in_out0"]), leaf(case["in_out1"])
        objective = InfoNCE(temperature=case.meta["params"]["temperature"])
        term = run(objective, TwoViews(), one=table(one), two=table(two))
        agrees(term.value, case, out0=one, out1=two)
        assert (term.rows, term.dropped) == (2 * len(one), 0)


def test_infonce_in_one_direction_and_both(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """CLIP's loss is the mean over both directions of InfoNCE between two tables."""
    for case in golden("infonce_cross"):
        for directions, output, short in (("one", "one_direction", "one"), ("both", "symmetric", "sym")):
            q, k = leaf(case["in_q"]), leaf(case["in_k"])
            objective = InfoNCE(temperature=case.meta["params"]["temperature"], directions=directions)  # type: ignore[arg-type]
            term = run(objective, Cross(), one=table(q), two=table(k))
            gradients = {f"grad_{name}": case[f"grad_{name}_{short}"] for name in ("q", "k")}
            agrees(term.value, {**case, **gradients}, output, q=q, k=k)


def test_queue_infonce_and_the_queue_after_it(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """MoCo: the loss on the queue as it was, then the keys in place of the oldest rows."""
    for case in golden("lightly_moco_queue"):
        size, dimension = case["in_bank_before"].shape
        memory = QueueMemory("key", size=size, dimension=dimension).double()
        memory.write(Embeddings.of(case["in_bank_before"]))
        assert int(memory.pointer) == 0
        query, key = leaf(case["in_out0"]), table(case["in_out1"])
        objective = InfoNCE(temperature=case.meta["params"]["temperature"])
        term = run(objective, Queue(), query=table(query), key=key, queue=memory)
        agrees(term.value, case, out0=query)
        memory.write(key)
        torch.testing.assert_close(memory.read().z, case["out_bank_after"], rtol=1e-12, atol=1e-14)
        assert int(memory.pointer) == int(case["out_ptr_after"])


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("pml_supcon", lambda params: SupCon(temperature=params["temperature"])),
        ("pml_ntxent", lambda params: PairwiseNTXent(temperature=params["temperature"])),
        ("pml_triplet", lambda params: Triplet(margin=params["margin"])),
        (
            "pml_multisimilarity",
            lambda params: MultiSimilarity(alpha=params["alpha"], beta=params["beta"], base=params["base"]),
        ),
        ("pml_nca", lambda params: NCA(scale=params["softmax_scale"])),
    ],
)
def test_losses_by_label(
    golden: Golden, run: Make, table: Make, agrees: Make, name: str, objective: Callable[[Any], Objective]
) -> None:
    """The metric losses of pytorch-metric-learning, one table with labels."""
    for case in golden(name):
        z = leaf(case["in_embeddings"])
        term = run(objective(case.meta["params"]), Labels(), embedding=table(z, label=case["in_labels"]))
        agrees(term.value, case, embeddings=z)


@pytest.mark.parametrize("form", ["out", "in"])
def test_supcon_out_and_in(golden: Golden, run: Make, table: Make, agrees: Make, form: Any) -> None:
    """Equations 2 and 3 of the paper, on unit rows."""
    for case in golden("supcon_out_in"):
        z = leaf(case["in_z"])
        objective = SupCon(temperature=case.meta["params"]["temperature"], form=form, similarity=Dot())
        term = run(objective, Labels(), embedding=table(z, label=case["in_labels"]))
        agrees(term.value, {**case, "grad_z": case[f"grad_z_{form}"]}, f"L_{form}", z=z)


@pytest.mark.parametrize("mode", ["all", "one"])
def test_the_authors_supcon(golden: Golden, run: Make, table: Make, agrees: Make, mode: str) -> None:
    """SupContrast: unit rows, plain products, the base temperature, all views or the first as anchors."""
    for case in golden(f"supcontrast_{mode}"):
        features, label, params = leaf(case["in_features"]), case["in_labels"], case.meta["params"]
        objective = SupCon(
            temperature=params["temperature"],
            base_temperature=params["base_temperature"],
            similarity=Dot(),
            reduction="mean_all",
        )
        one, two = (table(features[:, view], label=label) for view in (0, 1))
        term = run(objective, Labels(("one", "two"), one=mode == "one"), one=one, two=two)
        agrees(term.value, case, features=features)


def test_supcon_without_labels_is_nt_xent(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """SupContrast without labels: the pairs of two views, by SupCon and by InfoNCE alike."""
    for case in golden("supcontrast_simclr"):
        temperature = case.meta["params"]["temperature"]
        for objective in (
            SupCon(temperature=temperature, base_temperature=temperature, similarity=Dot()),
            InfoNCE(temperature=temperature, similarity=Dot()),
        ):
            features = leaf(case["in_features"])
            one, two = (table(features[:, view]) for view in (0, 1))
            agrees(run(objective, TwoViews(), one=one, two=two).value, case, features=features)


def test_ranking_with_hard_negatives(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """Multiple-negatives ranking over positives and hard negatives of the batch."""
    for case in golden("mnrl_hard_negative"):
        leaves = {name: leaf(case[f"in_{name}"]) for name in ("anchor", "positive", "negative")}
        tables = {name: table(z) for name, z in leaves.items()}
        objective = MultipleNegativesRanking(scale=case.meta["params"]["scale"])
        agrees(run(objective, Ranking(negatives=["negative"]), **tables).value, case, **leaves)


class Given(torch.nn.Module):
    """A memory that gives one table."""

    def __init__(self, table: Embeddings):
        super().__init__()
        self.table = table

    def read(self) -> Embeddings:
        """The table."""
        return self.table


def test_prototype_term(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """Equation 11 of PCL: every prototype has its own temperature."""
    for case in golden("protonce_term"):
        q, prototypes = leaf(case["in_q"]), case["in_prototypes"]
        k = len(prototypes)
        memory = Given(Embeddings.of(prototypes, clustering=0, cluster=torch.arange(k), concentration=case["in_phi"]))
        anchors = table(q, cluster=case["in_assignment"])
        agrees(run(ProtoNCE(), Prototypes(), embedding=anchors, prototypes=memory).value, case, q=q)


def test_alignment_and_uniformity(golden: Golden, run: Make, table: Make, agrees: Make) -> None:
    """The loss of the paper is three terms."""
    for case in golden("align_uniform"):
        params = case.meta["params"]
        a, b = leaf(case["in_z_a"]), leaf(case["in_z_b"])
        tables = {"one": table(a), "two": table(b)}
        align = run(Alignment(power=params["alpha"]), Cross(), **tables).value
        uniform = [run(Uniformity(name, t=params["t"]), **tables).value for name in ("one", "two")]
        torch.testing.assert_close(align, case["out_align"], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(uniform[0], case["out_uniform_a"], rtol=1e-10, atol=1e-12)
        agrees(align + params["lam"] * (uniform[0] + uniform[1]) / 2, case, z_a=a, z_b=b)


@pytest.mark.parametrize(("name", "objective"), [("barlow_twins", BarlowTwins()), ("vicreg", VICReg())])
def test_losses_without_negatives(
    golden: Golden, run: Make, table: Make, agrees: Make, name: str, objective: Objective
) -> None:
    """Barlow Twins and VICReg with their published settings."""
    for case in golden(name):
        a, b = leaf(case["in_z_a"]), leaf(case["in_z_b"])
        agrees(run(objective, one=table(a), two=table(b)).value, case, z_a=a, z_b=b)
