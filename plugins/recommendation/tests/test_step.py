"""The training step: golden updates, which parameters move when, what is drawn how often."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrast_core.errors import ContrastError
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.over_pairs import OverPairs
from contrast_core.pipeline import Pipeline, Weighted, total
from contrast_core.plan import Group, Training
from contrast_core.samplers.views import TwoViews
from contrast_core.similarity import Dot
from contrast_core.training.context import Context
from contrast_core.training.optimiser import Schedule, optimiser_for
from contrast_core.training.runtime import Runtime
from contrast_core.training.steps import Ordinary
from contrast_recommendation.augmenters import LearnableAugmenters
from contrast_recommendation.encoder import SASRec
from contrast_recommendation.objectives import MarginRegulariser
from contrast_recommendation.samplers import AugmentedPairs, NextItem
from contrast_recommendation.step import Meta
from contrast_recommendation.views import SequenceAugmentation

PAIRS = ("one-two", "two-one", "augmented")


class Noting(Context):
    """Notes the loss of each backward pass, and which tables had a graph of the encoder."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.losses: list[float] = []
        self.graphs: list[bool] = []
        self.viewed: list[torch.Tensor] = []

    def backward(self, terms):
        """As usual."""
        self.losses.append(float(total(terms).detach()))
        super().backward(terms)

    def compare(self, batch, encoded):
        """As usual."""
        self.graphs.append(encoded["one"].z.requires_grad)
        self.viewed.append(encoded["item_seq_one"])
        return super().compare(batch, encoded)


def context_for(
    batch: dict, beta: float, lmd: float, lr: float, params: dict | None = None, views: Any = None
) -> Noting:
    """The parts of MCLRec, in float64 and without dropout, prepared on a batch."""
    params = params or {"hidden": 8, "inner": 12, "layers": [8, 6, 4, 8]}
    encoder = SASRec(size=params["hidden"], inner=params["inner"], dropout=0.0, attention_dropout=0.0)
    objectives = {
        "next-item": Weighted(InfoNCE("next-item", 1.0, similarity=Dot()), 1.0),
        "views": Weighted(InfoNCE("views", 1.0, similarity=Dot()), lmd),
        "contrast": Weighted(OverPairs(InfoNCE(temperature=1.0, similarity=Dot()), PAIRS), beta),
        "margin": Weighted(OverPairs(MarginRegulariser(bounds="row"), PAIRS), 0.1 * beta),
    }
    samplers = {"next": NextItem(), "views": TwoViews(name="views"), "augmented": AugmentedPairs()}
    augmenters = {"augmenters": LearnableAugmenters(hidden=params["layers"][1:-1])}
    pipeline = Pipeline(views or {}, encoder, augmenters, {}, samplers, objectives)
    torch.manual_seed(0)
    pipeline.prepare(batch)
    pipeline.double()
    training = Training(learning_rate=lr, groups={"augmenters": Group(["view.augmenters.*"])})
    optimizer = optimiser_for(pipeline, training)
    return Noting(pipeline, optimizer, Schedule(optimizer, training, 10), Runtime(), None)


def golden_batch(case: dict, number: int) -> dict:
    """One of the case's batches, augmented sequences included."""
    of = lambda name: case[f"in_b{number}_{name}"]  # noqa: E731
    return {
        "item_seq": of("item_id_list"),
        "length": of("item_length"),
        "target": of("item_id"),
        "sample": torch.arange(len(of("item_id"))),
        "items": torch.tensor(case["meta"]["params"]["n_items"] - 1),
        "item_seq_one": of("aug1"),
        "length_one": of("aug_len1"),
        "item_seq_two": of("aug2"),
        "length_two": of("aug_len2"),
    }


def golden_weights(case: dict, side: str) -> dict[str, torch.Tensor]:
    """The parameters of a case by their names in the pipeline."""
    found = {}
    for name, value in case.items():
        if name.startswith(f"{side}_w__"):
            weight = name.removeprefix(f"{side}_w__")
            found[f"encoder.{weight}"] = value[:-1] if weight == "item_embedding.weight" else value
        for number in (1, 2):
            if name.startswith(f"{side}_aug{number}__dense_"):
                layer, kind = name.removeprefix(f"{side}_aug{number}__dense_").split(".")
                found[f"late_views.augmenters.augmenters.{number - 1}.dense.{int(layer) - 1}.{kind}"] = value
    return found


def golden_context(case: dict) -> Noting:
    """The case's start."""
    params = case["meta"]["params"]
    context = context_for(golden_batch(case, 0), params["beta"], params["lmd"], params["lr"], params)
    start = golden_weights(case, "in")
    assert start.keys() == dict(context.pipeline.named_parameters()).keys()
    context.pipeline.load_state_dict(start)
    return context


