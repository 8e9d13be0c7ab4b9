"""Evaluation of node embeddings: a linear probe, all initialisations at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor


@final
class Metrics(NamedTuple):
    """Scores of one classifier, as fractions."""

    macro_f1: float
    micro_f1: float
    auc: float


@final
class Spread(NamedTuple):
    """Mean and (population) standard deviation over the initialisations."""

    mean: float
    std: float


@final
class ProbeScores(NamedTuple):
    """Test scores of the linear probe on one split, as fractions."""

    macro_f1: Spread
    micro_f1: Spread
    auc: Spread


def probe(
    embedding: Tensor,
    labels: Any,
    splits: Mapping[str, tuple[Any, Any, Any]],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    steps: int = 200,
    initialisations: int = 50,
    generator: torch.Generator,
) -> dict[str, ProbeScores]:
    """Logistic regression on frozen embeddings, the protocol of HeCo, MEOW and AdaMEOW.

    logits = z W + b, W Xavier-uniform, b = 0, cross-entropy on the training nodes, Adam, full batch. After
    every step the probe is scored on the validation nodes. Reported are the test Macro-F1 at the (first) step
    of best validation Macro-F1, and the test Micro-F1 and AUC at the step of best validation Micro-F1. All
    initialisations are one batched tensor, which gives the same numbers as training them one after the other.

    Args:
        embedding: z, (N, d), detached here.
        labels: (N,) integers; any values, e.g. 1..C; a negative one is no class but an unknown label.
        splits: for every name the node indices (train, validation, test); repeated indices count repeatedly.
        learning_rate: of Adam.
        weight_decay: of Adam (L2, on W and b).
        steps: number of full-batch steps, at least 1.
        initialisations: number of probes.
        generator: draws the initial W.

    Returns:
        The scores of each split.

    Raises:
        ValueError: the embedding has NaN or Inf, does not fit the labels, or a split is empty or has a node of
            unknown label.
    """
    embedding, target, classes = _check(embedding, labels)
    scores: dict[str, ProbeScores] = {}
    for name, indices in splits.items():
        parts = [torch.as_tensor(np.asarray(part), dtype=torch.long, device=embedding.device) for part in indices]
        if min(len(part) for part in parts) == 0:
            raise ValueError(f"Split {name!r} has an empty part; give training, validation and test nodes.")
        if min(int(target[part].min()) for part in parts) < 0:
            raise ValueError(f"Split {name!r} has nodes of unknown label; leave them out.")
        train, validation, test = ((embedding[part], target[part]) for part in parts)
        bound = sqrt(6 / (embedding.shape[1] + classes))
        shape = (classes, initialisations, embedding.shape[1])
        noise = torch.rand(shape, generator=generator, device=generator.device, dtype=embedding.dtype)
        weight = ((2 * noise - 1) * bound).to(embedding.device)
        best = _train(weight, train, validation, learning_rate, weight_decay, steps)
        by_macro = torch.softmax(_logits(*best[0], test[0]).double(), 0)
        by_micro = torch.softmax(_logits(*best[1], test[0]).double(), 0)
        values = (
            _f1(by_macro.max(0).indices, test[1], classes)[0],
            _f1(by_micro.max(0).indices, test[1], classes)[1],
            _auc(by_micro, test[1]),
        )
        scores[name] = ProbeScores(*(Spread(v.mean().item(), v.std(correction=0).item()) for v in values))
    return scores


def classification_metrics(logits: Tensor, labels: Any) -> Metrics:
    """Macro-F1, Micro-F1 and one-vs-rest macro AUC of softmax(logits), as scikit-learn defines them.

    Macro-F1 averages over the classes that occur among labels or predictions; AUC over the classes that have
    both positives and negatives (scikit-learn refuses a missing class; it is left out here, and AUC is NaN if
    none is left).

    Args:
        logits: (n, C).
        labels: (n,) integers in 0..C-1.

    Raises:
        ValueError: the shapes do not fit or a label lies outside 0..C-1.
    """
    target = torch.as_tensor(labels, device=logits.device).long()
    if logits.dim() != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"Logits {tuple(logits.shape)} and labels {tuple(target.shape)} do not fit; use (n, C) and (n,)."
        )
    if target.numel() == 0 or target.min() < 0 or target.max() >= logits.shape[1]:
        raise ValueError(f"There must be labels, all in 0..{logits.shape[1] - 1}; renumber the classes.")
    probability = torch.softmax(logits.detach().double(), 1).t().unsqueeze(1)
    macro, micro = _f1(probability.max(0).indices, target, logits.shape[1])
    return Metrics(macro.item(), micro.item(), _auc(probability, target).item())


def _check(embedding: Tensor, labels: Any) -> tuple[Tensor, Tensor, int]:
    """The detached embedding, the labels as 0..C-1 or -1 where they are negative, and C."""
    embedding = embedding.detach()
    given = torch.as_tensor(labels, device=embedding.device)
    values = torch.unique(given[given >= 0])
    target = torch.searchsorted(values, given).masked_fill(given < 0, -1)
    if embedding.dim() != 2 or target.shape != embedding.shape[:1]:
        raise ValueError(
            f"Embedding {tuple(embedding.shape)} and labels {tuple(target.shape)} do not fit; use (N, d) and (N,)."
        )
    if not torch.isfinite(embedding).all():
        raise ValueError("The embedding contains NaN or Inf; check the training before evaluating it.")
    return embedding, target, len(values)


def _logits(weight: Tensor, bias: Tensor, rows: Tensor) -> Tensor:
    """(C, I, n) logits: the small class axis comes first, so that reductions over it are vectorised."""
    return (weight.flatten(0, 1) @ rows.t()).view(*weight.shape[:2], -1) + bias


def _train(
    weight: Tensor,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    learning_rate: float,
    weight_decay: float,
    steps: int,
) -> list[tuple[Tensor, Tensor]]:
    """(W, b) at the steps of best validation Macro-F1 and Micro-F1, chosen for every initialisation."""
    classes, probes, _ = weight.shape
    weight.requires_grad_()
    bias = weight.new_zeros(classes, probes, 1).requires_grad_()
    # Adam works entry by entry, so the sum of the losses trains every probe as if it were alone.
    optimiser = torch.optim.Adam([weight, bias], lr=learning_rate, weight_decay=weight_decay)
    own = train[1].expand(1, probes, -1)
    best = [(weight.detach().clone(), bias.detach().clone()) for _ in range(2)]
    best_score = torch.full((2, probes), -1.0, dtype=torch.float64, device=weight.device)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = -_logits(weight, bias, train[0]).log_softmax(0).gather(0, own).mean(2).sum()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            # ten times as fast as argmax along this axis
            predicted = _logits(weight, bias, validation[0]).max(0).indices
            score = torch.stack(_f1(predicted, validation[1], classes))
            better = score > best_score
            best_score = torch.where(better, score, best_score)
            for which, (old_weight, old_bias) in enumerate(best):
                mask = better[which, :, None]
                best[which] = torch.where(mask, weight, old_weight), torch.where(mask, bias, old_bias)
    return best


def _f1(predicted: Tensor, target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Macro- and Micro-F1, (I,) each, of predictions (I, n) for labels (n,)."""
    probes, n = predicted.shape
    probe = torch.arange(probes, device=predicted.device).unsqueeze(1)
    cell = (probe * classes + predicted) * classes + target
    confusion = torch.bincount(cell.flatten(), minlength=probes * classes**2).view(probes, classes, classes)
    hits = confusion.diagonal(dim1=1, dim2=2).double()
    marked = (confusion.sum(1) + confusion.sum(2)).double()  # predicted plus true members of each class
    macro = (2 * hits / marked.clamp(min=1)).sum(1) / (marked > 0).sum(1)
    return macro, hits.sum(1) / n


def _auc(scores: Tensor, target: Tensor) -> Tensor:
    """One-vs-rest AUC, (I,), of scores (C, I, n): (rank sum of positives - p(p + 1)/2) / (p (n - p))."""
    values = []
    for own, score in enumerate(scores):
        positive = target == own
        count = int(positive.sum())
        if not 0 < count < len(target):
            continue
        ordered = score.sort(1).values
        score = score.contiguous()
        below, upto = torch.searchsorted(ordered, score), torch.searchsorted(ordered, score, right=True)
        ranks = (below + upto + 1).double()[:, positive].sum(1) / 2
        values.append((ranks - count * (count + 1) / 2) / (count * (len(target) - count)))
    return torch.stack(values).mean(0) if values else scores.new_full((scores.shape[1],), torch.nan)
