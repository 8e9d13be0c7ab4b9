"""Episodes: drawing, classification, OpTA, scores."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from contrast_core.data.digits import Digits
from contrast_core.embeddings import Embeddings
from contrast_core.figures import Images
from contrast_core.interfaces import Score
from contrast_fewshot.classifier import fit
from contrast_fewshot.drawing import draw_episodes
from contrast_fewshot.episodes import FewShot, run_episodes
from contrast_fewshot.opta import OpTA, classify, standardise
from contrast_fewshot.transport import episode_plans

LABELS = torch.arange(8).repeat_interleave(20)


def clusters(spread: float, seed: int = 0) -> torch.Tensor:
    """Rows of eight classes around random centres, (160, 16)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(8, 16, generator=generator)
    return centres[LABELS] + spread * torch.randn(160, 16, generator=generator)


def test_episodes_are_of_one_class_a_way_and_never_repeat_an_item():
    """Balanced: as many queries of each."""
    drawn = draw_episodes(LABELS, 50, ways=5, shots=5, queries=15)
    for support, query, way, classes in zip(*drawn, strict=True):
        assert len(classes.unique()) == 5
        assert (LABELS[support] == classes[:, None]).all()
        assert torch.equal(LABELS[query], classes[way])
        assert torch.equal(way, torch.arange(5).repeat_interleave(15))
        assert len(torch.cat([support.flatten(), query]).unique()) == 100


def test_episodes_depend_on_labels_and_seed_alone():
    """Whatever else was drawn."""
    torch.manual_seed(1)
    one = draw_episodes(LABELS, 5, seed=3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = draw_episodes(LABELS, 5, seed=3, imbalance=None)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    draw_episodes(LABELS, 5, seed=3, imbalance=1.0)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(one.query, draw_episodes(LABELS, 5, seed=4).query)


def test_imbalanced_episodes_have_as_many_queries_in_uneven_parts():
    """45 of at most 15 a class."""
    drawn = draw_episodes(LABELS, 40, ways=5, shots=5, queries=9, imbalance=1.0)
    counts = torch.stack([torch.bincount(way, minlength=5) for way in drawn.way])
    assert (counts.sum(1) == 45).all()
    assert counts.max() <= 15
    assert counts.double().std(1).mean() > 2


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"ways": 9}, "9 ways"),
        ({"queries": 16}, "20 items"),
        ({"shots": 0}, "at least 1"),
        ({"imbalance": 0}, "more than 0"),
    ],
)
def test_too_few_classes_or_items_are_refused(settings, word):
    """The sentence says what there is."""
    with pytest.raises(ValueError, match=word):
        draw_episodes(LABELS, 2, **settings)


def test_the_rarest_class_is_named():
    """By the data's name, where there is one."""
    labels = torch.cat([LABELS, torch.full((6,), 8)])
    with pytest.raises(ValueError, match=r"Class 8 has 6 items, fewer than 5 shots and 15 queries"):
        draw_episodes(labels, 2)
    with pytest.raises(ValueError, match=r"Class robin has 6 items"):
        draw_episodes(labels, 2, classes=[*"abcdefgh", "robin"])


def test_the_classifier_is_scikit_learns():
    """Coefficients, intercepts and predictions, for prototypes near and far from each other."""
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(6, 5, 12, generator=generator, dtype=torch.float64)
    prototypes *= torch.tensor([0.1, 0.5, 1, 2, 5, 20])[:, None, None]
    queries = torch.randn(6, 30, 12, generator=generator, dtype=torch.float64)
    found = fit(prototypes)
    for number in range(6):
        theirs = LogisticRegression(C=1.0, max_iter=10000, tol=1e-10)
        theirs.fit(prototypes[number].numpy(), range(5))
        weights = found.coefficients[number] @ prototypes[number]
        torch.testing.assert_close(weights, torch.tensor(theirs.coef_), rtol=1e-3, atol=1e-5)
        intercepts = torch.tensor(theirs.intercept_) - float(theirs.intercept_.mean())
        torch.testing.assert_close(found.intercepts[number], intercepts, rtol=1e-3, atol=1e-5)
        scores = found.scores(prototypes, queries)[number]
        assert scores.argmax(1).tolist() == theirs.predict(queries[number].numpy()).tolist()


def test_equal_prototypes_are_no_trouble():
    """All scores are equal, and finite."""
    scores = fit(torch.ones(1, 3, 4)).scores(torch.ones(1, 3, 4), torch.ones(1, 2, 4))
    torch.testing.assert_close(scores, torch.zeros_like(scores), rtol=0, atol=1e-6)


