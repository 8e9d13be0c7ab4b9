"""Samplers: who is paired with whom, as matrices on small tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import PairSampler
from contrast_core.memories.fifo import Queue as QueueMemory
from contrast_core.memories.keyed import KeyedQueues
from contrast_core.pairs import Pairs
from contrast_core.pairwise import matrix
from contrast_core.relations import Relation
from contrast_core.samplers.cross import Cross
from contrast_core.samplers.labels import Labels
from contrast_core.samplers.prototypes import Prototypes
from contrast_core.samplers.queue import Queue
from contrast_core.samplers.ranking import Ranking
from contrast_core.samplers.views import TwoViews


def table(n: int, **columns: Any) -> Embeddings:
    """n rows, samples 0 ... n - 1 unless told otherwise."""
    return Embeddings.of(torch.arange(2.0 * n).reshape(n, 2) + 1, **{"sample": torch.arange(n), **columns})


def weights(pairs: Pairs, relation: Relation) -> list[list[int]]:
    """The relation as a matrix of 0 and 1."""
    return matrix(pairs, relation)[1].int().tolist()  # type: ignore[no-any-return]


def only(sampler: PairSampler, flow: Mapping[str, Any], name: str = "pairs") -> Pairs:
    """The pairs a sampler gives, under the name that it announced."""
    found = sampler(flow)
    assert list(found) == list(sampler.gives) == [name]
    return found[name]


def eye(n: int) -> Tensor:
    """The identity."""
    return torch.eye(n, dtype=torch.int)


def test_all_views() -> None:
    """Three views of two samples: two positives each, itself in no relation."""
    sampler = TwoViews(("a", "b", "c"), name="all")
    pairs = only(sampler, {name: table(2) for name in "abc"}, "all")
    together = eye(2).repeat(3, 3)
    assert weights(pairs, pairs.positives) == (together - eye(6)).tolist()
    assert weights(pairs, pairs.negatives) == (1 - together).tolist()
    assert pairs.anchors is pairs.candidates
    assert list(sampler.needs) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="two views"):
        TwoViews(("a", "a"))


def test_cross() -> None:
    """Candidates of the same sample are positive wherever they stand, duplicates too."""
    pairs = only(Cross("x", "y"), {"x": table(2), "y": table(3, sample=torch.tensor([1, 0, 1]))})
    assert weights(pairs, pairs.positives) == [[0, 1, 0], [1, 0, 1]]
    assert weights(pairs, pairs.negatives) == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("in_batch", [False, True])
def test_queue(in_batch: bool) -> None:
    """Own key positive; the memory's rows negative, but not an earlier key of the same sample."""
    memory = QueueMemory("key", size=5, dimension=2)
    memory.write(table(3, sample=torch.tensor([0, 7, 8])))
    z = torch.rand(2, 2, requires_grad=True)
    flow = {
        "query": table(2),
        "key": Embeddings.of(z, sample=torch.arange(2), source="teacher"),
        "queue": memory,
    }
    pairs = only(Queue(in_batch=in_batch), flow)
    other = int(in_batch)
    assert weights(pairs, pairs.positives) == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
    assert weights(pairs, pairs.negatives) == [[0, other, 0, 1, 1], [other, 0, 1, 1, 1]]
    assert not pairs.candidates.z.requires_grad
    with pytest.raises(ValueError, match="two things"):
        Queue(keys="key", memory="key")


def test_a_queue_for_each_key_gives_negatives_of_the_own_key() -> None:
    """An anchor meets its language's queue alone."""
    memory = KeyedQueues("key", "language", 2, size=2, dimension=2)
    memory.write(table(4, sample=torch.arange(5, 9), language=torch.tensor([0, 1, 0, 1])))
    keys = table(2, language=torch.tensor([0, 1]))
    flow = {"query": table(2, language=torch.tensor([0, 1])), "key": keys, "queue": memory}
    pairs = only(Queue(within="language"), flow)
    assert weights(pairs, pairs.negatives) == [[0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]


def test_an_empty_queue_has_no_negatives() -> None:
    """The first step of a run."""
    flow = {"query": table(2), "key": table(2), "queue": QueueMemory("key", size=5, dimension=2)}
    pairs = only(Queue(), flow)
    assert len(pairs.candidates) == 2
    assert weights(pairs, pairs.negatives) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("one", [False, True])
def test_labels(one: bool) -> None:
    """Same label but not the same row; label -1 is in no pair."""
    flow = {
        "a": table(3, label=torch.tensor([0, 1, -1])),
        "b": table(3, label=torch.tensor([0, 0, -1])),
    }
    pairs = only(Labels(("a", "b"), one=one), flow)
    count = 3 if one else 6
    positives = [[0, 0, 0, 1, 1, 0], [0] * 6, [0] * 6, [1, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0], [0] * 6]
    negatives = [[0, 1, 0, 0, 0, 0], [1, 0, 0, 1, 1, 0], None, [0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], None]
    assert weights(pairs, pairs.positives) == positives[:count]
    for found, expected in zip(weights(pairs, pairs.negatives), negatives[:count], strict=True):
        assert expected is None or found == expected
    assert list(Labels().needs) == ["embedding", "embedding.label"]
    with pytest.raises(ValueError, match="at least one"):
        Labels(())


class Centres(nn.Module):
    """Two prototypes of clustering 0 and one of clustering 1."""

    def read(self) -> Embeddings:
        """The prototypes."""
        return table(3, clustering=torch.tensor([0, 0, 1]), cluster=torch.tensor([0, 1, 0]))


@pytest.mark.parametrize("several", [False, True])
def test_prototypes(several: bool) -> None:
    """Anchors come once for each clustering and meet only its prototypes."""
    cluster = torch.tensor([[1, 0], [-1, 0]]) if several else torch.tensor([1, -1])
    pairs = only(Prototypes(), {"embedding": table(2, cluster=cluster), "prototypes": Centres()})
    count = 4 if several else 2
    assert weights(pairs, pairs.positives) == [[0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1]][:count]
    assert weights(pairs, pairs.negatives) == [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]][:count]


def test_ranking() -> None:
    """Everyone's positives and hard negatives; an anchor's own hard negative is a negative."""
    flow = {name: table(2) for name in ("anchor", "positive", "hard", "harder")}
    pairs = only(Ranking(negatives=["hard", "harder"]), flow)
    positives = torch.cat([eye(2), torch.zeros(2, 4, dtype=torch.int)], dim=1)
    assert weights(pairs, pairs.positives) == positives.tolist()
    assert weights(pairs, pairs.negatives) == (1 - positives).tolist()
    with pytest.raises(ValueError, match="at once"):
        Ranking(negatives=["positive"])


def test_a_missing_column_is_named() -> None:
    """A table without samples can't be paired by sample."""
    with pytest.raises(ValueError, match="sample"):
        Cross()({"one": table(2), "two": Embeddings.of(torch.rand(2, 2))})
