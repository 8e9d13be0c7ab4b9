"""Cut-out subjects on photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrast_core import runs
from contrast_diffusion.data.composites import Composites

PLACES = ["in the sky", "on the sea"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Three subjects, bright squares on black from eight sides; photographs that are all blue or all green."""
    degrees = np.tile(np.arange(0, 360, 45), 3)
    images = np.zeros((24, 12, 12), np.uint8)
    images[:, 3:9, 3:9] = (100 + degrees // 3)[:, None, None]
    np.savez(tmp_path / "objects.npz", images=images, subject=np.repeat(np.arange(3), 8), view_degrees=degrees)
    photos = np.zeros((6, 20, 20, 3), np.uint8)
    photos[:3, ..., 2], photos[3:, ..., 1] = 250, 250
    np.savez(tmp_path / "photos.npz", images=photos, labels=np.repeat([0, 1], 3))
    return {"subjects": tmp_path / "objects.npz", "photographs": tmp_path / "photos.npz", "places": PLACES}


def loaded(**settings: Any) -> Composites:
    """Eight views, two draws."""
    data = Composites(**{"views": 8, "draws": 2, **settings})
    data.load()
    return data


def test_pictures_show_subject_and_place(files: dict[str, Any]) -> None:
    """The view's grey where the mask is, the place's colour where it is not; a prompt for another place."""
    data = loaded(**files)
    batch = data.batch(torch.arange(len(data)))
    assert len(data) == 48
    inside, outside = batch["mask"][:, 0] > 0.99, batch["mask"][:, 0] == 0
    for item in range(48):
        grey = batch["image"][item][:, inside[item]]
        view = (item // 2) % 8
        assert torch.allclose(grey, torch.full_like(grey, (100 + 45 * view // 3) / 255), atol=0.02)
        colour = batch["image"][item][:, outside[item]].mean(1)
        assert int(colour.argmax()) == (2, 1)[int(batch["background"][item])]
        assert batch["caption"][item] == f"a thing {PLACES[int(batch['background'][item])]}"
    assert (batch["prompted"] != batch["background"]).all()
    assert batch["pose"].tolist() == [view // 2 for _ in range(3) for view in range(8) for _ in range(2)]
    again = loaded(**files).batch(torch.arange(48))
    assert torch.equal(again["image"], batch["image"])


def test_words_name_the_subjects(files: dict[str, Any]) -> None:
    """As many as there are."""
    data = loaded(**files, words=["car", "car", "cup"])
    assert data.batch(torch.tensor([0, 16, 47]))["name"] == ["a car", "a car", "a cup"]
    with pytest.raises(ValueError, match=r"words names 2 subjects, but objects\.npz holds 3"):
        loaded(**files, words=["car", "cup"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"places": ["here"]}, "places must be at least 2, not 1"),
        ({"places": ["here", "there", "nowhere"]}, r"photos.npz has no photograph of kind 2 \(nowhere\)"),
        ({"together": 1}, "together must be at least 2"),
        ({"photographs": "objects.npz"}, "objects.npz has no array 'labels'"),
        ({"subjects": "none.npz"}, "none.npz can't be read: there is no such file"),
    ],
)
def test_what_does_not_fit_is_said(files: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    """In one sentence."""
    folder = files["subjects"].parent
    told = {key: folder / value if key in ("subjects", "photographs") else value for key, value in change.items()}
    with pytest.raises(ValueError, match=sentence):
        loaded(**{**files, **told})


def test_the_recipe_runs_on_them(files: dict[str, Any], tmp_path: Path) -> None:
    """With all its scores."""
    data = {"use": "diffusion/composites", "views": 8, "draws": 2, "size": 8, **files}
    told = {
        "data": data, "encoder.channels": [8, 8], "encoder.guidance": [2.0], "evaluation.judges.guidance": [2.0],
        "evaluation.judges.steps": 2, "training.steps": 2, "training.batch_size": 6, "training.tensorboard": "off",
        "training.device": "cpu",
    }  # fmt: skip
    run = runs.run("diffusion/customcontrast", set=told, out=tmp_path / "run")
    assert set(run.scores) == {"leakage", "judges"}
