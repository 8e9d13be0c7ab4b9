"""What is decoded against what was said: intents and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_speech.data.component import Spoken
from contrast_speech.data.tokens import SPECIAL, word_errors


@final
class Decoding(Evaluator):
    """Of the test utterances the intent, by the first decoded token of the whole vocabulary, and the words.

        Intent accuracy = share of utterances with argmax_v p(v | x, SOS) = the intent's token
        Word error rate = (insertions + deletions + substitutions) / words, greedily decoded

    The word error rate is over test utterances with a transcript; without any, it is left out. Nothing tells the model
    which intents may come. In a training over tasks, `[tasks] measure = ["NAME/Intent accuracy"]` takes the first one
    after each task, on each task so far.

    Raises:
        ValueError: if the data are not `speech/spoken`, or what is decoded is not finite.

    Paper: COCONUT, arXiv 2310.02699.
    """

    needs = ("embedding", "intent", "intent.said")

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """Both scores as shares of 1; nothing is drawn at random."""
        if not isinstance(data, Spoken):
            raise ValueError(f"Intents and words are decoded of the data speech/spoken, not of {type(data).__name__}.")
        for name in ("embedding", "intent"):
            if not bool(tables[name].z.isfinite().all()):
                raise ValueError(f"The table '{name}' is NaN or infinite; what is decoded from it means nothing.")
        (split,) = data.splits.values()
        rows = torch.isin(tables["embedding"]["sample"], split.test)
        items = tables["embedding"]["sample"][rows]
        right = tables["intent"].z[rows].argmax(1) == SPECIAL + data.labels[items]
        scores = [Score("Intent accuracy", float(right.double().mean()))]
        if (rate := _word_error_rate(tables["intent"]["said"][rows], items, data)) is not None:
            scores.append(Score("Word error rate", rate))
        return scores


def _word_error_rate(said: Tensor, items: Tensor, data: Spoken) -> float | None:
    errors = words = 0
    for tokens, item in zip(said.tolist(), items.tolist(), strict=True):
        written = data.transcripts[item]
        if written is not None:
            wrong, count = word_errors(data.found.vocabulary.words(tokens), written)
            errors, words = errors + wrong, words + count
    return errors / words if words else None
