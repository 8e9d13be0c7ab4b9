"""Views: masks and stacked tables; and the encoders around them."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.encoders.mlp import MLP
from contrast_fewshot.conv4 import Conv4
from contrast_fewshot.encoders import Predicting
from contrast_fewshot.mask import BlockMask
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


def test_evaluation_masks_nothing():
    """The copy is the image."""
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(BlockMask(["image"], patch=2).eval()({"image": images})["image-masked"], images)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: BlockMask(["one"], patch=3)({"one": torch.ones(1, 1, 8, 8)}), "patches of 3"),
        (lambda: BlockMask([]), "views"),
        (lambda: BlockMask(["one"], ratio=2.0), "ratio"),
        (lambda: Stack({}), "Give each name"),
        (lambda: Conv4(views=[]), "at least one name"),
        (lambda: Conv4(width=0), "width = 0"),
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


def test_conv4_flattens_its_last_map():
    """Of 28 pixels 3 by 3 are left; all parameters learn."""
    torch.manual_seed(0)
    encoder = Predicting(Conv4(width=32, projection=16))
    flow = {name: torch.rand(4, 1, 28, 28) for name in ("one", "two")} | {"sample": torch.arange(4)}
    encoder.prepare(flow)
    found = encoder(flow)
    assert set(found) == {"one", "two", "one-predicted", "two-predicted"}
    assert tuple(found["one-predicted"].z.shape) == (4, 16)
    assert tuple(encoder.eval().embed(flow).z.shape) == (4, 32 * 3 * 3)
    sum((table.z * torch.randn_like(table.z)).sum() for table in found.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_images_of_other_channels_are_refused():
    """The sentence names the view."""
    encoder = Conv4()
    encoder.prepare({"one": torch.rand(2, 1, 8, 8)})
    flow = {"one": torch.rand(2, 1, 8, 8), "two": torch.rand(2, 3, 8, 8), "sample": torch.arange(2)}
    with pytest.raises(ValueError, match="'two' has 3 channels; this encoder was built for 1"):
        encoder(flow)
    with pytest.raises(ValueError, match="must be floating images"):
        Conv4().prepare({"one": torch.rand(2, 5)})
