"""The recipes: those with data of their own run whole, all others on small files or compose."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from contrast_core import runs
from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.registry import discover

SMALL = {
    "training.epochs": 2,
    "training.batch_size": 64,
    "training.device": "cpu",
    "training.tensorboard": "off",
    "training.threads": 1,
    "encoder.encoder.encoder.width": 4,
    "encoder.encoder.encoder.projection": 16,
    "evaluation.episodes.episodes": 5,
}
OWN = {
    "fewshot/beclr": ["memory"],
    "fewshot/beclr-as-published": ["memory", "memory-predicted", "memory-student"],
    "fewshot/beclr-omniglot": ["memory"],
    "fewshot/beclr-omniglot-as-published": ["memory", "memory-predicted", "memory-student"],
}
PUBLISHED = {
    "miniimagenet": 5,
    "miniimagenet-resnet50": 3,
    "tieredimagenet": 10,
    "tieredimagenet-resnet50": 3,
    "cifar-fs": 5,
    "cub": 5,
    "fc100": 5,
}


@pytest.fixture(scope="module")
def registry():
    """The installed plugins."""
    return discover()


@pytest.fixture(scope="module")
def characters(tmp_path_factory):
    """Twelve characters of eight alphabets in an .npz file, 25 noisy copies of each."""
    generator = np.random.default_rng(0)
    shapes = generator.integers(0, 200, (12, 1, 28, 28))
    images = (shapes + generator.integers(0, 55, (12, 25, 28, 28))).astype(np.uint8).reshape(-1, 28, 28)
    character = np.repeat(np.arange(12), 25)
    path = tmp_path_factory.mktemp("data") / "characters.npz"
    np.savez(
        path, images=images, character=character, alphabet=np.array([0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7])[character]
    )
    return str(path)


def settings_of(name, characters):
    """Small sizes, and memories that are full after a few batches and read from the third."""
    found = dict(SMALL)
    for memory in OWN[name]:
        published = "published" in name
        found |= {f"memory.{memory}.size": 257 if published else 256, f"memory.{memory}.dimension": 16}
        found |= {f"memory.{memory}.prototypes": 5, f"memory.{memory}.start": 2}
    return found | ({"data.data.path": characters} if "omniglot" in name else {})


@pytest.mark.parametrize("name", list(OWN))
def test_recipes_run_whole(name, registry, characters, tmp_path):
    """Two epochs with the memory at work, finite terms, four scores, a picture; the same run gives the same bits."""
    settings = settings_of(name, characters)
    first, again = (runs.run(name, set=settings, out=tmp_path / part, registry=registry) for part in ("a", "b"))
    lines = [json.loads(line) for line in (first.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(entry["value"]) for line in lines for entry in line["terms"].values())
    assert 0 <= lines[-1]["scalars"]["beclr/positive/purity"] <= 1
    ways = 5 if "omniglot" in name else 4
    splits = [f"{ways}-way {shots}-shot{kind}" for shots in (1, 5) for kind in ("", " + OpTA")]
    assert [score.split for score in first.scores["episodes"]] == splits
    page = (first.folder / "report.html").read_text()
    assert "One episode with one shot" in page
    assert "purity" in page
    z, same = (load_file(run.folder / "embedding.safetensors")["z"] for run in (first, again))
    assert torch.equal(z, same)


def test_interrupted_training_goes_on_as_if_it_had_not_stopped(registry, characters, tmp_path):
    """Memory, partitions, prototypes and the teacher's momentum included."""
    name = "fewshot/beclr"
    settings = {**settings_of(name, characters), "training.checkpoint_every": 1}
    whole = runs.run(name, set=settings, out=tmp_path / "whole", registry=registry)

    def stop(done: int, *_: object) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(runs.Interrupted):
        runs.run(name, set=settings, out=tmp_path / "cut", progress=stop, registry=registry)
    resumed = runs.resume(tmp_path / "cut", registry=registry)
    expected, found = (load_file(run.folder / "model.safetensors") for run in (whole, resumed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.fixture
def photographs(tmp_path):
    """Folders that suit all layouts of the published recipes: two classes a split."""
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        lines = ["filename,label"]
        for c in range(2):
            for i in range(3):
                picture = Image.fromarray(generator.integers(0, 255, (40, 48, 3), dtype=np.uint8))
                for path in (
                    tmp_path / split / f"{split}-{c}" / f"{i}.png",
                    tmp_path / "data" / f"{split}-{c}" / f"{i}.png",
                    tmp_path / "images" / f"{split}-{c}-{i}.png",
                    tmp_path / "images" / f"{split}-{c}" / f"{i}.png",
                ):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(path)
                lines.append(f"{split}-{c}-{i}.png,{split}-{c}")
        (tmp_path / f"{split}.csv").write_text("\n".join(lines) + "\n")
        (tmp_path / "splits" / "bertinetto").mkdir(parents=True, exist_ok=True)
        (tmp_path / "splits" / "bertinetto" / f"{split}.txt").write_text(f"{split}-0\n{split}-1\n")
    return str(tmp_path)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_recipes_of_the_paper_make_a_batch(name, registry, photographs):
    """On small stand-ins a batch goes through all parts; without a folder the sentence says how to give it."""
    given = [f"data.path={photographs}", "view.augment.size=32", "data.size=36", "memory.memory.size=600"]
    given += [] if name in ("cifar-fs", "fc100") else ["view.mask.patch=4"]
    given += ["memory.memory.prototypes=3"]
    recipe = runs.find_recipe(f"fewshot/beclr-{name}", registry, given)
    parts = compose(recipe, registry)
    assert parts.pipeline.samplers["pairs"].neighbours == PUBLISHED[name]
    if "resnet50" not in name:
        parts.data.load()
        batch = parts.data.batch(parts.data.training_items)
        parts.pipeline.prepare(batch)
        terms = parts.pipeline.terms(parts.pipeline(batch))
        assert {"beclr/positive", "beclr/negative"} == set(terms)
    with pytest.raises(ContrastError, match=r"--set data\.path=FOLDER"):
        compose(runs.find_recipe(f"fewshot/beclr-{name}", registry), registry)


def test_every_recipe_is_tested(registry):
    """The two lists above are the manifest's."""
    names = [name for name in registry.recipes if name.startswith("fewshot/")]
    assert sorted(names) == sorted([*OWN, *(f"fewshot/beclr-{name}" for name in PUBLISHED)])
