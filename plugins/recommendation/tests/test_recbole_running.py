"""Recipes in RecBole: the same numbers as ours, its habits kept, its own models beside."""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np
import pytest
import torch

from contrast_core.embeddings import Embeddings, code
from contrast_core.errors import ContrastError
from contrast_recommendation.data.component import Interactions
from contrast_recommendation.data.sequences import Sequences
from contrast_recommendation.ranking import FullRanking
from contrast_recommendation.recbole import prepare, repaired, run, write_atomic
from contrast_recommendation.weights import encoder_of

USERS = 30
RECIPE = "recommendation/mclrec"
SMALL = {"encoder.size": 16, "encoder.inner": 16, "training.seed": 3}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Settings for RecBole to read the latest films of 30 people of MovieLens 100K, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    data = Interactions()
    data.load()
    found = data.sequences
    own = [found.items[found.starts[u] : found.starts[u + 1]][-15 - u % 9 :] for u in range(USERS)]
    starts = np.cumsum([0, *map(len, own)])
    write_atomic(Sequences(np.concatenate(own), starts, found.users[:USERS], found.names), tmp_path, "few")
    return {
        "data_path": str(tmp_path),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision"],
        "topk": [5, 10, 20],
        "metric_decimal_place": 12,
        "MAX_ITEM_LIST_LENGTH": 10,
        "train_batch_size": 128,
        "epochs": 1,
        "show_progress": False,
    }


def test_both_evaluators_agree(files, tmp_path):
    """One model on the same data: RecBole's loader and evaluator, and ours, find the same metrics."""
    with repaired():
        made = prepare(RECIPE, dataset="few", config_dict=files, set=SMALL)
        theirs = {
            part: dict(made.trainer.evaluate(loader, load_best_model=False))
            for part, loader in (("valid", made.valid), ("test", made.test))
        }
        names = made.train.dataset.field2id_token["item_id"][1:]
    data = Interactions(tmp_path / "few", user_minimum=1, item_minimum=1, max_length=10)
    data.load()
    data.adopt({"items": torch.tensor([code(name) for name in names])})
    pipeline = made.trainer.model.pipeline.eval()
    samples = data.evaluation_items
    with torch.no_grad():
        z = pipeline.embed(data.batch(samples)).z
        items = pipeline.encode(data.batch(samples[:2]))["items"]
    tables = {"embedding": Embeddings.of(z, sample=samples), "items": items}
    evaluator = FullRanking((5, 10, 20), ("HR", "Recall", "NDCG", "MRR", "Precision"))
    ours = evaluator.evaluate(tables, data, torch.Generator())
    assert len(ours) == 2 * 15
    assert len({score.mean for score in ours}) > 10
    for score in ours:
        their_name = score.metric.lower().replace("hr@", "hit@")
        assert score.mean == pytest.approx(theirs[score.split][their_name], abs=1e-6)


def test_a_run_gives_what_recbole_gives(files, monkeypatch):
    """The four keys, the metrics asked for, a checkpoint; the command line is not read and stays."""
    monkeypatch.setattr(sys, "argv", ["program", "--epochs=50", "positional"])
    found = run(RECIPE, dataset="few", config_dict={**files, "epochs": 2}, set=SMALL)
    assert sorted(found) == ["best_valid_result", "best_valid_score", "test_result", "valid_score_bigger"]
    assert found["best_valid_score"] == found["best_valid_result"]["mrr@10"]
    assert len(found["test_result"]) == 15
    assert sys.argv == ["program", "--epochs=50", "positional"]


def test_the_recipe_trains_by_its_own_step(files):
    """Every batch is one step of the recipe, which moves the encoder and the augmenters; a second run is the same."""
    with repaired():
        first, second = (prepare(RECIPE, dataset="few", config_dict=files, set=SMALL) for _ in range(2))
        before = {name: p.detach().clone() for name, p in first.trainer.model.named_parameters()}
        torch.manual_seed(0)
        first.trainer.fit(first.train, first.valid, saved=False)
        torch.manual_seed(0)
        second.trainer.fit(second.train, second.valid, saved=False)
    model = first.trainer.model
    assert model.stepper.done == len(first.train) > 1
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert any(name.startswith("pipeline.late_views") for name in moved)
    assert "pipeline.encoder.item_embedding.weight" in moved
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), second.trainer.model.parameters(), strict=True))


