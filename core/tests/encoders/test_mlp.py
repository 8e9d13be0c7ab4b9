"""The multilayer perceptron."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import code
from contrast_core.encoders.mlp import MLP


def flow(count: int = 6) -> dict[str, torch.Tensor]:
    """Two views of some images, with their numbers."""
    return {"one": torch.rand(count, 1, 3, 3), "two": torch.rand(count, 1, 3, 3), "sample": torch.arange(count)}


def prepared(**options: object) -> MLP:
    """An encoder for these images."""
    torch.manual_seed(0)
    encoder = MLP(hidden=[8], embedding_size=5, **{"projection": 4, **options})  # type: ignore[arg-type]
    encoder.prepare(flow())
    return encoder


def test_each_view_becomes_a_table_of_projections() -> None:
    """With sample, view and, where there is one, label."""
    encoder, batch = prepared(), flow()
    tables = encoder({**batch, "label": torch.arange(6) % 2})
    assert list(tables) == ["one", "two"]
    assert tables["one"].z.shape == (6, 4)
    assert tables["two"]["view"].tolist() == [code("two")] * 6
    assert tables["two"]["sample"].equal(batch["sample"])
    assert tables["two"]["label"].tolist() == [0, 1] * 3
    assert "label" not in encoder(batch)["one"]
    assert {f"one.{column}" for column in tables["one"].columns} <= set(encoder.gives)


def test_views_share_the_networks_and_the_head_comes_last() -> None:
    """z = g(f(x)) for every view; evaluation takes f(x) of the first."""
    encoder, batch = prepared(), flow()
    tables = encoder(batch)
    for view in ("one", "two"):
        torch.testing.assert_close(tables[view].z, encoder.head(encoder.backbone(batch[view].flatten(1))))
    h = encoder.embed(batch)
    assert h.z.shape == (6, 5)
    torch.testing.assert_close(encoder.head(h.z), tables["one"].z)


def test_without_a_head_the_embedding_is_trained_itself() -> None:
    """Then z = h."""
    encoder, batch = prepared(projection=None), flow()
    assert encoder(batch)["one"].z.equal(encoder.embed(batch).z)


def test_batch_norm_is_built_when_asked_for() -> None:
    """One a hidden layer."""
    kinds = [type(layer).__name__ for layer in prepared(batch_norm=True).backbone]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def test_wrong_sizes_are_refused() -> None:
    """At construction, and when the input is not what the layers were built for."""
    with pytest.raises(ValueError, match="at least 1"):
        MLP(hidden=[0])
    with pytest.raises(ValueError, match="at least one name"):
        MLP(views=[])
    with pytest.raises(ValueError, match=r"'one' has 16 numbers an item; this encoder was built for 9"):
        prepared()({**flow(), "one": torch.rand(6, 16)})
