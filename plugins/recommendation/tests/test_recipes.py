"""The recipes: those that need no data of their own run whole on a small file, all others compose."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.registry import discover

SMALL = {
    "data.max_length": 8,
    "data.user_minimum": 1,
    "data.item_minimum": 1,
    "encoder.size": 8,
    "encoder.inner": 16,
    "training.epochs": 1,
    "training.batch_size": 64,
    "training.device": "cpu",
    "training.tensorboard": "off",
    "training.threads": 1,
}
OWN = [f"recommendation/{name}" for name in ("mclrec", "mclrec-joint", "mclrec-without-regulariser")]
OWN += [f"recommendation/{name}" for name in ("sasrec", "cl4srec", "duorec-style")]
PUBLISHED = [f"recommendation/mclrec-{name}" for name in ("beauty", "sports", "yelp")]


@pytest.fixture(scope="module")
def registry():
    """The installed plugins."""
    return discover()


@pytest.fixture
def histories(tmp_path):
    """A file of 40 users who walk through 25 items, a random number of steps at a time."""
    generator = torch.Generator().manual_seed(0)
    lines = []
    for user in range(40):
        steps = torch.randint(1, 4, (5 + user % 8,), generator=generator).cumsum(0) + user
        lines.append(" ".join(str(number) for number in (user + 1, *(steps % 25 + 1).tolist())))
    path = tmp_path / "histories.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", OWN)
def test_recipes_run_whole(name, registry, histories, tmp_path):
    """One epoch, finite terms, the scores of both parts, a model and a report; the same run gives the same bits."""
    settings = {**SMALL, "data.path": histories}
    first, again = (runs.run(name, set=settings, out=tmp_path / part, registry=registry) for part in ("a", "b"))
    metrics = [json.loads(line) for line in (first.folder / "metrics.jsonl").read_text().splitlines()]
    numbers = [entry["value"] for line in metrics for entry in line["terms"].values()]
    assert numbers
    assert all(map(math.isfinite, numbers))
    scores = first.scores["ranking"]
    assert {"HR@10", "NDCG@10"} <= {score.metric for score in scores}
    assert {score.split for score in scores} == {"valid", "test"}
    assert (first.folder / "report.html").stat().st_size > 1000
    z, same = (load_file(run.folder / "embedding.safetensors")["z"] for run in (first, again))
    assert (tuple(z.shape), torch.equal(z, same)) == ((80, 8), True)
    table = runs.embed(first.folder, registry=registry)
    torch.testing.assert_close(table.z, z)


def test_interrupted_training_goes_on_as_if_it_had_not_stopped(registry, histories, tmp_path):
    """With the moments of both parameter groups and all draws."""
    settings = {**SMALL, "data.path": histories, "training.epochs": 2, "training.checkpoint_every": 1}
    whole = runs.run("recommendation/mclrec", set=settings, out=tmp_path / "whole", registry=registry)

    def stop(done: int, *_: object) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(runs.Interrupted):
        runs.run("recommendation/mclrec", set=settings, out=tmp_path / "cut", progress=stop, registry=registry)
    resumed = runs.resume(tmp_path / "cut", registry=registry)
    for file in ("model.safetensors", "embedding.safetensors"):
        expected, found = (load_file(run.folder / file) for run in (whole, resumed))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_of_the_paper_compose(name, registry, histories):
    """With a file every part fits; without one the sentence says how to give it."""
    recipe = runs.find_recipe(name, registry, [f"data.path={histories}"])
    parts = compose(recipe, registry)
    assert parts.training.epochs == 50
    assert "ranking" in parts.evaluators
    with pytest.raises(ContrastError, match=r"--set data\.path=FILE"):
        compose(runs.find_recipe(name, registry), registry)


def test_every_recipe_is_tested(registry):
    """The two lists above are the manifest's."""
    names = [name for name in registry.recipes if name.startswith("recommendation/")]
    assert sorted(names) == sorted([*OWN, *PUBLISHED])


def test_every_parameter_learns(registry, histories):
    """One batch's gradients reach every parameter of encoder and augmenters and are finite."""
    given = {**SMALL, "data.path": str(histories), "encoder.layers": 2}
    settings = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    parts = compose(runs.find_recipe("recommendation/mclrec-sports", registry, settings), registry)
    parts.data.load()
    batch = parts.data.batch(parts.data.training_items)
    parts.pipeline.prepare(batch)
    terms = parts.pipeline.terms(parts.pipeline(batch))
    sum(term.weight * term.value for term in terms.values()).backward()
    for where, parameter in parts.pipeline.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where
        # Softmax forgets a shift of all scores of a query, which is all that the bias of the keys is.
        assert parameter.grad.any() or where.endswith("key.bias"), where
