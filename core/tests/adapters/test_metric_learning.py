"""Losses and miners of pytorch-metric-learning as objectives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from contrast_core.adapters import named
from contrast_core.adapters.metric_learning import MetricLearning
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow, Objective, PairSampler
from contrast_core.memories.fifo import Queue
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.multisimilarity import MultiSimilarity
from contrast_core.objectives.nca import NCA
from contrast_core.objectives.ntxent import PairwiseNTXent
from contrast_core.objectives.supcon import SupCon
from contrast_core.objectives.triplet import Triplet
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.views import TwoViews

pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")
Make = Callable[..., Any]

OURS: list[tuple[str, dict[str, Any], Objective]] = [
    ("SupConLoss", {"temperature": 0.3}, SupCon(temperature=0.3)),
    ("NTXentLoss", {"temperature": 0.5}, PairwiseNTXent(temperature=0.5)),
    ("TripletMarginLoss", {"margin": 0.2}, Triplet(margin=0.2)),
    ("MultiSimilarityLoss", {"alpha": 2, "beta": 5.0, "base": 0.3}, MultiSimilarity(alpha=2, beta=5, base=0.3)),
]
NAMES = [name for name, _, _ in OURS]


class Remembering(PairSampler):
    """A batch against itself and a memory: the same class attracts, another repels (cross-batch memory)."""

    gives = ("pairs",)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Anchors are the batch, candidates the memory's rows."""
        return {"pairs": Pairs(flow["embedding"], flow["queue"].read(), same("label"), ~same("label"))}


class Labelled(PairSampler):
    """Classes attract and repel each other; rows without a label are in no pair."""

    gives = ("pairs",)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of one table."""
        rows, alike = flow["embedding"], same("label", missing=-1)
        known = ~where("label", -1) & ~where("label", -1, side="anchors")
        return {"pairs": Pairs(rows, rows, alike & ~same("sample"), ~alike & known)}


@pytest.mark.parametrize(("loss", "arguments", "ours"), OURS, ids=NAMES)
def test_by_labels_equals_the_objectives_here(
    table: Make, rows: Make, run: Make, alike: Make, loss: str, arguments: dict[str, Any], ours: Objective
) -> None:
    """Values and gradients, one table with labels."""
    z, label = rows(24), torch.arange(24) % 5
    embedding = table(z, label=label)
    theirs = MetricLearning(loss, arguments=arguments)
    assert set(theirs.needs) == {"embedding", "embedding.label"}
    term = run(theirs, embedding=embedding)
    alike(term, run(ours, Labels(), embedding=embedding), z)
    assert (term.rows, term.dropped) == (24, 0)


def test_a_loss_that_only_labels_drive(table: Make, rows: Make, run: Make, alike: Make) -> None:
    """NCA looks at labels, not at pairs."""
    z = rows(12)
    embedding = table(z, label=torch.arange(12) % 3)
    theirs = MetricLearning("NCALoss", arguments={"softmax_scale": 2})
    alike(run(theirs, embedding=embedding), run(NCA(scale=2), Labels(), embedding=embedding), z)


@pytest.mark.parametrize(("loss", "arguments", "ours"), OURS, ids=NAMES)
def test_by_pairs_equals_the_objectives_here(
    table: Make, rows: Make, run: Make, alike: Make, loss: str, arguments: dict[str, Any], ours: Objective
) -> None:
    """Values and gradients on a sampler's pairs; rows without label are in no pair, and dropped."""
    z, label = rows(24), torch.arange(24) % 5
    label[[3, 10]] = -1
    embedding = table(z, label=label)
    term = run(MetricLearning(loss, pairs="pairs", arguments=arguments), Labelled(), embedding=embedding)
    kept = table(z[label >= 0], label=label[label >= 0])
    alike(term, run(ours, Labels(), embedding=kept), z)
    assert (term.rows, term.dropped) == (22, 2)


@pytest.mark.parametrize(
    ("name", "loss", "arguments"),
    [
        ("pml_supcon", "SupConLoss", lambda p: {"temperature": p["temperature"]}),
        ("pml_ntxent", "NTXentLoss", lambda p: {"temperature": p["temperature"]}),
        ("pml_triplet", "TripletMarginLoss", lambda p: {"margin": p["margin"]}),
        ("pml_multisimilarity", "MultiSimilarityLoss", lambda p: {k: p[k] for k in ("alpha", "beta", "base")}),
        ("pml_nca", "NCALoss", lambda p: {"softmax_scale": p["softmax_scale"]}),
    ],
)
def test_golden_cases(
    golden: Make, table: Make, run: Make, name: str, loss: str, arguments: Callable[[Any], dict[str, Any]]
) -> None:
    """What was recorded of the library comes out of it here as well."""
    for case in golden(name):
        z = case["in_embeddings"].clone().requires_grad_()
        theirs = MetricLearning(loss, arguments=arguments(case.meta["params"]))
        value = run(theirs, embedding=table(z, label=case["in_labels"])).value
        torch.testing.assert_close(value, case["out_loss"], rtol=1e-10, atol=1e-12)
        (gradient,) = torch.autograd.grad(value, z)
        torch.testing.assert_close(gradient, case["grad_embeddings"], rtol=1e-10, atol=1e-12)


