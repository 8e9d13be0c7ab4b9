"""Which items are trained on and which are evaluated, and which tables an evaluator sees."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow
from contrast_core.plan import Training
from contrast_core.training.embedding import embed_all, embed_tables
from contrast_core.training.loader import batches, batches_per_epoch


def some(parts: SimpleNamespace, training: list[int], evaluation: list[int]) -> Any:
    """Ten rows of which some are trained on and some evaluated."""

    class Some(parts.Rows):  # type: ignore[misc, name-defined]
        training_items = torch.tensor(training)
        evaluation_items = torch.tensor(evaluation)
        labels = torch.arange(10) % 3

    return Some()


def test_training_draws_its_items_alone(parts: SimpleNamespace) -> None:
    """Every one once an epoch."""
    data, training = some(parts, [8, 1, 5, 6, 3], [0]), Training(batch_size=2)
    found = torch.cat([batch["sample"] for batch in batches(data, training, 0)])
    assert batches_per_epoch(data, training) == 2
    assert len(found) == 4
    assert set(found.tolist()) < {8, 1, 5, 6, 3}
    assert len(set(found.tolist())) == 4


def test_the_embedding_is_that_of_the_evaluated_items(parts: SimpleNamespace) -> None:
    """In their order, with their numbers and labels."""
    composition = parts.make(some(parts, [0, 1], [7, 2, 4]))
    table = embed_all(composition.pipeline, composition.data, 2)
    assert table["sample"].tolist() == [7, 2, 4]
    assert table["label"].tolist() == [1, 2, 1]
    everything = embed_all(composition.pipeline, parts.Rows(), 4)
    torch.testing.assert_close(table.z, everything.z[[7, 2, 4]])


def test_an_evaluator_sees_the_encoders_other_tables(parts: SimpleNamespace) -> None:
    """Those of a row an item are put together, those that are shared are there once."""

    class Three(parts.Net):  # type: ignore[misc, name-defined]
        gives, shared = ("embedding", "twice", "centres"), ("centres",)

        def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
            table = super().forward(flow)["embedding"]
            centres: Tensor = torch.eye(4)
            return {"embedding": table, "twice": table.with_fields(z=2 * table.z), "centres": Embeddings.of(centres)}

    composition = parts.make()
    composition.pipeline.encoder = Three()
    tables = embed_tables(composition.pipeline, composition.data, 4, ["embedding", "twice", "centres"])
    assert {name: len(table) for name, table in tables.items()} == {"embedding": 10, "twice": 10, "centres": 4}
    torch.testing.assert_close(tables["twice"].z, 2 * tables["embedding"].z)
    assert tables["twice"]["sample"].tolist() == list(range(10))
