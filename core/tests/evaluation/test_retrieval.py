"""Ranks, what they are worth, and retrieval of a query's own candidate."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from contrast_core.data.texts import Texts
from contrast_core.embeddings import Embeddings
from contrast_core.evaluation import ranking
from contrast_core.evaluation.ranking import gains, match_ranks, paired_bootstrap
from contrast_core.evaluation.retrieval import Retrieval

GENERATOR = torch.Generator()


def test_gains_by_hand() -> None:
    """Ranks 1, 3 and 4 at k = 3."""
    ranks = torch.tensor([1, 3, 4])
    assert gains(ranks, "HR", 3).tolist() == [1, 1, 0]
    assert gains(ranks, "NDCG", 3).tolist() == [1, 0.5, 0]
    assert gains(ranks, "MRR", 3).tolist() == pytest.approx([1, 1 / 3, 0])
    assert gains(ranks, "Precision", 3).tolist() == pytest.approx([1 / 3, 1 / 3, 0])


def test_the_bootstrap_is_paired() -> None:
    """A difference that every query shares has no width; independent noise around zero has, and holds zero."""
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(400, generator=generator)
    same = paired_bootstrap(base + 0.01, base, generator, resamples=200)
    assert same.mean == pytest.approx(0.01)
    assert same.high - same.low < 1e-6
    apart = paired_bootstrap(base, torch.rand(400, generator=generator), generator, resamples=500)
    # The interval of a mean of 400 differences of uniform numbers is about 4 deviations sqrt(1/6/400) wide.
    assert apart.high - apart.low == pytest.approx(4 * (1 / 6 / 400) ** 0.5, rel=0.2)
    assert apart.low < apart.mean < apart.high
    with pytest.raises(ValueError, match="of the same queries"):
        paired_bootstrap(base, base[:5], generator)


def test_ranks_are_counted_as_a_loop_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of several matches, half of the ties, infinity where nothing matches; in blocks or at once."""
    generator = torch.Generator().manual_seed(0)
    queries, candidates = torch.randint(-2, 3, (2, 17, 3), generator=generator).double()
    wanted, keys = torch.randint(0, 9, (2, 17), generator=generator)
    scores = queries @ candidates.T
    expected = []
    for i in range(17):
        own = [float(scores[i, j]) for j in range(17) if keys[j] == wanted[i]]
        others = [float(scores[i, j]) for j in range(17) if keys[j] != wanted[i]]
        best = max(own, default=-math.inf)
        expected.append(1 + sum(s > best for s in others) + sum(s == best for s in others) / 2 if own else math.inf)
    assert math.inf in expected
    assert any(rank % 1 for rank in expected if rank < math.inf)
    assert match_ranks(queries, candidates, wanted, keys).tolist() == expected
    monkeypatch.setattr(ranking, "SCORES", 40)
    assert match_ranks(queries, candidates, wanted, keys).tolist() == expected


@pytest.fixture
def data(tmp_path) -> Texts:
    """Forty pairs of texts, sixteen of them to test on."""
    path = tmp_path / "pairs.csv"
    path.write_text("q,c\n" + "".join(f"query {n},candidate {n}\n" for n in range(40)))
    found = Texts(path, columns=("q", "c"))
    found.load()
    return found


def tables(data: Texts, noise: float) -> dict[str, Embeddings]:
    """Candidates at random, and queries near them."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(len(data), 8, generator=generator)
    near = z + noise * torch.randn(len(data), 8, generator=generator)
    sample = torch.arange(len(data))
    asked = (sample % 3 > 0).long()
    return {
        "embedding": Embeddings.of(near, sample=sample),
        "one": Embeddings.of(3 * near, sample=sample, asked=asked),
        "two": Embeddings.of(z, sample=sample),
    }


def test_scores_are_the_mean_over_test_queries(data: Texts) -> None:
    """MRR and recall by a loop over cosines; pools have consecutive candidates; who is not asked does not count."""
    found = tables(data, 1.0)
    test = data.splits["all"].test
    one, two = (normalize(found[name].z[test], dim=1) for name in ("one", "two"))
    cosines = one @ two.T

    def ranks(rows: range) -> list[int]:
        return [1 + sum(int(cosines[i, j] > cosines[i, i]) for j in rows) for i in rows]

    whole = Retrieval(k=(1, 3), pool=None).evaluate(found, data, GENERATOR)
    assert [(score.metric, score.split) for score in whole] == [("MRR", "test"), ("R@1", "test"), ("R@3", "test")]
    expected = ranks(range(len(test)))
    assert whole[0].mean == pytest.approx(sum(1 / rank for rank in expected) / len(expected))
    assert whole[2].mean == pytest.approx(sum(rank <= 3 for rank in expected) / len(expected))
    assert 0 < whole[1].mean < 1

    pooled = Retrieval(k=(1,), pool=5).ranks(found, data)["test, pools of 5"]
    assert pooled.tolist() == [rank for n in range(0, 15, 5) for rank in ranks(range(n, n + 5))]

    asking = Retrieval(asked="asked", pool=None).ranks(found, data)["test"]
    assert asking.tolist() == [rank for rank, item in zip(expected, test.tolist(), strict=True) if item % 3]
    far = Retrieval(k=(1,), cutoff=1, pool=None).evaluate(found, data, GENERATOR)
    assert far[0].mean == far[1].mean


def test_what_cannot_be_retrieved_is_refused(data: Texts) -> None:
    """Numbers out of range, an embedding that is not finite, test items that are not there."""
    for options in ({"k": ()}, {"k": (0,)}, {"pool": 0}, {"cutoff": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            Retrieval(**options)
    found = tables(data, 1.0)
    found["two"].z[int(data.splits["all"].test[0])] = math.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        Retrieval().evaluate(found, data, GENERATOR)
    train = {name: table.select(data.splits["all"].train) for name, table in tables(data, 1.0).items()}
    with pytest.raises(ValueError, match="there is none"):
        Retrieval().evaluate(train, data, GENERATOR)