def test_another_table_is_the_reference(table: Make, rows: Make, run: Make, alike: Make) -> None:
    """NTXentLoss between two views, without labels, is InfoNCE in one direction."""
    a, b = rows(9, seed=1), rows(9, seed=2)
    theirs = MetricLearning("NTXentLoss", pairs="pairs", arguments={"temperature": 0.2})
    term = run(theirs, Cross(), one=table(a), two=table(b))
    alike(term, run(InfoNCE(temperature=0.2), Cross(), one=table(a), two=table(b)), a, b)


def test_all_views_against_all(table: Make, rows: Make, run: Make, alike: Make) -> None:
    """What SelfSupervisedLoss does around NTXentLoss is the sampler two-views: NT-Xent."""
    a, b = rows(7, seed=1), rows(7, seed=2)
    theirs = MetricLearning("NTXentLoss", pairs="pairs", arguments={"temperature": 0.2})
    term = run(theirs, TwoViews(), one=table(a), two=table(b))
    alike(term, run(InfoNCE(temperature=0.2), TwoViews(), one=table(a), two=table(b)), a, b)


def test_a_memory_is_the_reference(table: Make, rows: Make, run: Make, alike: Make) -> None:
    """Rows of earlier steps are compared with, and need no gradient."""
    memory = Queue("embedding", size=16, dimension=6, columns=("label",)).double()
    earlier = table(rows(20, seed=5), label=torch.arange(20) % 4).detach()
    memory.prepare({"embedding": earlier})
    memory.write(earlier)
    z = rows(8)
    flow = {"embedding": table(z, label=torch.arange(8) % 5), "queue": memory}
    theirs = MetricLearning("SupConLoss", pairs="pairs", arguments={"temperature": 0.3})
    term = run(theirs, Remembering(), **flow)
    alike(term, run(SupCon(temperature=0.3), Remembering(), **flow), z)
    assert (term.rows, term.dropped) == (7, 1)


@pytest.mark.parametrize("pairs", [None, "pairs"])
def test_a_miner_chooses_pairs(table: Make, rows: Make, run: Make, pairs: str | None) -> None:
    """The multi-similarity loss with its miner is the objective here with epsilon; by labels its mean is over all."""
    label = torch.arange(30) % 6
    z = (rows(6)[label] + 0.5 * rows(30, seed=1)).detach().requires_grad_()
    embedding = table(z, label=label)
    theirs = MetricLearning(
        "MultiSimilarityLoss",
        pairs=pairs,
        miner="MultiSimilarityMiner",
        arguments={"alpha": 2, "beta": 5, "base": 0.3},
        miner_arguments={"epsilon": 0.05},
    )
    ours = MultiSimilarity(alpha=2, beta=5, base=0.3, epsilon=0.05)
    term, expected = run(theirs, Labels(), embedding=embedding), run(ours, Labels(), embedding=embedding)
    assert expected.dropped > 0
    over = len(z) if pairs is None else expected.rows
    torch.testing.assert_close(term.value * over, expected.value * expected.rows, rtol=1e-10, atol=1e-12)
    assert term.rows + term.dropped == 30


def test_a_miner_chooses_triplets(table: Make, rows: Make, run: Make, alike: Make) -> None:
    """Batch-hard mining, with the mean over all triplets, is the objective's mining = "hard"."""
    z = rows(20)
    embedding = table(z, label=torch.arange(20) % 4)
    theirs = MetricLearning(
        "TripletMarginLoss", miner="BatchHardMiner", arguments={"margin": 0.4, "reducer": "MeanReducer"}
    )
    ours = Triplet(margin=0.4, mining="hard", reduction="mean_all")
    term = run(theirs, embedding=embedding)
    alike(term, run(ours, Labels(), embedding=embedding), z)
    assert (term.rows, term.dropped) == (20, 0)


def test_of_a_miners_choice_stays_what_the_relations_hold(table: Make, rows: Make, run: Make) -> None:
    """Where anchors are part of the candidates a miner by labels would pair a row with itself."""
    z, label = rows(12), torch.arange(12) % 3
    tables = {"one": table(z[:6], label=label[:6]), "two": table(z[6:], label=label[6:])}
    sampler = Labels(("one", "two"), one=True)
    kept = {"pos_margin": -5.0, "neg_margin": 5.0}
    for miner, arguments in (("PairMarginMiner", kept), ("TripletMarginMiner", {"margin": 9.0})):
        mined = MetricLearning("NTXentLoss", pairs="pairs", miner=miner, miner_arguments=arguments)
        listed = MetricLearning("NTXentLoss", pairs="pairs")
        term, expected = (run(each, sampler, **tables) for each in (mined, listed))
        assert term.rows == expected.rows == 6
        if miner == "PairMarginMiner":
            torch.testing.assert_close(term.value, expected.value, rtol=1e-12, atol=0)
        assert bool(term.value.isfinite())


