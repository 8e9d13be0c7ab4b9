"""Image models of transformers as encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import contrast_core as contrast
from contrast_core import runs
from contrast_core.adapters.image_models import ImageModel, pooled, resnet
from contrast_core.embeddings import code
from contrast_core.errors import ContrastError
from contrast_core.training.checkpoint import own_randomness

Saved = Callable[..., Path]


def flow(channels: int = 3, side: int = 16, items: int = 4) -> dict[str, Any]:
    """Two views of random images."""
    make = torch.Generator().manual_seed(0)
    views = {name: torch.rand(items, channels, side, side, generator=make) for name in ("one", "two")}
    return {**views, "sample": torch.arange(items)}


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """saved(name, **options): the folder of a small model with random weights."""

    def make(name: str = "ResNet", **options: Any) -> Path:
        import transformers

        small = {
            "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"},
            "ConvNext": {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2},
            "ViT": {"image_size": 16, "patch_size": 8, "hidden_size": 8, "num_hidden_layers": 1,
                    "num_attention_heads": 2, "intermediate_size": 16},
        }[name]  # fmt: skip
        kind, extra = options.pop("kind", f"{name}Model"), options.pop("built", {})
        with own_randomness():
            torch.manual_seed(0)
            config = getattr(transformers, f"{name}Config")(**small, **options)
            getattr(transformers, kind)(config, **extra).save_pretrained(tmp_path / name)
        return tmp_path / name

    return make


def prepared(batch: dict[str, Any], **options: Any) -> ImageModel:
    """An encoder in evaluation mode."""
    made = ImageModel(**options)
    with own_randomness():
        torch.manual_seed(0)
        made.prepare(batch)
    return made.eval()


@pytest.mark.parametrize(
    ("architecture", "wide", "parameters"), [("resnet18", 512, 11_176_512), ("resnet50", 2048, 23_508_032)]
)
def test_architectures_are_those_of_the_paper(architecture: str, wide: int, parameters: int) -> None:
    """As many numbers and weights as the usual networks have without their last layer."""
    made = prepared(flow(side=32), architecture=architecture)
    assert made.embed(flow(side=32)).z.shape == (4, wide)
    assert sum(each.numel() for each in made.parameters()) == parameters


def test_a_small_stem_keeps_height_and_width() -> None:
    """Eight pixels are one after three halvings, not after five; the 3 x 3 weights start as the others do."""
    small, large = (resnet("resnet18", 1, stem) for stem in ("small", "large"))
    x = torch.rand(2, 1, 8, 8)
    assert small.embedder(x).shape == (2, 64, 8, 8)
    assert large.embedder(x).shape == (2, 64, 2, 2)
    first = small.embedder.embedder.convolution.weight
    assert first.shape == (64, 1, 3, 3)
    assert 0.8 < float(first.detach().std()) / (2 / (64 * 9)) ** 0.5 < 1.2


@pytest.mark.parametrize("name", ["ResNet", "ConvNext", "ViT"])
def test_a_pretrained_model_is_the_librarys(name: str, saved: Saved) -> None:
    """h is what transformers gives for the same images."""
    from transformers import AutoModel

    path = saved(name)
    theirs: Any = AutoModel.from_pretrained(path).eval()
    batch = flow()
    expected = theirs(pixel_values=batch["one"]).pooler_output.flatten(1)
    torch.testing.assert_close(prepared(batch, path=path).embed(batch).z, expected)


def test_without_weights_of_a_pooler_the_first_token_is_taken(saved: Saved) -> None:
    """A classifier's weights have none; a layer at random would hide what it knows."""
    batch = flow()
    made = prepared(batch, path=saved("ViT", kind="ViTForImageClassification"))
    torch.testing.assert_close(made.embed(batch).z, made.model(batch["one"]).last_hidden_state[:, 0])


def test_pooling_of_what_models_give() -> None:
    """A pooled output, tokens, or a map."""
    from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling

    vector, tokens, places = torch.rand(2, 3, 1, 1), torch.rand(2, 5, 3), torch.rand(2, 3, 4, 4)
    assert torch.equal(pooled(BaseModelOutputWithPooling(places, vector)), vector[:, :, 0, 0])
    assert torch.equal(pooled(BaseModelOutput(tokens)), tokens[:, 0])
    torch.testing.assert_close(pooled(BaseModelOutput(places)), places.flatten(2).mean(2))


