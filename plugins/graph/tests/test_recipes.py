"""The recipes: the three that need no data of their own run whole on a small folder, all others compose."""

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
    "view.metapaths.neighbours": 10,
    "encoder.width": 16,
    "encoder.projection": 8,
    "evaluation.probe.steps": 20,
    "evaluation.probe.initialisations": 3,
    "training.epochs": 2,
    "training.device": "cpu",
    "training.tensorboard": "off",
    "training.threads": 1,
}
OWN = {"graph/meow": {"memory.clusters.clusters": [4, 8]}, "graph/adameow": {}, "graph/infonce": {}}
PUBLISHED = [f"graph/meow-{name}" for name in ("acm", "imdb", "dblp", "aminer")]
PUBLISHED += [f"graph/adameow-{name}" for name in ("acm", "imdb")]


@pytest.fixture(scope="module")
def registry():
    """The installed plugins."""
    return discover()


@pytest.mark.parametrize("name", OWN)
def test_recipes_run_whole(name, registry, published, tmp_path):
    """Two epochs, finite terms, scores of every evaluator, a model and a report; the same run gives the same bits."""
    settings = {**SMALL, **OWN[name], "data.path": published}
    first, again = (runs.run(name, set=settings, out=tmp_path / part, registry=registry) for part in ("a", "b"))
    metrics = [json.loads(line) for line in (first.folder / "metrics.jsonl").read_text().splitlines()]
    assert len(metrics) == 2
    numbers = [value for line in metrics for value in line.values() if isinstance(value, float)]
    assert numbers
    assert all(map(math.isfinite, numbers))
    probe = first.scores["probe"]
    assert [(s.metric, s.split) for s in probe][:2] == [("Macro-F1", "20 labels"), ("Macro-F1", "40 labels")]
    assert len(probe) == 6
    assert {s.metric for s in first.scores["clustering"]} == {"NMI", "ARI"}
    assert (first.folder / "report.html").stat().st_size > 1000
    z, same = (load_file(run.folder / "embedding.safetensors")["z"] for run in (first, again))
    assert (tuple(z.shape), torch.equal(z, same)) == ((60, 16), True)
    table = runs.embed(first.folder, registry=registry)
    torch.testing.assert_close(table.z, z)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_of_the_papers_compose(name, registry, published):
    """With a folder every part fits; without one the sentence says how to give it."""
    recipe = runs.find_recipe(name, registry, [f"data.path={published}"])
    parts = compose(recipe, registry)
    assert parts.training.epochs >= 1000
    assert {"probe", "clustering"} <= set(parts.evaluators)
    with pytest.raises(ContrastError, match=r"--set data\.path=FOLDER"):
        compose(runs.find_recipe(name, registry), registry)


def test_every_recipe_is_tested(registry):
    """The two lists above are the manifest's."""
    names = [name for name in registry.recipes if name.startswith("graph/")]
    assert sorted(names) == sorted([*OWN, *PUBLISHED])


def test_settings_for_another_graph_stop_the_run_before_it_starts(registry, published, tmp_path):
    """Three values for two meta-paths, and more clusters than papers."""
    settings = {**SMALL, "data.path": published, "view.metapaths.neighbours": [1, 2, 3]}
    with pytest.raises(ContrastError, match=r"'neighbours' has 3 entries for 2 meta-paths \(PAP, PSP\)"):
        runs.run("graph/infonce", set=settings, out=tmp_path / "a", registry=registry)
    settings = {**SMALL, "data.path": published}
    with pytest.raises(ContrastError, match="there are only 60 rows to cluster"):
        runs.run("graph/meow", set=settings, out=tmp_path / "b", registry=registry)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_every_parameter_learns(registry, published):
    """One step's gradients reach every parameter of MEOW and AdaMEOW and are finite."""
    for name in ("graph/meow", "graph/adameow"):
        given = {**SMALL, **OWN[name], "data.path": str(published)}
        recipe = runs.find_recipe(name, registry, [f"{key}={json.dumps(value)}" for key, value in given.items()])
        parts = compose(recipe, registry)
        parts.data.load()
        batch = parts.data.batch(torch.arange(60))
        parts.pipeline.prepare(batch)
        terms = parts.pipeline.terms(parts.pipeline(batch))
        sum(term.weight * term.value for term in terms.values()).backward()
        for where, parameter in parts.pipeline.named_parameters():
            # The last bias of the weight network moves all weights at once, which normalised weights hardly feel.
            assert parameter.grad is not None, where
            assert parameter.grad.isfinite().all(), where
            assert parameter.grad.any(), where