def test_episodes_together_are_what_each_is_alone():
    """Plans stop one by one, so that company changes nothing."""
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(7, 5, 8, generator=generator, dtype=torch.float64)
    queries = torch.randn(7, 20, 8, generator=generator, dtype=torch.float64)
    opta = OpTA()
    together = opta(prototypes, queries, 1).prototypes
    alone = torch.cat([opta(prototypes[[i]], queries[[i]], 1).prototypes for i in range(7)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_a_balanced_plan_gives_every_prototype_as_much():
    """Both marginals."""
    plan = episode_plans(torch.randn(3, 5, 8).double(), torch.randn(3, 20, 8).double(), tolerance=1e-12).plan
    torch.testing.assert_close(plan.sum(2), torch.full((3, 5), 0.2).double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(plan.sum(1), torch.full((3, 20), 0.05).double(), rtol=1e-5, atol=1e-6)


def test_a_relaxed_plan_satisfies_its_optimality_condition():
    """row_k (row_k / mu)^(rho / eps) is what the queries' potentials give: loops over exponentials, not logarithms."""
    epsilon, rho = 0.1, 0.3
    prototypes = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    queries = torch.randn(1, 9, 4, generator=torch.Generator().manual_seed(2)).double()
    found = episode_plans(prototypes, queries, epsilon, relaxation=rho, tolerance=1e-14, rounds=5000)
    kernel = torch.exp(-found.cost[0] / epsilon)
    a, b = torch.ones(3).double(), torch.ones(9).double()
    for _ in range(5000):
        a = ((1 / 3) / (kernel @ b)) ** (rho / (rho + epsilon))
        b = (1 / 9) / (kernel.T @ a)
    torch.testing.assert_close(found.plan[0], a[:, None] * kernel * b, rtol=1e-5, atol=1e-8)
    assert (found.plan[0].sum(1) - 1 / 3).abs().max() > 1e-3


def test_opta_helps_where_clusters_are_tight_and_one_shot_is_a_bad_guess():
    """On separated Gaussian classes, whose single support lies off the centre."""
    rows = clusters(0.9)
    drawn = draw_episodes(LABELS, 200, shots=1)
    plain, moved = run_episodes(rows, drawn, 1), run_episodes(rows, drawn, 1, OpTA())
    assert moved.accuracy.mean() > plain.accuracy.mean() + 0.03


def test_unbalanced_opta_is_better_where_queries_are_uneven():
    """The paper's OpTA insists on as many queries of each class."""
    rows = clusters(0.7)
    drawn = draw_episodes(LABELS, 200, shots=1, queries=9, imbalance=0.5)
    balanced, relaxed = (run_episodes(rows, drawn, 1, OpTA(relaxation=rho)) for rho in (None, 0.1))
    assert relaxed.accuracy.mean() > balanced.accuracy.mean()


def test_a_constant_row_is_standardised_to_zeros():
    """Not to NaN."""
    assert torch.equal(standardise(torch.ones(2, 4)), torch.zeros(2, 4))


def test_scores_are_means_and_intervals_over_episodes():
    """For each number of shots without and with OpTA; and a picture."""
    data = Digits()
    data.load()
    table = Embeddings.of(data.batch(torch.arange(len(data)))["image"].flatten(1), label=data.labels)
    evaluator = FewShot(shots=[1, 5], episodes=20, relaxation=0.5)
    found = evaluator.evaluate({"embedding": table}, data, torch.Generator())
    scores = [one for one in found if isinstance(one, Score)]
    assert [score.split for score in scores] == [
        f"5-way {shots}-shot{name}" for shots in (1, 5) for name in ("", " + OpTA", " + unbalanced OpTA")
    ]
    drawn = draw_episodes(data.labels, 20, shots=5)
    accuracy = run_episodes(table.z, drawn, 1).accuracy
    assert scores[0].mean == pytest.approx(float(accuracy.mean()))
    assert scores[0].deviation == pytest.approx(1.96 * float(accuracy.std(correction=0)) / 20**0.5)
    (picture,) = [one for one in found if isinstance(one, Images)]
    assert len(picture.cells) == 5


def test_what_can_not_be_scored_gets_a_sentence():
    """NaN, no labels, too many shots, numbers out of range."""
    data = Digits()
    z = clusters(1.0)
    with pytest.raises(ValueError, match="160 of 160"):
        FewShot().evaluate({"embedding": Embeddings.of(z * float("nan"), label=LABELS)}, data, torch.Generator())
    with pytest.raises(ValueError, match="class of every"):
        FewShot().evaluate({"embedding": Embeddings.of(z)}, data, torch.Generator())
    with pytest.raises(ValueError, match="shots = 6"):
        run_episodes(z, draw_episodes(LABELS, 2), 6)
    for wrong, word in (({"ways": 0}, "ways"), ({"shots": []}, "every shot"), ({"imbalance": -1.0}, "imbalance")):
        with pytest.raises(ValueError, match=word):
            FewShot(**wrong)


def test_classify_gives_a_way_for_each_query():
    """The nearest of prototypes that are far apart."""
    prototypes = 10 * torch.eye(3)[None]
    assert classify(prototypes, prototypes).tolist() == [[0, 1, 2]]
