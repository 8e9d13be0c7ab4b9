"""NodeProbe as a component."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attrs import asdict
from sklearn.cluster import KMeans

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.clusters import Clustering
from contrast_core.interfaces import Split
from contrast_graph.evaluation import NodeProbe
from contrast_graph.probe import probe


@pytest.fixture
def table() -> Embeddings:
    """120 rows around the corners of a cube, 3 classes."""
    generator = torch.Generator().manual_seed(0)
    z = torch.eye(3)[torch.arange(120) % 3] + 0.3 * torch.randn(120, 3, generator=generator)
    return Embeddings.of(z, sample=torch.arange(120))


@pytest.fixture
def data() -> SimpleNamespace:
    """Labels and two splits."""
    parts = (torch.arange(60, 90), torch.arange(90, 120))
    splits = {"20": Split(torch.arange(20), *parts), "40": Split(torch.arange(40), *parts)}
    return SimpleNamespace(labels=torch.arange(120) % 3, splits=splits)


def generator() -> torch.Generator:
    """The same one every time."""
    return torch.Generator().manual_seed(3)


def test_three_scores_a_split(table, data):
    """Macro-F1, Micro-F1 and AUC of each split, with their deviation, equal to the probe's own numbers."""
    scores = NodeProbe(0.1, steps=20, initialisations=4).evaluate({"embedding": table}, data, generator())
    names = [(score.metric, score.split) for score in scores]
    assert names == [(m, f"{n} labels") for m in ("Macro-F1", "Micro-F1", "AUC") for n in ("20", "40")]
    parts = {name: (split.train, split.val, split.test) for name, split in data.splits.items()}
    found = probe(table.z, data.labels, parts, learning_rate=0.1, steps=20, initialisations=4, generator=generator())
    assert scores[1].mean == found["40"].macro_f1.mean
    assert scores[4].deviation == found["20"].auc.std
    assert all(0.7 < score.mean <= 1 for score in scores)


def test_unknown_labels_are_no_class(table, data):
    """Nodes of label -1 change nothing, in no part and in no number of classes."""
    evaluate = NodeProbe(0.1, steps=20, initialisations=4).evaluate
    expected = [asdict(score) for score in evaluate({"embedding": table}, data, generator())]
    more = Embeddings.of(torch.cat([table.z, torch.randn(30, 3)]), sample=torch.arange(150))
    data.labels = torch.cat([data.labels, torch.full((30,), -1)])
    first = data.splits["20"]
    data.splits["20"] = Split(torch.cat([first.train, torch.tensor([140])]), first.val, first.test)
    assert [asdict(score) for score in evaluate({"embedding": more}, data, generator())] == expected
    with pytest.raises(ValueError, match=r"'a' has nodes of unknown label"):
        probe(more.z, data.labels, {"a": ([0], [1], [149])}, learning_rate=0.1, generator=generator())


def test_what_can_not_be_scored_is_named(table, data):
    """No labels, no split, an empty part, an embedding that is not finite, settings of 0."""
    evaluate = NodeProbe(steps=2, initialisations=2).evaluate
    with pytest.raises(ValueError, match="has no labels"):
        evaluate({"embedding": table}, SimpleNamespace(labels=None, splits=data.splits), generator())
    with pytest.raises(ValueError, match="no splits"):
        evaluate({"embedding": table}, SimpleNamespace(labels=data.labels, splits={}), generator())
    empty = {"20": Split(torch.arange(20), torch.arange(0), torch.arange(90, 120))}
    with pytest.raises(ValueError, match="val part of split '20' has no labelled item"):
        evaluate({"embedding": table}, SimpleNamespace(labels=data.labels, splits=empty), generator())
    with pytest.raises(ValueError, match="NaN or infinite"):
        evaluate({"embedding": Embeddings.of(table.z * np.nan)}, data, generator())
    for setting in ({"steps": 0}, {"initialisations": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            NodeProbe(**setting)


def test_golden_clustering(golden, monkeypatch):
    """NMI and ARI of the authors' calls, from the core's evaluator when k-means finds the given clusters."""
    for case in golden("probe_metrics"):
        clusters, data = case["in_clusters"].numpy(), SimpleNamespace(labels=case["in_labels"])
        monkeypatch.setattr(KMeans, "fit_predict", lambda self, rows, clusters=clusters: clusters)
        scores = Clustering(runs=2).evaluate({"embedding": Embeddings.of(case["in_logits"])}, data, generator())
        found = {score.metric: score.mean for score in scores}
        np.testing.assert_allclose(found["NMI"], case["out_nmi"], rtol=1e-10)
        np.testing.assert_allclose(found["ARI"], case["out_ari"], rtol=1e-10)