def test_unlabelled_rows_are_left_out(table: Make, rows: Make, run: Make) -> None:
    """By labels: the value is that of the others."""
    z, label = rows(12), torch.arange(12) % 3
    label[4] = -1
    loss = MetricLearning("ContrastiveLoss")
    term = run(loss, embedding=table(z, label=label))
    others = run(loss, embedding=table(z[label >= 0], label=label[label >= 0]))
    torch.testing.assert_close(term.value, others.value)
    assert (term.rows, term.dropped, others.dropped) == (11, 1, 0)


@pytest.mark.parametrize("miner", [None, "BatchHardMiner"])
@pytest.mark.parametrize("pairs", [None, "pairs"])
def test_where_nothing_is_left_the_term_is_zero(
    table: Make, rows: Make, run: Make, pairs: str | None, miner: str | None
) -> None:
    """All rows unlabelled: no loss, no gradient, all dropped."""
    z = rows(5)
    embedding = table(z, label=torch.full((5,), -1))
    term = run(MetricLearning("TripletMarginLoss", pairs=pairs, miner=miner), Labels(), embedding=embedding)
    (gradient,) = torch.autograd.grad(term.value, z)
    assert (term.value.item(), term.rows, term.dropped) == (0.0, 0, 5)
    assert not gradient.any()


def test_a_miner_that_finds_nothing_gives_zero(table: Make, rows: Make, run: Make) -> None:
    """Not the loss of all pairs, which a proxy loss would take empty lists for."""
    z = rows(6)
    theirs = MetricLearning(
        "ArcFaceLoss",
        miner="PairMarginMiner",
        arguments={"num_classes": 6, "embedding_size": 6},
        miner_arguments={"pos_margin": 99, "neg_margin": -99},
    )
    term = run(theirs, embedding=table(z, label=torch.arange(6)))
    assert (term.value.item(), term.rows, term.dropped) == (0.0, 0, 6)


def test_a_distance_in_words(table: Make, rows: Make, run: Make, alike: Make) -> None:
    """FaceNet's squared distance by name and with arguments; an object does as well."""
    from pytorch_metric_learning.distances import LpDistance

    z = rows(15)
    embedding = table(z, label=torch.arange(15) % 3)
    for distance, power in (("LpDistance", 1), ({"use": "LpDistance", "power": 2}, 2), (LpDistance(power=2), 2)):
        theirs = MetricLearning("TripletMarginLoss", arguments={"margin": 0.2, "distance": distance})
        alike(run(theirs, embedding=embedding), run(Triplet(margin=0.2, power=power), Labels(), embedding=embedding), z)


def test_a_loss_with_parameters_is_trained_and_saved(train: Make) -> None:
    """ArcFace's class vectors stand in a run's weights, and move from step to step."""
    settings = {
        "objective.contrast.use": "core/metric-learning",
        "objective.contrast.loss": "ArcFaceLoss",
        "objective.contrast.table": "one",
        "objective.contrast.arguments": {"num_classes": 10, "embedding_size": 64},
    }
    found = []
    for steps in (1, 3):
        weights = load_file(train("core/digits-supcon", settings, steps) / "model.safetensors")
        (name,) = [name for name in weights if name.startswith("objectives.contrast.")]
        found.append(weights[name])
    assert found[0].shape == (64, 10)
    assert (found[0] - found[1]).abs().mean() > 1e-3


