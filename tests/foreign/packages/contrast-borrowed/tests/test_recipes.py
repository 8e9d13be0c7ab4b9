"""The recipes, shortened, and that proxies are trained and saved."""

import contrast_core
import pytest
import torch
from safetensors.torch import load_file


def test_proxies_are_trained_and_saved(tmp_path):
    """After two lengths of training the saved proxies differ by what was learned in between."""
    saved = []
    for steps in (1, 4):
        settings = {"training.steps": steps, "training.threads": 1, "training.tensorboard": "off"}
        done = contrast_core.run("borrowed/digits-proxies", set=settings, out=tmp_path / str(steps))
        found = {k: v for k, v in load_file(done.folder / "model.safetensors").items() if "proxies" in k}
        (proxies,) = found.values()
        assert proxies.shape == (10, 64)
        saved.append(proxies)
    assert not torch.equal(*saved)


@pytest.mark.parametrize("name", ["digits-cosine", "digits-proxies"])
def test_a_recipe_trains_and_is_evaluated(contrast_run, name):
    """Nearest neighbours do better than chance after one pass."""
    done = contrast_run(f"borrowed/{name}", "training.epochs=1")
    assert done.scores["neighbours"][0].mean > 0.5
