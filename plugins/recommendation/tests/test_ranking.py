"""The evaluator `recommendation/full-ranking`, ranks, gains and their comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.ranking import gains
from contrast_recommendation import ranks as module
from contrast_recommendation.data.component import Interactions
from contrast_recommendation.ranking import FullRanking
from contrast_recommendation.ranks import target_ranks

GOLDEN = Path(__file__).parent / "golden"
LINES = "".join(f"u{u} " + " ".join(f"i{(u * u + k * (u + 1)) % 13}" for k in range(4 + u)) + "\n" for u in range(8))


def interactions(tmp_path, text=LINES) -> Interactions:
    """The data of lines `user item item ...`."""
    (tmp_path / "log.txt").write_text(text)
    data = Interactions(tmp_path / "log.txt", user_minimum=1, item_minimum=1)
    data.load()
    return data


def tables(data, seed=0, size=6) -> dict[str, Embeddings]:
    """Random embeddings of the held-out samples, in some order, and of the items, padding among them."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.evaluation_items), generator=generator)
    z = torch.randn(len(order), size, generator=generator, dtype=torch.float64)
    items = torch.randn(len(data.sequences.names) + 1, size, generator=generator, dtype=torch.float64)
    return {
        "embedding": Embeddings.of(z, sample=data.evaluation_items[order]),
        "items": Embeddings.of(items, sample=torch.arange(len(items))),
    }


def by_loop(data, found, remove) -> dict[str, list[int]]:
    """Ranks by sorting the scores of one sample at a time in plain Python."""
    row = {sample: n for n, sample in enumerate(found["embedding"]["sample"].tolist())}
    expected = {}
    for part, place in (("valid", -2), ("test", -1)):
        expected[part] = []
        for sample, user in enumerate(range(len(data.sequences.users))):
            split = data.splits["leave-one-out"]
            number = int((split.val if part == "valid" else split.test)[sample])
            own = data.sequences.items[data.sequences.starts[user] : data.sequences.starts[user + 1]].tolist()
            scores = {
                i: sum((found["embedding"].z[row[number]] * found["items"].z[i]).tolist())
                for i in range(1, len(data.sequences.names) + 1)
                if not remove or i == own[place] or i not in own[:place]
            }
            ordered = sorted(scores, key=lambda i, scores=scores: -scores[i])
            expected[part].append(ordered.index(own[place]) + 1)
    return expected


@pytest.mark.parametrize("case", ["ranking_metrics-1", "ranking_metrics-2"])
def test_the_metrics_are_those_of_the_authors(case, tmp_path):
    """Scores and targets of the golden case, given as dot products, have the metrics that the authors' code finds."""
    with np.load(GOLDEN / f"{case}.npz") as file:
        golden = {name: file[name] for name in file.files}
    users, items = golden["in_scores"].shape
    # Every user has seen two items before the target; whatever these are does not matter.
    names = "".join(f"x {item}\n" for item in range(1, items))
    lines = names + "".join(f"{u} 1 2 3 {target}\n" for u, target in enumerate(golden["in_target"]))
    data = interactions(tmp_path, lines)
    split = data.splits["leave-one-out"]
    z = torch.zeros(len(data.evaluation_items), users, dtype=torch.float64)
    z[len(split.val) + 1 :] = torch.eye(users, dtype=torch.float64)
    found = {
        "embedding": Embeddings.of(z, sample=data.evaluation_items),
        "items": Embeddings.of(torch.from_numpy(golden["in_scores"].T), sample=torch.arange(items)),
    }
    topk = json.loads(str(golden["meta"]))["params"]["topk"]
    ranked = FullRanking().ranks(found, data)["test"][1:]
    for metric, name in (
        ("HR", "hit"),
        ("Recall", "recall"),
        ("NDCG", "ndcg"),
        ("MRR", "mrr"),
        ("Precision", "precision"),
    ):
        for k in topk:
            assert float(gains(ranked, metric, k).mean()) == pytest.approx(
                float(golden[f"out_{name}_at_{k}"]), abs=1e-11
            )
    # The evaluator's own lines are means over all users, the first of whom is no user of the golden case.
    scores = {s.metric: s.mean for s in FullRanking(topk).evaluate(found, data, torch.Generator()) if s.split == "test"}
    first = FullRanking().ranks(found, data)["test"][:1]
    for k in topk:
        whole = (float(golden[f"out_ndcg_at_{k}"]) * users + float(gains(first, "NDCG", k))) / (users + 1)
        assert scores[f"NDCG@{k}"] == pytest.approx(whole, abs=1e-11)