def test_a_recipe_trains_on_pairs_with_a_miner(train: Make) -> None:
    """The loss, its miner and its distance in a recipe's words."""
    folder = train("core/digits-supcon", {
        "objective.contrast.use": "core/metric-learning",
        "objective.contrast.loss": "TripletMarginLoss",
        "objective.contrast.pairs": "pairs",
        "objective.contrast.miner": "TripletMarginMiner",
        "objective.contrast.arguments": {"margin": 0.2, "distance": {"use": "LpDistance", "power": 2}},
        "objective.contrast.miner_arguments": {"margin": 0.2, "type_of_triplets": "semihard"},
    })  # fmt: skip
    assert (folder / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "SupConLos"}, "There is no loss of .* called 'SupConLos'. Did you mean SupConLoss"),
        ({"loss": "SupConLoss", "arguments": {"temprature": 1}}, "has no argument 'temprature'. Did you mean temp"),
        ({"loss": "SupConLoss", "miner": "HardMiner"}, "no miner of pytorch-metric-learning called 'HardMiner'"),
        ({"loss": "SupConLoss", "miner_arguments": {"epsilon": 1}}, "but no miner"),
        ({"loss": "GenericPairLoss"}, "There is no loss"),
        ({"loss": "CrossBatchMemory"}, "can't be used here: its queue is not saved"),
        ({"loss": "ArcFaceLoss"}, "ArcFaceLoss, a loss of .*, refuses this: .*num_classes"),
        ({"loss": "SupConLoss", "arguments": {"distance": "Cosine"}}, "no distance of .* called 'Cosine'"),
        ({"loss": "SupConLoss", "arguments": {"distance": {"power": 2}}}, "must name one of .* distances by 'use'"),
        ({"loss": "TripletMarginLoss", "arguments": {"distance": {"use": "LpDistance", "q": 2}}}, "no argument 'q'"),
    ],
)  # fmt: skip
def test_what_can_not_be_made_is_said_in_a_sentence(wrong: dict[str, Any], message: str) -> None:
    """Names with the nearest known ones, arguments, and what the library itself refuses."""
    with pytest.raises(ValueError, match=message):
        MetricLearning(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": "ProxyNCALoss", "pairs": "pairs", "arguments": {"num_classes": 3, "embedding_size": 6}},
         "ProxyNCALoss refuses this: labels are required"),
        ({"loss": "ArcFaceLoss", "arguments": {"num_classes": 2, "embedding_size": 6}}, "there is a label 2"),
        ({"loss": "ArcFaceLoss", "arguments": {"num_classes": 3, "embedding_size": 5}}, "but rows have 6 numbers"),
        ({"loss": "SupConLoss", "label": "kind"}, "needs the column 'kind', which the rows lack; they have z, "),
        ({"loss": "SupConLoss", "arguments": {"reducer": "DoNothingReducer"}}, "gives no number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(
    table: Make, rows: Make, run: Make, wrong: dict[str, Any], message: str
) -> None:
    """Labels, sizes and kinds of losses that do not go together."""
    with pytest.raises(ValueError, match=message):
        run(MetricLearning(**wrong), Labels(), embedding=table(rows(9), label=torch.arange(9) % 3))


def test_a_loss_of_one_table_refuses_two(table: Make, rows: Make, run: Make) -> None:
    """It would look the candidates up among the anchors."""
    theirs = MetricLearning("ThresholdConsistentMarginLoss", pairs="pairs")
    with pytest.raises(ValueError, match="rows of one table"):
        run(theirs, Cross(), one=table(rows(4)), two=table(rows(4, seed=1)))


@pytest.mark.parametrize(
    "loss",
    [
        "CircleLoss", "ContrastiveLoss", "GeneralizedLiftedStructureLoss", "IntraPairVarianceLoss",
        "LiftedStructureLoss", "MarginLoss", "MultiSimilarityLoss", "NTXentLoss", "SignalToNoiseRatioContrastiveLoss",
        "SupConLoss", "ThresholdConsistentMarginLoss", "TripletMarginLoss", "TupletMarginLoss",
    ],
)  # fmt: skip
def test_losses_that_can_be_driven_by_pairs(table: Make, rows: Make, run: Make, loss: str) -> None:
    """Listed pairs give what labels give, for every loss of the library that takes pairs."""
    z = rows(16)
    embedding = table(z, label=torch.arange(16) % 4)
    by_pairs = run(MetricLearning(loss, pairs="pairs"), Labels(), embedding=embedding)
    by_labels = run(MetricLearning(loss), embedding=embedding)
    torch.testing.assert_close(by_pairs.value, by_labels.value, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(by_pairs.value, z)
    assert gradient.abs().max() > 0


def test_half_precision_is_computed_in_float32(table: Make, rows: Make, run: Make) -> None:
    """Also under autocast."""
    z, label = rows(12).detach(), torch.arange(12) % 3
    half, single = z.bfloat16(), z.bfloat16().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run(MetricLearning("SupConLoss"), embedding=table(half, label=label)).value
    expected = run(MetricLearning("SupConLoss"), embedding=table(single, label=label)).value
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_without_the_library_the_line_that_installs_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, as for every extra."""
    monkeypatch.setattr(named, "find_spec", lambda name: None)
    with pytest.raises(ContrastError, match=r"pip install 'contrast-core\[metric-learning\]'"):
        MetricLearning("SupConLoss")


def test_importing_the_adapter_does_not_import_the_library() -> None:
    """Only making a component does."""
    code = (
        "import sys; from contrast_core.adapters.metric_learning import MetricLearning as M\n"
        "assert 'pytorch_metric_learning' not in sys.modules\n"
        "M('SupConLoss'); assert 'pytorch_metric_learning' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
