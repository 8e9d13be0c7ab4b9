"""The copy of the model from before the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.encoders.mlp import MLP
from contrast_core.encoders.task_teacher import TaskTeacher

Flow = dict[str, Any]


@pytest.fixture
def flow() -> Flow:
    """Two views of five items."""
    generator = torch.Generator().manual_seed(0)
    views = {name: torch.randn(5, 6, generator=generator) for name in ("one", "two")}
    return {**views, "sample": torch.arange(5)}


@pytest.fixture
def made(flow: Flow) -> Callable[..., TaskTeacher]:
    """A student with batch normalisation and its teacher."""

    def make(**options: Any) -> TaskTeacher:
        torch.manual_seed(0)
        student = MLP(views=("one", "two"), hidden=(7,), embedding_size=4, projection=3, batch_norm=True)
        encoder = TaskTeacher(student, **options)
        encoder.prepare(flow)
        return encoder

    return make


def moved(encoder: TaskTeacher) -> None:
    """A change of the student, as training makes it."""
    with torch.no_grad():
        for parameter in encoder.encoder.parameters():
            parameter += 0.1


def test_the_first_task_has_no_teacher(made: Callable[..., TaskTeacher], flow: Flow) -> None:
    """Its tables have no rows, and the columns of the student's."""
    tables = made()(flow)
    for name in ("one", "two"):
        assert tables[f"{name}-teacher"].z.shape == (0, 3)
        assert tables[f"{name}-teacher"].columns.keys() == tables[name].columns.keys()


def test_the_teacher_is_the_student_at_the_border_and_stays(made: Callable[..., TaskTeacher], flow: Flow) -> None:
    """Whatever the student does afterwards; in evaluation mode, without gradients, until the next border."""
    encoder = made().train()
    encoder(flow)
    encoder.after_task()
    encoder.eval()
    expected = encoder(flow)["one"].z.detach()
    encoder.train()
    assert not encoder.teacher.training
    for _ in range(2):
        moved(encoder)
        encoder.after_update()
        table = encoder(flow)["one-teacher"]
        assert torch.equal(table.z, expected)
        assert not table.z.requires_grad
    encoder.after_task()
    assert not torch.equal(encoder(flow)["one-teacher"].z, expected)
    assert not any(parameter.requires_grad for parameter in encoder.teacher.parameters())


def test_the_copy_is_saved(made: Callable[..., TaskTeacher], flow: Flow) -> None:
    """A fresh one with the same state teaches the same."""
    encoder = made()
    encoder.after_task()
    moved(encoder)
    fresh = made()
    fresh.load_state_dict(encoder.state_dict())
    found: list[Tensor] = [each.eval()(flow)["two-teacher"].z for each in (encoder, fresh)]
    assert torch.equal(*found)
    assert len(found[0]) == 5


def test_the_teacher_may_read_another_input_and_give_fewer_tables(made: Callable[..., TaskTeacher], flow: Flow) -> None:
    """`reads` and `tables`, as with the momentum teacher; what is not there is refused."""
    encoder = made(tables=("one",), reads={"one": "two"}).eval()
    encoder.after_task()
    tables = encoder(flow)
    assert "two-teacher" not in tables
    assert torch.equal(tables["one-teacher"].z, tables["two"].z.detach())
    with pytest.raises(ValueError, match="gives no table 'three'"):
        made(tables=("three",))
    with pytest.raises(ValueError, match="reads no input 'image'"):
        made(reads={"image": "one"})


def test_the_teacher_may_look_at_rehearsal_alone(made: Callable[..., TaskTeacher], flow: Flow) -> None:
    """Its rows are those of all, chosen; without rehearsal, as in evaluation, there are none."""
    one, every = made(rows="rehearsal").train(), made().train()
    for encoder in (one, every):
        encoder(flow)
        encoder.after_task()
    again = torch.tensor([0, 1, 0, 0, 1])
    some = one({**flow, "rehearsal": again})
    for name in ("one", "two"):
        whole = every(flow)[f"{name}-teacher"].select(again == 1)
        torch.testing.assert_close(some[f"{name}-teacher"].z, whole.z)
        assert some[f"{name}-teacher"]["sample"].tolist() == [1, 4]
        assert len(some[name]) == 5
    assert len(one(flow)["one-teacher"]) == len(one({**flow, "rehearsal": 0 * again})["one-teacher"]) == 0
