"""Scores of continual learning: the task matrix, average and last accuracy, forgetting, word error rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure, Lines, Matrix
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_speech.data.component import Spoken
from contrast_speech.data.tokens import SPECIAL, word_errors


@final
class OverTasks(Evaluator):
    """What the model knew after each task, of the test utterances, by the first decoded token of the whole vocabulary.

    With a_nk the accuracy after task n on the intents of task k <= n, and A_n that on all intents seen so far:

        average accuracy = mean_n A_n          last accuracy = A_N
        forgetting = mean_{k < N} (max_{n < N} a_nk - a_Nk)        backward transfer = mean_{k < N} (a_Nk - a_kk)

    The word error rate is the last model's, greedily decoded, (insertions + deletions + substitutions) / words, over
    test utterances with a transcript. Nothing tells the model which task an utterance is of.

    A run that has not reached the last task is judged on those that it has.

    Raises:
        ValueError: if the data are not `speech/spoken`, or the embedding is not finite.

    Papers: arXiv 2310.02699 (average and last accuracy); Chaudhry et al., arXiv 1801.10112 (forgetting); Lopez-Paz and
    Ranzato, arXiv 1706.08840 (backward transfer).
    """

    needs = ("embedding", "intent", "intent.after", "intent.said")

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """The scores in per cent of 1, the matrix and the accuracy over tasks; nothing is drawn at random."""
        if not isinstance(data, Spoken):
            raise ValueError(f"Scores over tasks need the data speech/spoken, not {type(data).__name__}.")
        if not bool(tables["embedding"].z.isfinite().all()):
            raise ValueError("The embedding is NaN or infinite; what is decoded from it means nothing.")
        (split,) = data.splits.values()
        rows = torch.isin(tables["embedding"]["sample"], split.test)
        items = tables["embedding"]["sample"][rows]
        said, after = tables["intent"]["said"][rows], tables["intent"]["after"][rows]
        # A run that is not at its end is judged on the tasks that it has reached.
        after = after[:, : max(1, int((after[:1] >= 0).sum()))]
        task, right = data.in_tasks.of_item[items], after == SPECIAL + data.labels[items][:, None]
        matrix, seen = task_matrix(task, right)
        scores = [Score("Average accuracy", float(seen.mean())), Score("Last accuracy", float(seen[-1]))]
        if len(matrix) > 1:
            earlier = matrix[:-1, :-1]
            best = torch.where(earlier.isnan(), 0.0, earlier).amax(0)
            lost, moved = best - matrix[-1, :-1], matrix[-1, :-1] - earlier.diagonal()
            scores += [Score("Forgetting", float(lost.nanmean())), Score("Backward transfer", float(moved.nanmean()))]
        scores += [Score(f"Accuracy after task {n}", float(each)) for n, each in enumerate(seen, 1)]
        if (rate := self._word_error_rate(said, items, data)) is not None:
            scores.append(Score("Word error rate", rate))
        names = [f"task {n}" for n in range(1, len(matrix) + 1)]
        steps = list(range(1, len(matrix) + 1))
        return [
            *scores,
            Matrix("Accuracy by task", "A row is what was known after a task, a column is a task's own intents.",
                   matrix, [f"after {name}" for name in names], names, "after \\ on"),
            Lines("Accuracy over tasks", "Accuracy on all intents seen so far.",
                  {"all seen": (steps, seen.tolist())}, x="task"),
        ]  # fmt: skip

    def _word_error_rate(self, said: Tensor, items: Tensor, data: Spoken) -> float | None:
        errors = words = 0
        for tokens, item in zip(said.tolist(), items.tolist(), strict=True):
            written = data.transcripts[item]
            if written is not None:
                wrong, count = word_errors(data.found.vocabulary.words(tokens), written)
                errors, words = errors + wrong, words + count
        return errors / words if words else None


def task_matrix(task: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """(a_nk, (N, N), NaN where k > n or task k has no item; A_n, (N,)), float64.

    Args:
        task: the task of each item, (n,); right: whether the model after each task is right, (n, N).
    """
    count = right.shape[1]
    matrix = torch.full((count, count), float("nan"), dtype=torch.float64)
    seen = torch.zeros(count, dtype=torch.float64)
    for n in range(count):
        known = task <= n
        seen[n] = right[known, n].double().mean()
        for k in range(n + 1):
            matrix[n, k] = right[task == k, n].double().mean()
    return matrix, seen
