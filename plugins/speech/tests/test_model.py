"""The model, its copies at the end of tasks, and the scores over tasks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrast_speech.data.tokens import EOS, PAD, SEP, SOS, Vocabulary, word_errors
from contrast_speech.encoder import Seq2Seq
from contrast_speech.evaluation import task_matrix
from contrast_speech.snapshots import TaskSnapshots

SMALL = {"width": 16, "heads": 2, "layers": 1, "feed_forward": 16, "dimension": 8, "longest": 5}


def flow(task: int = 0, count: int = 4) -> dict[str, Tensor]:
    """A batch of features with two rehearsal rows, if it is of a later task."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.tensor([20, 9, 13, 7])[:count]
    features = torch.randn(count, 20, 6, generator=generator) * (torch.arange(20) < frames[:, None])[..., None]
    return {
        "features": features, "frames": frames, "label": torch.tensor([0, 1, 0, 2])[:count],
        "rehearsal": torch.tensor([0, 1, 0, 1])[:count] * int(task > 0), "sample": torch.arange(count),
        "target": torch.tensor([[SOS, 4, SEP, 7, EOS], [SOS, 5, SEP, EOS, PAD]]).repeat(2, 1)[:count],
        "task": torch.tensor(task), "tasks": torch.tensor(3), "vocabulary": torch.tensor(9),
    }  # fmt: skip


def snapshots(**options: object) -> TaskSnapshots:
    """A small model, prepared."""
    torch.manual_seed(0)
    model = TaskSnapshots(Seq2Seq(**SMALL), **options)  # type: ignore[arg-type]
    model.prepare(flow())
    return model


def test_padding_changes_nothing() -> None:
    """A recording alone, cut to its own frames, has the same tables."""
    model = snapshots().encoder.eval()
    together = model(flow())
    alone = {key: value[1:2] if value.dim() else value for key, value in flow().items()}
    alone = {**alone, "features": alone["features"][:, :9], "target": alone["target"][:, :4]}
    for name, table in model(alone).items():
        field = "logits" if name == "tokens" else "z"
        torch.testing.assert_close(table[field][0], together[name][field][1][: len(table[field][0])])


def test_the_first_task_has_no_teacher() -> None:
    """Its tables are empty, and so are sequences."""
    tables = snapshots(sequences=True)(flow())
    assert all(len(tables[f"{name}-teacher"]) == 0 for name in ("audio", "embedding", "tokens", "intent"))
    assert len(tables["sequences"]) == 0


def test_the_teacher_is_the_model_at_the_end_of_the_task_before() -> None:
    """Copied before the first batch of the task, frozen from then on, without gradient."""
    model = snapshots()
    model.train()(flow())
    kept = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    tables = model(flow(task=1))
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.1)
    model(flow(task=1))
    teacher = model.teacher()
    assert teacher is not None
    assert not teacher.training
    assert all(torch.equal(tensor, kept[name]) for name, tensor in teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not tables["audio-teacher"].z.requires_grad
    assert tables["audio-teacher"]["sample"].tolist() == [1, 3]


def test_a_teacher_may_hear_all_rows() -> None:
    """For learning without forgetting."""
    model = snapshots(rows="all").train()
    assert len(model(flow(task=1))["intent-teacher"]) == 4


def test_sequences_have_logits_of_what_the_teacher_said() -> None:
    """With gradient for the student, on rehearsal rows."""
    model = snapshots(sequences=True).train()
    tables = model(flow(task=1))
    assert tables["sequences"]["logits"].shape == (2, 5, 9)
    assert tables["sequences"]["logits"].requires_grad
    assert torch.equal(tables["sequences"]["target"], tables["intent-teacher"]["said"])


def test_all_copies_predict_in_evaluation() -> None:
    """One column a task that was reached, -1 for the others; evaluation moves no copy."""
    model = snapshots()
    model.train()(flow(task=1))
    after = model.eval()(flow(task=2))["intent"]["after"]
    assert int(model.task) == 1
    assert (after[:, :2] >= 0).all()
    assert (after[:, 2] == -1).all()


def test_copies_are_part_of_the_weights() -> None:
    """A model that is loaded goes on in its task with its teacher."""
    model, other = snapshots(), snapshots()
    model.train()(flow(task=2))
    other.load_state_dict(model.state_dict())
    assert int(other.task) == 2
    torch.testing.assert_close(other.eval()(flow(task=2))["intent"].z, model.eval()(flow(task=2))["intent"].z)


def test_greedy_decoding_is_step_by_step() -> None:
    """Each token is the likeliest one after those before it; after EOS there is padding."""
    model = snapshots().encoder.eval()
    assert isinstance(model, Seq2Seq)
    batch = flow()
    states, lengths = model.listen(batch)
    said = model.said(batch)
    for row in range(4):
        tokens = [SOS]
        for place in range(5):
            logits = model.decoder(torch.tensor([tokens]), states[row : row + 1], lengths[row : row + 1])[0, -1]
            logits[PAD] = -math.inf
            if EOS in tokens:
                assert int(said[row, place]) == PAD
                continue
            tokens.append(int(logits.argmax()))
            assert int(said[row, place]) == tokens[-1]


def test_only_a_sequence_model_can_be_remembered() -> None:
    """Its tables are known."""
    from contrast_core.encoders.mlp import MLP

    with pytest.raises(ValueError, match="speech/seq2seq"):
        TaskSnapshots(MLP())


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


def test_task_matrix_by_hand() -> None:
    """Two tasks of two items; the second is not asked for before it was learned."""
    task = torch.tensor([0, 0, 1, 1])
    right = torch.tensor([[True, False], [True, True], [True, True], [False, True]])
    matrix, seen = task_matrix(task, right)
    assert matrix[0, 0] == 1
    assert matrix[0, 1].isnan()
    assert matrix[1].tolist() == [0.5, 1.0]
    assert seen.tolist() == [1.0, 0.75]