def test_what_the_user_sets_in_recbole_counts(files):
    """His learning rate replaces the recipe's, RecBole's default does not, and settings for the recipe win."""
    with repaired():
        rates = [
            prepare(
                RECIPE, dataset="few", config_dict={**files, **asked}, set={**SMALL, **given}
            ).trainer.optimizer.param_groups[0]["lr"]
            for asked, given in (
                ({}, {}),
                ({"learning_rate": 0.5}, {}),
                ({"learning_rate": 0.5}, {"training.learning_rate": 0.25}),
            )
        ]
    assert rates == [0.001, 0.5, 0.25]


def test_recboles_own_trainer_takes_the_model(files):
    """calculate_loss is the sum of all terms, and one ordinary step on it lowers it."""
    with repaired():
        made = prepare(RECIPE, dataset="few", config_dict=files, set={**SMALL, "encoder.dropout": 0.0})
        model = made.trainer.model
        interaction = next(iter(made.train))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        losses = []
        for _ in range(2):
            torch.manual_seed(1)
            loss = model.calculate_loss(interaction)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[1] < losses[0]


def test_single_scores_are_those_of_the_full_table(files):
    """predict gives the columns of full_sort_predict that the batch's items name; column j is item j."""
    with repaired():
        made = prepare(RECIPE, dataset="few", config_dict=files, set=SMALL)
        model = made.trainer.model.eval()
        interaction = next(iter(made.train))
        with torch.no_grad():
            full, single = model.full_sort_predict(interaction), model.predict(interaction)
            flow = model.flow(interaction)
            state = model.pipeline.embed(flow).z
    weight = model.pipeline.encoder.item_embedding.weight.detach()
    torch.testing.assert_close(full[:, 1:], state @ weight[1:].T)
    for row, item in enumerate(interaction["item_id"].tolist()):
        assert float(single[row]) == float(full[row, item])


def test_the_encoder_is_recboles_sasrec(files):
    """With the weights of RecBole's SASRec the encoder gives its scores."""
    with repaired():
        config = import_module("recbole.config").Config
        utils, data = import_module("recbole.utils"), import_module("recbole.data")
        options = {**files, "train_neg_sample_args": None, "hidden_size": 16, "inner_size": 24}
        sys_argv, sys.argv = sys.argv, sys.argv[:1]
        try:
            made = config("SASRec", "few", config_dict=options)
        finally:
            sys.argv = sys_argv
        train, _, test = data.data_preparation(made, data.create_dataset(made))
        theirs = utils.get_model("SASRec")(made, train.dataset).eval()
        interaction = next(iter(test))[0]
        with torch.no_grad():
            expected = theirs.full_sort_predict(interaction)
    ours = encoder_of(theirs.state_dict(), heads=2, spare_rows=0)
    flow = {
        "item_seq": interaction["item_id_list"],
        "length": interaction["item_length"],
        "sample": torch.arange(USERS),
    }
    with torch.no_grad():
        found = ours.embed(flow).z @ ours.item_embedding.weight.T
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_recboles_own_models_run(files):
    """LightGCN trains, saves, reads back and is evaluated: every repair at work in one place."""
    with repaired():
        config = import_module("recbole.config").Config
        utils, data = import_module("recbole.utils"), import_module("recbole.data")
        argv, sys.argv = sys.argv, sys.argv[:1]
        try:
            made = config("LightGCN", "few", config_dict={**files, "epochs": 1})
        finally:
            sys.argv = argv
        train, valid, test = data.data_preparation(made, data.create_dataset(made))
        model = utils.get_model("LightGCN")(made, train.dataset)
        trainer = utils.get_trainer(made["MODEL_TYPE"], made["model"])(made, model)
        trainer.fit(train, valid, saved=True)
        assert set(trainer.evaluate(test)) >= {"recall@10", "ndcg@20"}


def test_a_recipe_that_can_not_be(files):
    """Mistakes in the recipe or its settings come as the core's sentences."""
    with pytest.raises(ContrastError, match="mclrek"):
        run("recommendation/mclrek", dataset="few", config_dict=files)
    with pytest.raises(ContrastError, match="encoder"):
        run(RECIPE, dataset="few", config_dict=files, set={"encoder.colour": 3})


def test_names_that_an_atomic_file_can_not_hold(tmp_path):
    """A tab in a name would shift the columns."""
    with pytest.raises(ValueError, match=r"The item 'a\\tb' can't be written"):
        write_atomic(Sequences(np.array([1]), np.array([0, 1]), ["u"], ["a\tb"]), tmp_path, "x")
