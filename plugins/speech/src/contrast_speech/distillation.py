"""What the student may keep of its teacher: distributions or logits of tokens, logits of the intent, features."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch.nn.functional import kl_div, log_softmax

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_speech.data.tokens import PAD, SPECIAL
from contrast_speech.objectives import check_temperature, nothing


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
            return nothing(outputs.tables[self.table]["logits"])
        known = (student["target"] != PAD).to(ours.dtype)
        if self.kind == "squared":
            losses = (ours - theirs).square().mean(2)
        else:
            losses = -(theirs.softmax(2) * log_softmax(ours, 2)).sum(2)
        return Term((losses * known).sum() / known.sum(), rows=len(student))


@final
class LogitDistillation(Objective):
    """Learning without forgetting: L = t^2 / (r v) sum_k KL(softmax(teacher_k / t) || softmax(student_k / t)).

    Over the first v logits, v being how many the teacher has, or over those of them that are no new intent's.

    Args:
        table: of logits z (B, c); its teacher's is TABLE-teacher, (r, v), v <= c.
        temperature: t.
        per: divide by r v ("element", as the authors' torch reduction does) or by r ("row").
        without_new: leave out, on both sides, the tokens of intents that the batch has in rows that are no rehearsal.
            The teacher never heard them and gives them nothing; held to that, the student could not learn them.

    Shapes: see `table`; the value is a scalar.

    Use: On the first decoded token, rehearsal rows (CL_SLU) or all rows (LwF: `rows = "all"` of `core/task-teacher`),
        both `without_new`.

    Cost: O(r v), and one pass of the teacher over r rows.

    Parity: get_kdloss_onlyrehe and get_kdloss of umbertocappellazzo/SLURP_CL_example, value and gradient to 1e-10 in
        float64; their factors alpha are the recipe's weights.

    Raises:
        ValueError: if the temperature is not positive, or rows of the teacher are not rows of the student.

    Papers: Li and Hoiem, arXiv 1606.09282 (LwF); Cappellazzo et al., arXiv 2305.13899.
    """

    def __init__(
        self,
        table: str = "intent",
        temperature: float = 2.0,
        per: Literal["element", "row"] = "element",
        without_new: bool = False,
    ):
        super().__init__()
        check_temperature(temperature)
        columns = ("sample", "label", "rehearsal") if without_new else ("sample",)
        self.needs = (*(f"{table}.{column}" for column in columns), f"{table}-teacher.sample")
        self.table, self.temperature, self.per, self.without_new = table, temperature, per, without_new

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the table; 0 without a teacher."""
        student, teacher = _counterparts(outputs, self.table)
        if not len(student):
            return nothing(outputs.tables[self.table].z)
        theirs = at_least_float32(teacher.z) / self.temperature
        ours = at_least_float32(student.z)[:, : theirs.shape[1]] / self.temperature
        if self.without_new:
            table = outputs.tables[self.table]
            old = torch.ones(theirs.shape[1], dtype=torch.bool, device=theirs.device)
            old[SPECIAL + table["label"][table["rehearsal"] == 0]] = False
            theirs, ours = theirs[:, old], ours[:, old]
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
            return nothing(outputs.tables[self.table].z)
        return Term((student.z - teacher.z).square().mean(), rows=len(student))


def _counterparts(outputs: Outputs, table: str) -> tuple[Embeddings, Embeddings]:
    """The student's rows of the samples that the teacher has rows of, and those, in the order of the samples."""
    student, teacher = outputs.tables[table], outputs.tables[f"{table}-teacher"]
    student = student.select(torch.isin(student["sample"], teacher["sample"]))
    found, taught = (each.select(each["sample"].argsort(stable=True)) for each in (student, teacher))
    if not torch.equal(found["sample"], taught["sample"]):
        raise ValueError(f"The rows of '{table}-teacher' are not those of samples of '{table}'.")
    return found, taught