@pytest.mark.parametrize("scores_at_a_time", [1, 30, 2**19])
@pytest.mark.parametrize("remove", [False, True])
def test_ranks_against_a_loop(tmp_path, monkeypatch, remove, scores_at_a_time):
    """However many users go at a time, with the history competing or not, and whatever the order of the rows."""
    monkeypatch.setattr(module, "SCORES", scores_at_a_time)
    data = interactions(tmp_path)
    found = tables(data)
    ranked = FullRanking(remove_history=remove).ranks(found, data)
    assert {part: r.tolist() for part, r in ranked.items()} == by_loop(data, found, remove)


def test_removing_the_history_removes_something(tmp_path):
    """The two protocols differ on these data, so the test above tells them apart."""
    data = interactions(tmp_path)
    found = tables(data)
    assert by_loop(data, found, True) != by_loop(data, found, False)


def test_padding_is_no_item(tmp_path):
    """A padding row that would win changes no rank."""
    data = interactions(tmp_path)
    found = tables(data)
    padded = found["items"].z.clone()
    padded[0] = found["embedding"].z.sum(0) * 1000
    with_padding = {**found, "items": found["items"].with_fields(z=padded)}
    assert torch.equal(FullRanking().ranks(with_padding, data)["test"], FullRanking().ranks(found, data)["test"])


def test_equal_scores_count_against_the_target():
    """An encoder that gives every item the same score gets the worst rank, not the best."""
    ranked = target_ranks(torch.ones(3, 2), torch.ones(7, 2), torch.tensor([0, 3, 6]))
    assert ranked.tolist() == [7, 7, 7]


def test_scores_name_metric_length_and_part(tmp_path):
    """One line a metric, k and part, in that order."""
    data = interactions(tmp_path)
    scores = FullRanking((1, 2), ("MRR", "HR")).evaluate(tables(data), data, torch.Generator())
    assert [(s.split, s.metric) for s in scores] == [
        (part, metric) for part in ("valid", "test") for metric in ("MRR@1", "MRR@2", "HR@1", "HR@2")
    ]


def test_bad_input(tmp_path):
    """What is missing, unknown or not finite is named."""
    data, evaluator = interactions(tmp_path), FullRanking()
    good = tables(data)
    z = good["embedding"].z.clone()
    z[0] = torch.nan
    few = torch.arange(5)
    for bad, sentence in (
        ({"embedding": good["embedding"].with_fields(z=z)}, "embedding of the held-out samples is NaN"),
        ({"items": good["items"].with_fields(z=good["items"].z / 0)}, "embedding of the items is NaN"),
        ({"items": good["items"].select(few)}, "is not in the encoder's table of items"),
        ({"embedding": good["embedding"].select(few)}, "has no embedding"),
    ):
        with pytest.raises(ValueError, match=sentence):
            evaluator.ranks({**good, **bad}, data)
    with pytest.raises(ValueError, match=r"needs the data recommendation/interactions, not object"):
        evaluator.ranks(good, object())
    with pytest.raises(ValueError, match="at least one list length"):
        FullRanking(k=())
    with pytest.raises(ValueError, match="at least 1"):
        FullRanking(k=(0,))
    with pytest.raises(ValueError, match="metrics must name at least one"):
        FullRanking(metrics=())
