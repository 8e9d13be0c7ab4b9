"""NSPT, and the token cross-entropy."""

from __future__ import annotations

import math
from typing import Literal, final

from torch import Tensor
from torch.nn.functional import cross_entropy

from contrast_core import pairwise
from contrast_core.embeddings import at_least_float32
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average
from contrast_speech.data.tokens import PAD


@final
class NSPT(Objective):
    """Negative-student positive-teacher: supervised contrastive distillation whose anchors are the rehearsal rows.

    L = mean_{k in I_r} [ log sum_{i in N_k} exp(a_k a_i / t) - mean_{p in P_k} a_k b_p / t ], a of the student, b of
    the teacher, unit rows. The positives are not in the denominator, so the value may be negative. Over the pairs of
    `speech/rehearsal-distillation` no gradient reaches b. Without an anchor it is 0.

    Args:
        pairs: name of the pairs, anchors (r rows), candidates (m rows).
        temperature: t.
        growing: multiply the term by L_p / (L_p + L_n), the share of past among all classes seen, which grows; the
            batches of a training over tasks say it.

    Shapes: anchors (r, d), candidates (m, d); the value is a scalar.

    Use: In later tasks of a sequence, with a weight near 0.1: it keeps the classes of the memory where the teacher had
        them, while new classes find their own place. From scratch the growing weight distils too strongly.

    Cost: O(r m d) in tiles, and one pass of the teacher over the r rehearsal rows.

    Parity: No code of the authors is public; plain loops, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive.

    Paper: COCONUT, arXiv 2310.02699, equation 5 as reconstructed; there the anchors' losses are summed.
    """

    def __init__(self, pairs: str = "distillation", temperature: float = 0.1, growing: bool = False):
        super().__init__()
        check_temperature(temperature)
        self.needs = (pairs, "past_share") if growing else (pairs,)
        self.pairs, self.temperature, self.growing = pairs, temperature, growing

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; an anchor without a positive or a negative is dropped and counted."""
        pairs = outputs.pairs[self.pairs]
        if not len(pairs.anchors):
            return nothing(pairs.candidates["z"])
        found = pairwise.contrast(pairs, pairs.negatives, temperature=self.temperature)
        term = average(found.denominator - found.positive, (found.weight > 0) & (found.denominator != -math.inf))
        weight = float(outputs.batch["past_share"]) if self.growing else 1.0
        return Term(term.value, term.rows, term.dropped, weight)


@final
class TokenCrossEntropy(Objective):
    """The sequence loss: L = mean over tokens of -log p(y_j | x, y_<j), padding left out.

    Args:
        table: of the field `logits` (B, l, v) and the column `target` (B, l), PAD = 0. "sequences" makes it sequence
            distillation: the targets are what the teacher said.
        per: "token" is the mean over all tokens, "sequence" the mean over rows of each row's sum, -log p(y | x).

    Shapes: see `table`; the value is a scalar.

    Use: The main loss of a sequence-to-sequence model; on the teacher's `sequences`, with weight 1, S-KD.

    Cost: O(B l v).

    Parity: torch's cross-entropy. The code of the first author's earlier systems trains padding too; this does not.

    Paper: COCONUT, arXiv 2310.02699; S-KD: Cappellazzo et al., Interspeech 2023, arXiv 2305.13899.
    """

    def __init__(self, table: str = "tokens", per: Literal["token", "sequence"] = "token"):
        super().__init__()
        self.needs = (table, f"{table}.target")
        self.table, self.per = table, per

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the table; 0 for one without rows."""
        table = outputs.tables[self.table]
        logits, target = at_least_float32(table["logits"]), table["target"]
        if not len(table):
            return nothing(logits)
        losses = cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, reduction="none")
        count = int((target != PAD).sum()) if self.per == "token" else len(target)
        return Term(losses.sum() / max(count, 1), rows=len(target))


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless it is positive."""
    if not temperature > 0:
        raise ValueError(f"The temperature must be positive, not {temperature}.")


def nothing(like: Tensor) -> Term:
    """Nothing to compare: a zero with a graph."""
    return Term((like * 0.0).sum(), rows=0)
