"""Who is compared with whom: rehearsal against the teacher, audio against text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where


@final
class RehearsalDistillation(PairSampler):
    """Rehearsal rows of the student meet the teacher's rows of their class, and are set against the student's.

    Anchors: the r rehearsal rows of the student's table. Candidates: all n rows of it, and the teacher's rows.
    Positives: the teacher's rehearsal rows of the anchor's class, the anchor's own recording included. Negatives: all
    of the student's rows, those of the class and of the new classes included, but for the anchor itself. Without
    rehearsal or without a teacher there is no anchor. Which rows are rehearsal, and the teacher, are what a recipe's
    section [tasks] and `core/task-teacher` add.

    Args:
        table: the student's table; its teacher's is TABLE-teacher.
        negatives: "student" (NSPT), or "teacher" (NTPT, the weaker variant), whose teacher has to listen to all rows.
        include_self_positive: whether the teacher's row of the anchor's own recording is a positive. With a small
            memory few anchors have another one.
        include_self_negative: whether the anchor stands in its own denominator.
        name: under which the pairs go on.

    Paper: COCONUT, arXiv 2310.02699. The anchors, and which side positives and negatives come from, are known from the
    abstract and reviews; what the two switches default to is a decision of this package.
    """

    def __init__(
        self,
        table: str = "audio",
        negatives: Literal["student", "teacher"] = "student",
        include_self_positive: bool = True,
        include_self_negative: bool = False,
        name: str = "distillation",
    ):
        super().__init__()
        self.table, self.negatives, self.name = table, negatives, name
        self.include_self_positive, self.include_self_negative = include_self_positive, include_self_negative
        columns = ("", ".label", ".rehearsal", ".sample")
        self.needs = tuple(f"{each}{column}" for each in (table, f"{table}-teacher") for column in columns)
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """The pairs."""
        student = flow[self.table].with_columns(source="student")
        teacher = flow[f"{self.table}-teacher"].with_columns(source="teacher")
        # Without a teacher nobody is an anchor.
        chosen = (student["rehearsal"] == 1) & (len(teacher) > 0)
        positives = same("label") & where("source", "teacher") & where("rehearsal", 1)
        negatives = where("source", self.negatives)
        if not self.include_self_positive:
            positives = positives & ~same("sample")
        if not self.include_self_negative:
            negatives = negatives & ~same("sample")
        return {self.name: Pairs(student.select(chosen), cat([student, teacher]), positives, negatives)}


@final
class AudioText(PairSampler):
    """Audio against text and text against audio, by class: pairs `audio-text` and `text-audio`.

    Anchors: the rows of the current task, of one modality. Candidates: all n rows of the other modality. Positives are
    of the same class, the anchor's own utterance included; negatives are of other classes. Rehearsal rows are
    candidates and no anchors, unless wanted. In the first task all rows are anchors.

    Args:
        audio, text: names of the tables.
        memory_anchors: whether rehearsal rows are anchors too.

    Paper: COCONUT, arXiv 2310.02699, its multimodal loss, as far as it could be reconstructed.
    """

    gives = ("audio-text", "text-audio")

    def __init__(self, audio: str = "audio", text: str = "text", memory_anchors: bool = False):
        super().__init__()
        self.audio, self.text, self.memory_anchors = audio, text, memory_anchors
        columns = ("", ".label", ".rehearsal")
        self.needs = tuple(f"{table}{column}" for table in (audio, text) for column in columns)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Both directions."""
        audio, text = flow[self.audio], flow[self.text]
        made = {}
        for name, ours, theirs in (("audio-text", audio, text), ("text-audio", text, audio)):
            anchors = ours if self.memory_anchors else ours.select(ours["rehearsal"] == 0)
            made[name] = Pairs(anchors, theirs, same("label"), ~same("label"))
        return made
