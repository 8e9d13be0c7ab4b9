"""NSPT and the terms beside it: token cross-entropy and four ways of distillation."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings, at_least_float32
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
        _positive(temperature)
        self.needs = (pairs, "past_share") if growing else (pairs,)
        self.pairs, self.temperature, self.growing = pairs, temperature, growing

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs; an anchor without a positive or a negative is dropped and counted."""
        pairs = outputs.pairs[self.pairs]
        if not len(pairs.anchors):
            return _nothing(pairs.candidates["z"])
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
            return _nothing(logits)
        losses = cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, reduction="none")
        count = int((target != PAD).sum()) if self.per == "token" else len(target)
        return Term(losses.sum() / max(count, 1), rows=len(target))


@final
class TokenDistillation(Objective):
    """The teacher's word on every token, along the true prefix, of the rows that it listened to:

        cross-entropy: L = mean -sum_v p_T(v | x, y_<j) log p(v | x, y_<j)        (token-KD)
        squared:       L = mean (l_v - l_Tv)^2 over tokens and vocabulary         (dark experience replay's term)

    Args:
        table: of the field `logits` (B, l, v); its teacher's is TABLE-teacher.
        kind: as above.

    Shapes: logits (B, l, v), the teacher's (r, l', v), of which the columns common to both count; a scalar.

    Use: Beside rehearsal; cheap and strong. Dark experience replay proper compares with the logits at the time of
        storing, this with those of the model after the task before: hence "DER-like".

    Cost: O(r l v), and one pass of the teacher over r rows.

    Parity: plain loops; values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if rows of the teacher are not rows of the student.

    Papers: Cappellazzo et al., arXiv 2305.13899 (token-KD); Buzzega et al., arXiv 2004.07211 (DER).
    """

    def __init__(self, table: str = "tokens", kind: Literal["cross-entropy", "squared"] = "cross-entropy"):
        super().__init__()
        self.needs = (f"{table}.sample", f"{table}.target", f"{table}-teacher.sample")
        self.table, self.kind = table, kind

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the table; 0 without a teacher."""
        student, teacher = _counterparts(outputs, self.table)
        ours, theirs = at_least_float32(student["logits"]), at_least_float32(teacher["logits"])
        if not len(student):
            return _nothing(outputs.tables[self.table]["logits"])
        known = (student["target"] != PAD).to(ours.dtype)
        if self.kind == "squared":
            losses = (ours - theirs).square().mean(2)
        else:
            losses = -(theirs.softmax(2) * log_softmax(ours, 2)).sum(2)
        return Term((losses * known).sum() / known.sum(), rows=len(student))


@final
class LogitDistillation(Objective):
    """Learning without forgetting: L = t^2 / (r v) sum_k KL(softmax(teacher_k / t) || softmax(student_k / t)).

    Over the first v logits, v being how many the teacher has.

    Args:
        table: of logits z (B, c); its teacher's is TABLE-teacher, (r, v), v <= c.
        temperature: t.
        per: divide by r v ("element", as the authors' torch reduction does) or by r ("row").

    Shapes: see `table`; the value is a scalar.

    Use: On the first decoded token, rehearsal rows (CL_SLU) or all rows (LwF: `rows = "all"` of `core/task-teacher`).

    Cost: O(r v), and one pass of the teacher over r rows.

    Parity: get_kdloss_onlyrehe and get_kdloss of umbertocappellazzo/SLURP_CL_example, value and gradient to 1e-10 in
        float64; their factors alpha are the recipe's weights.

    Raises:
        ValueError: if the temperature is not positive, or rows of the teacher are not rows of the student.

    Papers: Li and Hoiem, arXiv 1606.09282 (LwF); Cappellazzo et al., arXiv 2305.13899.
    """

    def __init__(self, table: str = "intent", temperature: float = 2.0, per: Literal["element", "row"] = "element"):
        super().__init__()
        _positive(temperature)
        self.needs = (f"{table}.sample", f"{table}-teacher.sample")
        self.table, self.temperature, self.per = table, temperature, per

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the table; 0 without a teacher."""
        student, teacher = _counterparts(outputs, self.table)
        if not len(student):
            return _nothing(outputs.tables[self.table].z)
        theirs = at_least_float32(teacher.z) / self.temperature
        ours = at_least_float32(student.z)[:, : theirs.shape[1]] / self.temperature
        total = kl_div(log_softmax(ours, 1), log_softmax(theirs, 1), reduction="sum", log_target=True)
        count = theirs.numel() if self.per == "element" else len(theirs)
        return Term(self.temperature**2 * total / count, rows=len(student))


@final
class FeatureDistillation(Objective):
    """L = mean_k |z_k - z_Tk|^2 / d over the rows that the teacher listened to.

    Args:
        table: of z (B, d); its teacher's is TABLE-teacher.

    Shapes: see `table`; the value is a scalar.

    Use: On the pooled states of the audio encoder: audio-KD. It holds the features where they were, unlike NSPT, which
        holds them relative to each other.

    Cost: O(r d), and one pass of the teacher over r rows.

    Parity: plain loops; values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if rows of the teacher are not rows of the student.

    Paper: Cappellazzo et al., arXiv 2305.13899 (audio-KD).
    """

    def __init__(self, table: str = "embedding"):
        super().__init__()
        self.needs = (f"{table}.sample", f"{table}-teacher.sample")
        self.table = table

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the table; 0 without a teacher."""
        student, teacher = _counterparts(outputs, self.table)
        if not len(student):
            return _nothing(outputs.tables[self.table].z)
        return Term((student.z - teacher.z).square().mean(), rows=len(student))


def _positive(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"The temperature must be positive, not {temperature}.")


def _nothing(like: Tensor) -> Term:
    """Nothing to compare: a zero with a graph."""
    return Term((like * 0.0).sum(), rows=0)


def _counterparts(outputs: Outputs, table: str) -> tuple[Embeddings, Embeddings]:
    """The student's rows of the samples that the teacher has rows of, and those, in the order of the samples."""
    student, teacher = outputs.tables[table], outputs.tables[f"{table}-teacher"]
    student = student.select(torch.isin(student["sample"], teacher["sample"]))
    found, taught = (each.select(each["sample"].argsort(stable=True)) for each in (student, teacher))
    if not torch.equal(found["sample"], taught["sample"]):
        raise ValueError(f"The rows of '{table}-teacher' are not those of samples of '{table}'.")
    return found, taught
