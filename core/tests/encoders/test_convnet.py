"""The small convolutional network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrast_core.encoders.convnet import ConvNet


def flow(count: int = 4, channels: int = 1, size: int = 8) -> dict[str, Any]:
    """Two views of random images."""
    make = torch.Generator().manual_seed(0)
    views = {name: torch.rand(count, channels, size, size, generator=make) for name in ("one", "two")}
    return {**views, "sample": torch.arange(count)}


@pytest.mark.parametrize(("channels", "size", "stride"), [(1, 8, 1), (3, 32, 2), (1, 64, 2), (3, 5, 1)])
def test_any_size_and_channels(channels: int, size: int, stride: int) -> None:
    """Tables of z for each view, and h for evaluation."""
    torch.manual_seed(0)
    net = ConvNet(widths=(8, 12), stride=stride, embedding_size=6, projection=5)
    batch = flow(4, channels, size)
    net.prepare(batch)
    assert {name: table.z.shape for name, table in net(batch).items()} == {"one": (4, 5), "two": (4, 5)}
    assert net.embed(batch).z.shape == (4, 6)


def test_rows_do_not_depend_on_the_batch() -> None:
    """In training mode too: statistics are of one image."""
    torch.manual_seed(0)
    net = ConvNet(widths=(8, 16))
    batch = flow(6)
    net.prepare(batch)
    part = {name: value[:2] for name, value in batch.items()}
    torch.testing.assert_close(net(part)["one"].z, net(batch)["one"].z[:2])


def test_what_is_wrong_is_said() -> None:
    """No images, other channels, sizes below one."""
    net = ConvNet()
    with pytest.raises(ValueError, match="must be floating images"):
        net.prepare({"one": torch.zeros(3, 64), "sample": torch.arange(3)})
    net.prepare(flow())
    with pytest.raises(ValueError, match="has 3 channels; this encoder was built for 1"):
        net(flow(channels=3))
    with pytest.raises(ValueError, match="must be at least 1"):
        ConvNet(widths=(0,))
    with pytest.raises(ValueError, match="at least one name"):
        ConvNet(views=())