def test_what_is_embedded_lies_before_the_head() -> None:
    """h = W f(x) + b, and the layers of g in the order in which they are given."""
    batch = flow(1, 8)
    made = prepared(batch, architecture="resnet18", stem="small", embedding_size=6, head=[10, 5], batch_norm="hidden")
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in made.head] == kinds  # type: ignore[arg-type]
    h = made.embed(batch).z
    assert h.shape == (4, 6)
    torch.testing.assert_close(made(batch)["one"].z, made.head(h))
    assert made(batch)["two"].z.shape == (4, 5)
    assert made(batch)["two"]["view"].tolist() == [code("two")] * 4


def test_grey_images_of_a_model_for_colours(saved: Saved) -> None:
    """A pretrained model sees them three times; other differences are refused, in a sentence that shows the way."""
    grey = flow(1)
    path = saved()
    made = prepared(grey, path=path)
    in_colour = {**grey, "one": grey["one"].repeat(1, 3, 1, 1)}
    torch.testing.assert_close(made.embed(grey).z, made.embed(in_colour).z)
    with pytest.raises(ValueError, match=r"has 3 channels; this encoder was built for 1. Convert the images"):
        prepared(grey, architecture="resnet18").embed(flow(3))
    with pytest.raises(ValueError, match=r"has 3 channels; this encoder was built for 1"):
        prepared(flow(3), path=saved(num_channels=1))


def test_images_of_another_size_are_named(saved: Saved) -> None:
    """A ViT takes one size."""
    with pytest.raises(ValueError, match=r"given the view 'one', refuses this: Input image size \(24\*24\)"):
        prepared(flow(side=24), path=saved("ViT"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of architecture, model"),
        ({"architecture": "resnet18", "path": Path("x")}, "give one of architecture, model"),
        ({"model": "x", "stem": "small"}, "a pretrained model has the stem that it has"),
        ({"model": "x", "head": [4, 0]}, r"must be at least 1, not \[4, 0\]"),
        ({"model": "x", "views": []}, "at least one name and none twice"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(ValueError, match=message):
        ImageModel(**options)


def test_folders_without_a_whole_image_model_are_refused(tmp_path: Path, language_model: Path, saved: Saved) -> None:
    """Nothing there, texts, or a model that lacks weights."""
    with pytest.raises(ValueError, match=r"can't be loaded: a folder with model.safetensors and config.json"):
        prepared(flow(), path=tmp_path)
    with pytest.raises(ValueError, match="is a BertModel, no model of images alone"):
        prepared(flow(), path=language_model)
    from safetensors.torch import load_file, save_file

    weights = saved() / "model.safetensors"
    some = {name: value for name, value in load_file(weights).items() if "shortcut.convolution" not in name}
    save_file(some, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights of a ResNetModel: encoder\.stages"):
        prepared(flow(), path=weights.parent)


def test_it_trains_from_a_recipe(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On images of a file; the run embeds every image with weights that are not those of the folder."""
    import numpy as np

    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    pixels = torch.randint(0, 256, (12, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    np.savez(tmp_path / "images.npz", image=pixels.numpy())
    encoder = {"use": "core/image-model", "path": str(saved()), "head": [8, 4]}
    settings = {
        "data.path": tmp_path / "images.npz", "encoder": encoder, "training.batch_size": 6,
        "training.steps": 2, "training.threads": 1, "training.tensorboard": "off",
    }  # fmt: skip
    folder = contrast.run("core/images-simclr", set=settings, out=tmp_path / "run").folder
    z = contrast.embed(folder).z
    assert z.shape == (12, 12)
    before = prepared(flow(1), path=tmp_path / "ResNet")
    still = before.embed({"one": pixels[:, None].float() / 255, "sample": torch.arange(12)}).z
    assert (z - still).abs().max() > 1e-3


def test_without_the_library_the_line_that_installs_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, as for every extra."""
    monkeypatch.setattr("contrast_core.adapters.named.find_spec", lambda name: None)
    with pytest.raises(ContrastError, match=r"pip install 'contrast-core\[transformers\]'"):
        ImageModel(architecture="resnet18")
