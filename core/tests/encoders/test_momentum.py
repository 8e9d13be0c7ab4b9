"""The momentum teacher."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from contrast_core.embeddings import code
from contrast_core.encoders.mlp import MLP
from contrast_core.encoders.momentum import Momentum


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    """Two views of six items."""
    generator = torch.Generator().manual_seed(seed)
    one, two = torch.rand(2, 6, 9, generator=generator)
    return {"one": one, "two": two, "sample": torch.arange(6)}


def prepared(momentum: float = 0.9, **options: object) -> Momentum:
    """A teacher and a student."""
    torch.manual_seed(0)
    inner = MLP(hidden=[8], embedding_size=5, projection=4, batch_norm=bool(options.pop("batch_norm", False)))
    encoder = Momentum(inner, momentum=momentum, **options)  # type: ignore[arg-type]
    encoder.prepare(batch())
    return encoder


def step(encoder: Momentum, optimizer: torch.optim.Optimizer, seed: int) -> float:
    """One step towards the teacher's rows, then the update."""
    tables = encoder(batch(seed))
    loss = (tables["one"].z - tables["two-teacher"].z).square().sum() + tables["one"].z.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    encoder.after_update()
    return float(loss.detach())


def sgd(encoder: Momentum) -> torch.optim.SGD:
    """An optimiser of what is trained."""
    return torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.01, momentum=0.9)


def test_the_teacher_starts_equal_and_has_no_gradient() -> None:
    """Before any step both give the same rows, the teacher's detached and marked."""
    encoder = prepared()
    tables = encoder(batch())
    assert set(tables) == {"one", "two", "one-teacher", "two-teacher"}
    assert tables["one"].z.equal(tables["one-teacher"].z)
    assert tables["one"].z.requires_grad
    assert not tables["one-teacher"].z.requires_grad
    assert not any(p.requires_grad for p in encoder.teacher.parameters())
    assert tables["one"]["source"].tolist() == [code("student")] * 6
    assert tables["one-teacher"]["source"].tolist() == [code("teacher")] * 6


def test_it_follows_as_a_plain_loop_says() -> None:
    """theta_k <- m theta_k + (1 - m) theta_q after every step, beginning with the first."""
    encoder = prepared(momentum=0.8)
    optimizer = sgd(encoder)
    expected = {name: value.clone() for name, value in encoder.encoder.named_parameters()}
    for seed in range(4):
        step(encoder, optimizer, seed)
        for name, value in encoder.encoder.named_parameters():
            expected[name] = 0.8 * expected[name] + (1 - 0.8) * value.detach()
    for name, value in encoder.teacher.named_parameters():
        torch.testing.assert_close(value, expected[name])
    assert not encoder.teacher.head[0].weight.equal(encoder.encoder.head[0].weight)  # type: ignore[index, union-attr]


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_the_ends_of_the_range(momentum: float) -> None:
    """Momentum 0 is the student itself, momentum 1 the beginning for ever."""
    encoder = prepared(momentum=momentum)
    first = [value.clone() for value in encoder.teacher.parameters()]
    step(encoder, sgd(encoder), 0)
    wanted = first if momentum == 1 else list(encoder.encoder.parameters())
    for value, other in zip(encoder.teacher.parameters(), wanted, strict=True):
        torch.testing.assert_close(value, other.detach())


def test_buffers_are_copied() -> None:
    """Running statistics of the teacher are the student's after a step."""
    encoder = prepared(batch_norm=True)
    step(encoder, sgd(encoder), 0)
    pairs = list(zip(encoder.teacher.buffers(), encoder.encoder.buffers(), strict=True))
    assert len(pairs) == 3
    assert all(mine.equal(yours) for mine, yours in pairs)


def test_it_goes_on_bit_equal_after_saving(tmp_path: Path) -> None:
    """Saved after two steps and loaded into a fresh encoder, the next losses have the same bits."""
    encoder = prepared()
    optimizer = sgd(encoder)
    for seed in range(2):
        step(encoder, optimizer, seed)
    save_file({k: v.clone() for k, v in encoder.state_dict().items()}, tmp_path / "e.safetensors")
    momenta = deepcopy(optimizer.state_dict())
    torch.manual_seed(99)
    again = prepared()
    again.load_state_dict(load_file(tmp_path / "e.safetensors"))
    other = sgd(again)
    other.load_state_dict(momenta)
    assert [step(encoder, optimizer, s) for s in (2, 3)] == [step(again, other, s) for s in (2, 3)]


def test_only_the_named_tables_are_taught() -> None:
    """And the flow's check sees exactly what is given."""
    encoder = prepared(tables=["two"])
    tables = encoder(batch())
    assert set(tables) == {"one", "two", "two-teacher"}
    assert {name for name in encoder.gives if "." not in name} == set(tables)
    for name, table in tables.items():
        assert {f"{name}.{key}" for key in (*table.fields, *table.columns)} <= set(encoder.gives)


def test_evaluation_uses_the_student() -> None:
    """The teacher lags behind."""
    encoder = prepared()
    step(encoder, sgd(encoder), 0)
    assert encoder.embed(batch()).z.equal(encoder.encoder.embed(batch()).z)
    assert not encoder.embed(batch()).z.equal(encoder.teacher.embed(batch()).z)


def test_wrong_options_are_refused() -> None:
    """A momentum outside its range, and a table that is not there, with the nearest."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Momentum(MLP(), momentum=1.5)
    with pytest.raises(ValueError, match=r"no table 'ones', only one, two\. Did you mean one\?"):
        Momentum(MLP(), tables=["ones"])


def test_the_teacher_may_read_another_input() -> None:
    """Its first view is then the second one's; the student's is not; and an unknown input is refused."""
    encoder = prepared(reads={"one": "two"})
    tables = encoder(batch())
    assert tables["one-teacher"].z.equal(tables["two-teacher"].z)
    assert not tables["one"].z.equal(tables["two"].z)
    assert set(prepared(reads={"one": "other"}).needs) == {"one", "two", "sample", "other"}
    with pytest.raises(ValueError, match=r"reads no input 'oen'.*one"):
        Momentum(MLP(), reads={"oen": "two"})
