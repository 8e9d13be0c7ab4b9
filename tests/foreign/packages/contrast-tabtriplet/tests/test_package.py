# SPDX-License-Identifier: 0BSD
"""The recipe as shipped, with other parts, and the framework's own checks."""

import json

import contrast_core
import pytest

SHORT = {"training.epochs": 3, "training.threads": 1}


def losses(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_recipe(tmp_path):
    done = contrast_core.run("tabtriplet/tumours", set=SHORT, out=tmp_path / "run")
    lines = losses(done.folder)
    assert len(lines) == 15
    assert all(line["loss"] >= 0 for line in lines)
    assert sum(line["terms"]["triplet"]["rows"] for line in lines) > 0
    assert done.scores["probe"][0].mean > 0.85


@pytest.mark.parametrize(
    "change",
    [
        {"objective.triplet.use": "core/triplet"},
        {"objective.triplet.use": "core/infonce"},
        {"sampler.triplets.use": "core/labels", "sampler.triplets.views": ["features"]},
        {"sampler.triplets.pick": "random"},
    ],
)
def test_the_parts_go_with_others(change, tmp_path):
    done = contrast_core.run("tabtriplet/tumours", set=SHORT | change, out=tmp_path / "run")
    assert set(done.scores) == {"probe", "neighbours"}


@pytest.mark.contrast("contrast-tabtriplet")
def test_conformance(contrast_check):
    contrast_check()
