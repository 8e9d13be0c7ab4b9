"""The evaluator: accuracy over episodes, without and with OpTA."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_fewshot.drawing import Episodes, draw_episodes
from contrast_fewshot.opta import OpTA, classify, standardise
from contrast_fewshot.picture import episode_picture

UNLABELLED = "Episodes need the class of every embedded item; the data set gives no labels."
CHUNK = 2**24
"""Numbers of queries that are held at a time."""


class Accuracies(NamedTuple):
    """The accuracy of each episode, (E,), and the predicted ways, (E, q)."""

    accuracy: Tensor
    predicted: Tensor

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval of the mean, 1.96 deviations over the root of E."""
        return 1.96 * float(self.accuracy.std(correction=0)) / math.sqrt(len(self.accuracy))


def run_episodes(rows: Tensor, episodes: Episodes, shots: int, opta: OpTA | None = None) -> Accuracies:
    """Classify the queries of all episodes from the first `shots` supports of each class.

    Rows are standardised, a class's prototype is the mean of its supports, `opta` moves the prototypes, and a logistic
    regression on the prototypes decides; see `OpTA` and `classify`.

    Args:
        rows: (n, d), floating: the embedding.
        episodes: of E episodes, with at least so many shots.
        shots: at least 1.
        opta: left out, each query is classified by itself (inductive).

    Raises:
        ValueError: if there are not so many shots.
    """
    if not 1 <= shots <= episodes.support.shape[2]:
        raise ValueError(f"shots = {shots} must be from 1 to {episodes.support.shape[2]}, as many as were drawn.")
    z = standardise(rows)
    size = max(1, CHUNK // (episodes.query.shape[1] * z.shape[1]))
    predicted = []
    for support, query in zip(episodes.support.split(size), episodes.query.split(size), strict=True):
        queries = z[query]
        prototypes = z[support[:, :, :shots]].mean(2)
        if opta is not None:
            prototypes = opta(prototypes, queries, shots).prototypes
        predicted.append(classify(prototypes, queries))
    ways = torch.cat(predicted)
    return Accuracies((ways == episodes.way).double().mean(1), ways)


@final
class FewShot(Evaluator):
    """Accuracy of classifying queries of w classes, of which a few examples are given, over many episodes.

    For every number of shots, a score without OpTA (inductive: each query alone), one with it (transductive: the
    queries of an episode together), and with a `relaxation` a third, whose OpTA does not insist on as many queries of
    each class. Always compare scores of one kind. The deviation is half the 95 % interval of the mean over episodes,
    1.96 std / sqrt(E).

    Episodes depend on the labels and on `seed` alone, not on a run's seed: all methods meet the same ones, and their
    differences can be compared episode by episode (`run_episodes`). Accuracies are fractions.

    Args:
        ways, queries: classes an episode, and queries of each.
        shots: examples of each class; fewer shots are the first of the most.
        episodes: how many.
        seed: of the episodes.
        imbalance: alpha of a Dirichlet distribution by which the queries are parted among the classes; left out, each
            class has as many.
        opta: also with OpTA.
        passes: of OpTA for one shot; ratio, epsilon: see `OpTA`.
        relaxation: also with OpTA whose marginal of the classes is held by so much only, see `episode_plans`.
        picture: the input to draw, if the data have it; the report then shows one episode.

    Raises:
        ValueError: for numbers out of range; in use, if there are too few classes or items, or the embedding is not
            finite.

    Papers: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444; imbalanced queries: Veilleux et
    al., Realistic Evaluation of Transductive Few-Shot Learning, NeurIPS 2021, arXiv 2204.11181.
    """

    needs = ("embedding", "embedding.label")

    def __init__(
        self,
        ways: int = 5,
        shots: Sequence[int] = (1, 5),
        queries: int = 15,
        episodes: int = 600,
        seed: int = 0,
        imbalance: float | None = None,
        opta: bool = True,
        passes: int = 5,
        ratio: float = 0.7,
        epsilon: float = 0.05,
        relaxation: float | None = None,
        picture: str = "image",
    ):
        if not shots or min(shots) < 1 or min(ways, queries, episodes) < 1:
            raise ValueError(
                f"ways = {ways}, queries = {queries}, episodes = {episodes} and every shot of {list(shots)} must be at "
                "least 1."
            )
        if imbalance is not None and imbalance <= 0:
            raise ValueError(f"imbalance = {imbalance} must be more than 0; 2 is usual, and less is less even.")
        self.ways, self.shots, self.queries, self.episodes, self.seed = ways, tuple(shots), queries, episodes, seed
        self.imbalance, self.picture = imbalance, picture
        self.methods: dict[str, OpTA | None] = {"": None}
        if opta:
            self.methods[" + OpTA"] = OpTA(one_shot=passes, ratio=ratio, epsilon=epsilon)
        if relaxation is not None:
            relaxed = OpTA(one_shot=passes, ratio=ratio, epsilon=epsilon, relaxation=relaxation)
            self.methods[" + unbalanced OpTA"] = relaxed

    def check(self, data: Data) -> None:
        """Raise ValueError if no episode can be drawn: too few classes, or too few items of one."""
        if data.labels is None:
            raise ValueError(UNLABELLED)
        items = data.evaluation_items
        self._drawn(data.labels if items is None else data.labels[items], data, 1)

    def _drawn(self, labels: Tensor, data: Data, episodes: int) -> Episodes:
        shots, classes = max(self.shots), data.classes
        return draw_episodes(labels, episodes, self.ways, shots, self.queries, self.seed, self.imbalance, classes)

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """Scores for each number of shots, and a picture of one episode."""
        table = tables["embedding"]
        rows = table.z.detach().flatten(1)
        if not bool(rows.isfinite().all()):
            bad = int((~rows.isfinite().all(1)).sum())
            raise ValueError(
                f"The embedding of {bad} of {len(rows)} items is NaN or infinite; there is nothing to score."
            )
        labels = table["label"].cpu() if "label" in table else data.labels
        if labels is None or len(labels) != len(rows):
            raise ValueError(UNLABELLED)
        drawn = self._drawn(labels, data, self.episodes)
        found: list[Score | Figure] = []
        for shots in self.shots:
            for name, opta in self.methods.items():
                one = run_episodes(rows, drawn, shots, opta)
                split = f"{self.ways}-way {shots}-shot{name}"
                found.append(Score("Accuracy", float(one.accuracy.mean()), one.interval, split))
        picture = episode_picture(rows, drawn, data, table, self.picture, self.methods.get(" + OpTA"))
        return found if picture is None else [*found, picture]
