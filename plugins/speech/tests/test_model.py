"""The model, what its teacher says, and words."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrast_core.encoders.task_teacher import TaskTeacher
from contrast_speech.data.tokens import EOS, PAD, SEP, SOS, Vocabulary, word_errors
from contrast_speech.encoder import Seq2Seq
from contrast_speech.transcripts import TaughtSequences

SMALL = {"width": 16, "heads": 2, "layers": 1, "feed_forward": 16, "dimension": 8, "longest": 5}


def flow(later: bool = False) -> dict[str, Tensor]:
    """A batch of features with two rehearsal rows, if it is of a later task."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.tensor([20, 9, 13, 7])
    features = torch.randn(4, 20, 6, generator=generator) * (torch.arange(20) < frames[:, None])[..., None]
    return {
        "features": features, "frames": frames, "label": torch.tensor([0, 1, 0, 2]), "sample": torch.arange(4),
        "rehearsal": torch.tensor([0, 1, 0, 1]) * int(later),
        "target": torch.tensor([[SOS, 4, SEP, 7, EOS], [SOS, 5, SEP, EOS, PAD]]).repeat(2, 1),
        "vocabulary": torch.tensor(9),
    }  # fmt: skip


def model() -> Seq2Seq:
    """A small model, prepared."""
    torch.manual_seed(0)
    made = Seq2Seq(**SMALL)  # type: ignore[arg-type]
    made.prepare(flow())
    return made


def taught(**options: object) -> TaughtSequences:
    """A small model with a teacher, prepared."""
    torch.manual_seed(0)
    made = TaughtSequences(TaskTeacher(Seq2Seq(**SMALL), **options))  # type: ignore[arg-type]
    made.prepare(flow())
    return made


def test_padding_changes_nothing() -> None:
    """A recording alone, cut to its own frames, has the same tables."""
    made = model().eval()
    together = made(flow())
    alone = {key: value[1:2] if value.dim() else value for key, value in flow().items()}
    alone = {**alone, "features": alone["features"][:, :9], "target": alone["target"][:, :4]}
    for name, table in made(alone).items():
        field = "logits" if name == "tokens" else "z"
        torch.testing.assert_close(table[field][0], together[name][field][1][: len(table[field][0])])


def test_padding_of_the_target_changes_nothing() -> None:
    """Logits are the same, and 0 where all rows have ended."""
    made, batch = model().eval(), flow()
    longer = {**batch, "target": torch.nn.functional.pad(batch["target"], (0, 3), value=PAD)}
    short, long = made(batch)["tokens"]["logits"], made(longer)["tokens"]["logits"]
    torch.testing.assert_close(long[:, :4], short)
    assert not long[:, 5:].any()


def test_sequences_are_what_the_teacher_says() -> None:
    """None in the first task; later, on rehearsal rows, the student's logits along the teacher's words."""
    made = taught(rows="rehearsal").train()
    assert made(flow(later=True))["sequences"]["logits"].shape == (0, 5, 9)
    made.encoder.after_task()
    student = made.encoder.encoder
    assert isinstance(student, Seq2Seq)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.1
    made.eval()
    tables = made(flow(later=True))
    assert tables["sequences"]["sample"].tolist() == [1, 3]
    assert tables["sequences"]["logits"].requires_grad
    said = tables["sequences"]["target"]
    teacher = made.encoder.teacher
    assert isinstance(teacher, Seq2Seq)
    assert torch.equal(said, teacher.said(flow())[[1, 3]])
    logits = student.logits_of(flow(), teacher.said(flow()))[[1, 3]]
    torch.testing.assert_close(tables["sequences"]["logits"], logits)
    assert len(made(flow())["sequences"]) == 0


def test_a_teacher_that_nobody_asks_does_not_decode() -> None:
    """The student does, in evaluation mode."""
    torch.manual_seed(0)
    made = TaskTeacher(Seq2Seq(**SMALL))  # type: ignore[arg-type]
    made.prepare(flow())
    made.after_task()
    tables = made.eval()(flow())
    assert not tables["intent-teacher"]["said"].any()
    assert tables["intent"]["said"].any()


def test_a_teacher_of_all_rows_says_all() -> None:
    """Whatever rehearsal is."""
    made = taught().train()
    made.encoder.after_task()
    assert len(made(flow())["sequences"]) == 4


def test_sequences_need_a_teacher_of_a_sequence_model() -> None:
    """The sentence shows how."""
    from contrast_core.encoders.mlp import MLP

    for wrong in (MLP(), TaskTeacher(MLP()), Seq2Seq()):
        with pytest.raises(ValueError, match="core/task-teacher, and the one inside of that speech/seq2seq"):
            TaughtSequences(wrong)
    with pytest.raises(ValueError, match="must include intent"):
        TaughtSequences(TaskTeacher(Seq2Seq(), tables=["audio"]))


def test_greedy_decoding_is_step_by_step() -> None:
    """Each token is the likeliest one after those before it; after EOS there is padding."""
    made, batch = model().eval(), flow()
    states, lengths = made.listen(batch)
    said = made.said(batch)
    for row in range(4):
        tokens = [SOS]
        for place in range(5):
            logits = made.decoder(torch.tensor([tokens]), states[row : row + 1], lengths[row : row + 1])[0, -1]
            logits[PAD] = -math.inf
            if EOS in tokens:
                assert int(said[row, place]) == PAD
                continue
            tokens.append(int(logits.argmax()))
            assert int(said[row, place]) == tokens[-1]


def test_vocabulary_goes_there_and_back() -> None:
    """Letters after the separator, up to the end."""
    words = Vocabulary(["off", "on"], " abc")
    target = words.target(1, "cab a", 20)
    assert target.tolist()[:3] == [SOS, 5, SEP]
    assert words.words(target.tolist()[1:]) == "cab a"
    assert words.target(0, None, 20).tolist() == [SOS, 4, SEP, EOS]
    assert words.words(words.target(0, "cab", 2).tolist()[1:]) == "ca"


@pytest.mark.parametrize(
    ("said", "written", "errors"),
    [("a b c", "a b c", 0), ("", "a b", 2), ("a x c d", "a b c", 2), ("b c", "a b c", 1), ("c b a", "a b c", 2)],
)
def test_word_errors(said: str, written: str, errors: int) -> None:
    """Fewest insertions, deletions and substitutions."""
    assert word_errors(said, written) == (errors, len(written.split()))
