"""The evaluation protocol of heterogeneous-graph papers: a linear probe on few labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.checks import labelled, splits_of
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_graph.probe import probe


@final
class NodeProbe(Evaluator):
    """Logistic regression on the frozen embedding with the labels of each split, over many initialisations.

    Macro-F1 is the test score at the step of best validation Macro-F1; Micro-F1 and AUC those at the step of best
    validation Micro-F1. The deviation is over initialisations, so it says nothing about other seeds of training.

    Args:
        learning_rate, weight_decay, steps: of Adam on all labelled nodes at once.
        initialisations: how many probes are trained, all in one batch.

    Raises:
        ValueError: if steps or initialisations are below 1; in use, if the embedding is not finite, the data set has
            no labels or no splits, or a part of a split has no labelled node.

    Paper: the protocol of HeCo (KDD 2021), MEOW and AdaMEOW.
    """

    needs = ("embedding", "embedding.label")

    def __init__(
        self,
        learning_rate: float = 0.03,
        weight_decay: float = 0.0,
        steps: int = 200,
        initialisations: int = 50,
    ):
        if steps < 1 or initialisations < 1:
            raise ValueError(f"steps = {steps} and initialisations = {initialisations} must be at least 1.")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.steps, self.initialisations = steps, initialisations

    def evaluate(self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator) -> Sequence[Score]:
        """Three scores a split, of the nodes with a known label."""
        embedding = tables["embedding"]
        labels = labelled(embedding, data).labels
        found = probe(
            embedding.z,
            labels,
            splits_of(data, (), labels, val=True),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            steps=self.steps,
            initialisations=self.initialisations,
            generator=generator,
        )
        metrics = (("Macro-F1", "macro_f1"), ("Micro-F1", "micro_f1"), ("AUC", "auc"))
        return [
            Score(
                title,
                getattr(scores, field).mean,
                getattr(scores, field).std,
                f"{name} labels" if name.isdecimal() else name,
            )
            for title, field in metrics
            for name, scores in found.items()
        ]
