"""The recipes run whole; they say what is wrong with data of one group."""

from __future__ import annotations

import json
import math

import pytest
import torch

from contrast_core import runs
from contrast_core.errors import ContrastError
from contrast_core.registry import discover
from contrast_medical.data.planted import PlantedDigits

NAMES = ("sepclr", "sepclr-automatic", "sepclr-sprites", "two-simclr", "one-simclr")
INDEPENDENCE = ("mutual-information", "vclub", "vub", "vl1out", "density-ratio", "mean-discrepancy")
PUBLISHED = ("sepclr-cifar-mnist", "sepclr-celeba", "sepclr-chexpert", "sepclr-odir")


@pytest.mark.parametrize("name", NAMES)
def test_recipes_run_whole(name, tmp_path):
    """One epoch: finite terms, scores of both spaces, both figures in the report."""
    settings = {"training.epochs": 1, "training.device": "cpu", "training.threads": 1, "training.tensorboard": "off"}
    run = runs.run(f"medical/{name}", set=settings, out=tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(entry["value"]) for line in lines for entry in line["terms"].values())
    scores = {score.metric: score.mean for score in run.scores["separation"]}
    attributes = (
        {"shape in salient", "ink in common", "x in salient"} if name == "sepclr-sprites" else {"mark in salient"}
    )
    assert attributes | {"delta", "HSIC", "R^2 common from salient"} <= scores.keys()
    page = (run.folder / "report.html").read_text()
    assert "Neighbours in both spaces" in page
    assert "What can be read from which space" in page


@pytest.mark.parametrize("name", INDEPENDENCE)
def test_the_independence_term_is_a_setting(name, tmp_path):
    """One epoch with another objective in the joint entropy's place: all its terms are logged, with the weight."""
    settings = {"training.epochs": 1, "training.device": "cpu", "training.threads": 1, "training.tensorboard": "off",
                "objective.sepclr.independence.use": f"medical/{name}", "evaluation": {}}  # fmt: skip
    run = runs.run("medical/sepclr", set=settings, out=tmp_path / "run")
    line = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])
    found = {key: entry for key, entry in line["terms"].items() if "independence" in key}
    assert len(found) == (1 if name in {"mutual-information", "mean-discrepancy"} else 2)
    assert all(math.isfinite(entry["value"]) and entry["weight"] == 10 for entry in found.values())


def test_every_recipe_is_tested():
    """The lists above are the manifest's; those of the paper are tested in test_layouts.py."""
    assert sorted(name for name in discover().recipes if name.startswith("medical/")) == sorted(
        f"medical/{name}" for name in (*NAMES, *PUBLISHED)
    )


@pytest.mark.parametrize(("role", "missing"), [(0, "target"), (1, "background")])
def test_data_of_one_group_are_refused(role, missing):
    """The sentence names the group that is missing."""
    data = PlantedDigits()
    with pytest.raises(ValueError, match=f"none is {missing}"):
        data.take(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.full((3,), role), {})


def test_data_that_cannot_be_scored_are_refused_before_training(tmp_path):
    """Nothing is written."""
    settings = {"data.use": "core/digits", "training.device": "cpu", "training.threads": 1}
    with pytest.raises(ContrastError, match="Separation is measured on data of two groups"):
        runs.run("medical/one-simclr", set=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