def check_end(case: dict, context: Noting) -> None:
    """Losses and all parameters after the case's two batches."""
    torch.testing.assert_close(torch.tensor(context.losses, dtype=torch.float64), case["out_losses"], rtol=1e-9, atol=0)
    end = golden_weights(case, "out")
    for name, parameter in context.pipeline.named_parameters():
        torch.testing.assert_close(parameter.detach(), end[name], rtol=1e-9, atol=1e-9)


def test_golden_meta_updates(golden):
    """Six losses and all parameters of the authors' three updates a batch, over two batches."""
    for case in golden("meta_update"):
        context = golden_context(case)
        lmd = case["meta"]["params"]["lmd"]
        authors = Meta(
            objectives=["views", "contrast", "margin"], weights={"views": lmd, "contrast": 1.0, "margin": 0.1}
        )
        for number in range(case["meta"]["params"]["batches"]):
            authors.run(context, golden_batch(case, number))
        check_end(case, context)


def test_golden_joint_updates(golden):
    """The joint ablation is the ordinary step on the same parts."""
    for case in golden("joint_update"):
        context = golden_context(case)
        for number in range(case["meta"]["params"]["batches"]):
            Ordinary().run(context, golden_batch(case, number))
        check_end(case, context)


def test_paper_and_authors_weights_differ_by_epsilon_alone(golden):
    """beta (L_cl2 + 0.1 R) and L_cl2 + 0.1 R have one direction, and Adam forgets the length."""
    case = golden("meta_update")[1]
    ends = []
    for weights in (None, {"contrast": 1.0, "margin": 0.1}):
        context = golden_context(case)
        Meta(weights=weights).run(context, golden_batch(case, 0))
        ends.append(context)
    beta = case["meta"]["params"]["beta"]
    assert ends[0].losses[1] == pytest.approx(beta * ends[1].losses[1], rel=1e-9)
    for paper, authors in zip(ends[0].pipeline.parameters(), ends[1].pipeline.parameters(), strict=True):
        # One step of the learning rate, 0.005, is what the first update moves a parameter by.
        torch.testing.assert_close(paper, authors, rtol=0, atol=0.005 * 1e-2)


def test_each_update_moves_its_own_parameters_alone(sequences, monkeypatch):
    """Encoder, augmenters, encoder; the augmenters' update sees no graph of the encoder and draws no new views."""
    batch = sequences(16)
    context = context_for(batch, 0.1, 0.1, 1e-2, views={"augmentation": SequenceAugmentation()})
    moved = []

    def update(outputs, only=()):
        before = {name: p.detach().clone() for name, p in context.pipeline.named_parameters()}
        Context.update(context, outputs, only)
        changed = {n.split(".")[0] for n, p in context.pipeline.named_parameters() if not torch.equal(p, before[n])}
        moved.append(changed)

    monkeypatch.setattr(context, "update", update)
    terms = Meta().run(context, batch)
    assert moved == [{"encoder"}, {"late_views"}, {"encoder"}]
    assert context.graphs == [True, False, True]
    assert context.viewed[0] is context.viewed[1] is context.viewed[2]
    assert float(total(terms).detach()) == pytest.approx(context.losses[2])
    assert {name: term.weight for name, term in terms.items() if name.startswith("augmenters/")} == {
        f"augmenters/{kind}/{pairs}": 0.0
        for kind in ("contrast", "margin")
        for pairs in ("one-two", "two-one", "augmented")
    }


def test_baseline_has_as_many_encoder_updates(sequences):
    """Two updates of the encoder a batch, for recipes that have no augmenters' group to be named."""
    context = context_for(sequences(16), 0.1, 0.1, 1e-2, views={"augmentation": SequenceAugmentation()})
    Meta(updates=["encoder", "encoder"], augmenters="nothing of that name").run(context, sequences(16))
    assert context.graphs == [True, True]
    assert context.losses[1] < context.losses[0]


def test_unknown_names_are_refused(sequences):
    """Of settings at once, of groups and objectives by the first batch."""
    with pytest.raises(ValueError, match="must be the encoder's"):
        Meta(updates=["augmenters"])
    with pytest.raises(ValueError, match="at least one objective"):
        Meta(objectives=[])
    with pytest.raises(ValueError, match="weights names 'other'"):
        Meta(weights={"other": 1.0})
    context = context_for(sequences(16), 0.1, 0.1, 1e-2, views={"augmentation": SequenceAugmentation()})
    with pytest.raises(ContrastError, match="asks for the objective 'nce'"):
        Meta(objectives=["nce"]).run(context, sequences(16))
    with pytest.raises(ContrastError, match="updates the group 'mlp'"):
        Meta(augmenters="mlp").run(context, sequences(16))
