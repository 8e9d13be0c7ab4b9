"""Views: masks, affine maps, photographs, stacked tables; and the encoders around them."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.mlp import MLP
from contrast_fewshot.affine import Affine
from contrast_fewshot.convnet import ConvNet
from contrast_fewshot.encoders import Predicting
from contrast_fewshot.mask import BlockMask
from contrast_fewshot.photos import PhotoViews
from contrast_fewshot.stack import Stack


@pytest.mark.parametrize("ratio", [0.15, 0.3])
def test_about_a_share_of_the_patches_is_masked_in_blocks(ratio):
    """Within the spread, on average and in each image."""
    torch.manual_seed(0)
    mask = BlockMask(["one"], patch=2, ratio=ratio)
    images = torch.ones(200, 1, 28, 28)
    found = mask({"one": images})["one-masked"]
    share = 1 - found.mean((1, 2, 3))
    assert abs(float(share.mean()) - ratio) < 0.03
    assert share.max() <= ratio + 0.1 + 1e-6
    patches = found.reshape(200, 14, 2, 14, 2)
    assert torch.equal(patches.amax((2, 4)), patches.amin((2, 4)))


def test_evaluation_masks_and_moves_nothing():
    """All image views."""
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(BlockMask(["image"], patch=2).eval()({"image": images})["image-masked"], images)
    assert torch.equal(Affine().eval()({"image": images})["two"], images)
    photos = PhotoViews(size=4, mean=[0.5], deviation=[0.5]).eval()({"image": images})["one"]
    torch.testing.assert_close(photos, (images[:, :, 2:6, 2:6] - 0.5) / 0.5)


def test_affine_without_ranges_is_the_image():
    """And with a shift it moves."""
    torch.manual_seed(0)
    images = torch.rand(4, 1, 9, 9)
    still = Affine(rotation=0, scale=0, shear=0, shift=0)({"image": images})
    torch.testing.assert_close(still["one"], images, rtol=1e-4, atol=1e-5)
    moved = Affine()({"image": images})
    assert not torch.allclose(moved["one"], moved["two"], atol=1e-2)


def test_photo_views_are_of_their_size_and_range():
    """Before scaling they lie in [0, 1]; grey images work too."""
    torch.manual_seed(0)
    for channels in (1, 3):
        images = torch.rand(16, channels, 20, 24)
        found = PhotoViews(size=12, mean=[0.0], deviation=[1.0])({"image": images})
        assert tuple(found["one"].shape) == (16, channels, 12, 12)
        assert float(found["one"].min()) >= -1e-6
        assert float(found["one"].max()) <= 1 + 1e-6
        assert not torch.equal(found["one"], found["two"])
    whole = PhotoViews(size=20, least_area=1.0, flips=False, colours=False, mean=[0.0], deviation=[1.0])
    square = torch.rand(2, 3, 20, 20)
    spread = whole({"image": square})["one"]
    assert tuple(spread.shape) == (2, 3, 20, 20)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: BlockMask(["one"], patch=3)({"one": torch.ones(1, 1, 8, 8)}), "patches of 3"),
        (lambda: BlockMask([]), "views"),
        (lambda: BlockMask(["one"], ratio=2.0), "ratio"),
        (lambda: Affine(rotation=999.0), "rotation"),
        (lambda: Affine(names=["one", "one"]), "none twice"),
        (lambda: Affine()({"image": torch.ones(3, 4)}), "affine views need"),
        (lambda: PhotoViews(least_area=0.0), "least_area"),
        (lambda: PhotoViews(mean=[0.5]), "as many"),
        (lambda: PhotoViews(size=4)({"image": torch.ones(2, 1, 8, 8)}), "3 channels"),
        (lambda: PhotoViews(size=9).eval()({"image": torch.ones(2, 3, 8, 8)}), "smaller than"),
        (lambda: Stack({}), "Give each name"),
        (lambda: ConvNet(views=[]), "at least one name"),
        (lambda: ConvNet(width=0), "width = 0"),
        (lambda: Predicting(MLP(), tables=["three"]), "no table 'three'"),
        (lambda: Predicting(MLP(), hidden=0), "hidden = 0"),
    ],
)
def test_what_can_not_be_gets_a_sentence(make, word):
    """It names the option or the input."""
    with pytest.raises(ValueError, match=word):
        make()


def test_stacked_tables_keep_rows_and_know_their_view():
    """In order."""
    tables = {name: Embeddings.of(torch.randn(3, 2), sample=torch.arange(3)) for name in ("one", "two")}
    found = Stack({"both": ["one", "two"]})(tables)["both"]
    torch.testing.assert_close(found.z, torch.cat([tables["one"].z, tables["two"].z]))
    assert found["view"].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("backbone", "width"), [("conv4", 288), ("resnet18", 512), ("resnet50", 2048)])
def test_backbones_have_their_widths(backbone, width):
    """On images of 28 pixels; all parameters learn."""
    torch.manual_seed(0)
    encoder = Predicting(ConvNet(backbone=backbone, width=32, projection=16))
    flow = {name: torch.rand(4, 1, 28, 28) for name in ("one", "two")} | {"sample": torch.arange(4)}
    encoder.prepare(flow)
    found = encoder(flow)
    assert set(found) == {"one", "two", "one-predicted", "two-predicted"}
    assert tuple(found["one-predicted"].z.shape) == (4, 16)
    assert tuple(encoder.eval().embed(flow).z.shape) == (4, width)
    sum((table.z * torch.randn_like(table.z)).sum() for table in found.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_images_of_other_channels_are_refused():
    """The sentence names the view."""
    encoder = ConvNet()
    encoder.prepare({"one": torch.rand(2, 1, 8, 8)})
    flow = {"one": torch.rand(2, 1, 8, 8), "two": torch.rand(2, 3, 8, 8), "sample": torch.arange(2)}
    with pytest.raises(ValueError, match=r"'two' has shape .* built for images of 1 channels"):
        encoder(flow)
    with pytest.raises(ValueError, match="images are"):
        ConvNet().prepare({"one": torch.rand(2, 5)})
