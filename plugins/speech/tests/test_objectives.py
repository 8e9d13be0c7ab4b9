"""The objectives against plain loops and the golden values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from contrast_core import Embeddings, Outputs
from contrast_core.objectives.infonce import InfoNCE
from contrast_speech.data.tokens import SPECIAL
from contrast_speech.distillation import FeatureDistillation, LogitDistillation, TokenDistillation
from contrast_speech.objectives import NSPT, TokenCrossEntropy
from contrast_speech.samplers import AudioText, RehearsalDistillation

GOLDEN = Path(__file__).parent / "golden"
LABEL = torch.tensor([0, 1, 0, 2, 1, 3, 3])
REHEARSAL = torch.tensor([1, 1, 1, 0, 1, 0, 0])
T = 0.3


def rows(seed: int, count: int = 7) -> Tensor:
    """Random rows, float64, with gradient."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, generator=generator, dtype=torch.float64).requires_grad_()


def unit(x: Tensor) -> Tensor:
    """Rows of length 1."""
    return x / x.norm(dim=1, keepdim=True)


def tables(a: Tensor, b: Tensor) -> dict[str, Embeddings]:
    """Student and teacher, who listened to the rehearsal rows."""
    columns = {"label": LABEL, "rehearsal": REHEARSAL, "sample": torch.arange(7)}
    student = Embeddings.of(a, **columns)
    return {"audio": student, "audio-teacher": Embeddings.of(b, **columns).select(REHEARSAL == 1)}


def by_loops(a: Tensor, b: Tensor, self_positive: bool, self_negative: bool) -> Tensor:
    """NSPT as the equation stands."""
    a, b, losses = unit(a), unit(b), []
    memory = [k for k in range(7) if REHEARSAL[k]]
    for k in memory:
        positives = [p for p in memory if LABEL[p] == LABEL[k] and (self_positive or p != k)]
        others = [i for i in range(7) if self_negative or i != k]
        if positives:
            denominator = sum(torch.exp(a[k] @ a[i] / T) for i in others)
            losses.append(-sum(torch.log(torch.exp(a[k] @ b[p] / T) / denominator) for p in positives) / len(positives))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("self_positive", [True, False])
@pytest.mark.parametrize("self_negative", [True, False])
def test_nspt_is_the_equation(self_positive: bool, self_negative: bool) -> None:
    """Value and gradient, in all four readings."""
    a, b = rows(0), rows(1)
    sampler = RehearsalDistillation(include_self_positive=self_positive, include_self_negative=self_negative)
    value = NSPT(temperature=T)(Outputs({}, sampler(tables(a, b.detach())), {})).value
    expected = by_loops(a, b.detach(), self_positive, self_negative)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    found, wanted = torch.autograd.grad(value, a)[0], torch.autograd.grad(expected, a)[0]
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_ntpt_equals_nspt_where_the_teacher_is_the_student() -> None:
    """The denominators are then the same."""
    a = rows(0)
    columns = {"label": LABEL, "rehearsal": REHEARSAL, "sample": torch.arange(7)}
    both = {"audio": Embeddings.of(a, **columns), "audio-teacher": Embeddings.of(a.detach(), **columns)}
    values = [
        NSPT(temperature=T)(Outputs({}, RehearsalDistillation(negatives=side)(both), {})).value
        for side in ("student", "teacher")
    ]
    torch.testing.assert_close(values[0], values[1])


def test_without_rehearsal_nspt_is_zero_with_a_graph() -> None:
    """In the first task and in batches without memory."""
    a = rows(0)
    made = tables(a, rows(1))
    none = {**made, "audio-teacher": made["audio-teacher"].select(torch.zeros(0, dtype=torch.long))}
    term = NSPT()(Outputs({}, RehearsalDistillation()(none), {}))
    term.value.backward()
    assert (term.value.item(), term.rows) == (0.0, 0)
    assert a.grad is not None
    assert not a.grad.any()


def test_growing_weight_is_the_share_of_past_classes() -> None:
    """The term's own weight; the value is the same."""
    pairs = RehearsalDistillation()(tables(rows(0), rows(1)))
    term = NSPT(growing=True)(Outputs({}, pairs, {"past_share": torch.tensor(0.75)}))
    assert term.weight == 0.75


@pytest.mark.parametrize("memory_anchors", [True, False])
def test_audio_text_is_the_equation(memory_anchors: bool) -> None:
    """Two directions, rehearsal rows as candidates."""
    a, t = rows(0), rows(1)
    columns = {"label": LABEL, "rehearsal": REHEARSAL}
    pairs = AudioText(memory_anchors=memory_anchors)(
        {"audio": Embeddings.of(a, **columns), "text": Embeddings.of(t, **columns)}
    )
    for name, (x, y) in {"audio-text": (unit(a), unit(t)), "text-audio": (unit(t), unit(a))}.items():
        losses = []
        for k in range(7):
            if memory_anchors or not REHEARSAL[k]:
                positives = [p for p in range(7) if LABEL[p] == LABEL[k]]
                total = sum(torch.exp(x[k] @ y[i] / T) for i in range(7))
                losses.append(-sum(torch.log(torch.exp(x[k] @ y[p] / T) / total) for p in positives) / len(positives))
        value = InfoNCE(pairs=name, temperature=T)(Outputs({}, pairs, {})).value
        torch.testing.assert_close(value, torch.stack(losses).mean(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", [1, 2])
def test_logit_distillation_is_the_authors(case: int) -> None:
    """Both of their ways of weighting, and the gradient, through the component's value."""
    with np.load(GOLDEN / f"kd_loss-{case}.npz") as file:
        meta = json.loads(str(file["meta"]))["params"]
        student = torch.from_numpy(file["in_student"]).requires_grad_()
        teacher, current = torch.from_numpy(file["in_teacher"]), torch.from_numpy(np.asarray(file["in_current_loss"]))
        wanted, gradient, full = float(file["out_onlyrehe"]), file["grad_student"], float(file["out_kd"])
    sample = torch.arange(len(student))
    made = {"intent": Embeddings.of(student, sample=sample), "intent-teacher": Embeddings.of(teacher, sample=sample)}
    value = LogitDistillation(temperature=meta["tau"])(Outputs(made, {}, {})).value
    alpha, both = meta["alpha"], meta["is_both_kds"]
    # The cross-entropy they had at hand was float32, and its product with a number is rounded so.
    total = (1.0 if both else 1 - alpha) * current + alpha * value
    assert math.isclose(total.item(), wanted, rel_tol=1e-10)
    (found,) = torch.autograd.grad(total, student, retain_graph=True)
    torch.testing.assert_close(found, torch.from_numpy(gradient), rtol=1e-10, atol=1e-14)
    old = teacher.shape[1]
    # What their formula ln(C_old / C_new + 1) is fed as C_new is the number of all logits, old ones included.
    grown = math.log(old / student.shape[1] + 1)
    assert math.isclose(((1 - grown) * current + grown * value).item(), full, rel_tol=1e-10)


def test_tokens_of_new_intents_are_left_out() -> None:
    """A plain loop over the other tokens; with new rows alone nothing holds their own tokens back."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(4, SPECIAL + 5, generator=generator, dtype=torch.float64) for _ in range(2))
    ours.requires_grad_()
    facts = {"sample": torch.arange(4), "label": torch.tensor([0, 3, 1, 3]), "rehearsal": torch.tensor([1, 0, 1, 0])}
    made = {"intent": Embeddings.of(ours, **facts), "intent-teacher": Embeddings.of(theirs, **facts)}
    value = LogitDistillation(temperature=T, per="row", without_new=True)(Outputs(made, {}, {})).value
    old = [token for token in range(SPECIAL + 5) if token != SPECIAL + 3]
    wanted = torch.zeros((), dtype=torch.float64)
    for row in range(4):
        p = (theirs[row, old] / T).softmax(0)
        wanted = wanted + T**2 / 4 * (p * (p.log() - (ours[row, old] / T).log_softmax(0))).sum()
    torch.testing.assert_close(value, wanted, rtol=1e-10, atol=0)
    found, expected = (torch.autograd.grad(each, ours)[0] for each in (value, wanted))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    assert not found[:, SPECIAL + 3].any()


def sequences() -> tuple[Tensor, Tensor, Tensor, dict[str, Embeddings]]:
    """Logits of three sequences, two of which the teacher heard."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(3, 4, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    ours.requires_grad_()
    target = torch.tensor([[4, 2, 5, 3], [4, 2, 3, 0], [5, 2, 3, 0]])
    columns = {"target": target, "sample": torch.arange(3)}
    heard = Embeddings({"logits": theirs}, columns).select(torch.tensor([0, 2]))
    return ours, theirs, target, {"tokens": Embeddings({"logits": ours}, columns), "tokens-teacher": heard}


@pytest.mark.parametrize("kind", ["cross-entropy", "squared"])
def test_token_distillation_is_the_equation(kind: str) -> None:
    """Over tokens that are not padding, of rows that the teacher heard."""
    ours, theirs, target, made = sequences()
    value = TokenDistillation(kind=kind)(Outputs(made, {}, {})).value  # type: ignore[arg-type]
    losses = []
    for row in (0, 2):
        for j in range(4):
            if target[row, j]:
                p, q = theirs[row, j].softmax(0), ours[row, j].softmax(0)
                squared = (ours[row, j] - theirs[row, j]).square().mean()
                losses.append(squared if kind == "squared" else -(p * q.log()).sum())
    torch.testing.assert_close(value, torch.stack(losses).mean(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("per", ["token", "sequence"])
def test_token_cross_entropy_leaves_padding_out(per: str) -> None:
    """The mean over tokens, or over sequences of their sums."""
    ours, _, target, made = sequences()
    value = TokenCrossEntropy(per=per)(Outputs(made, {}, {})).value  # type: ignore[arg-type]
    each = [-ours[i, j].log_softmax(0)[target[i, j]] for i in range(3) for j in range(4) if target[i, j]]
    expected = torch.stack(each).sum() / (len(each) if per == "token" else 3)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


def test_feature_distillation_is_the_mean_square() -> None:
    """Of the rows that the teacher heard."""
    a, b = rows(0), rows(1)
    made = tables(a, b.detach())
    value = FeatureDistillation(table="audio")(Outputs(made, {}, {})).value
    memory = [k for k in range(7) if REHEARSAL[k]]
    expected = torch.stack([((a[k] - b[k]) ** 2).mean() for k in memory]).mean()
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


def test_distillation_refuses_rows_of_others() -> None:
    """A teacher that heard something else is a mistake, not nothing."""
    made = tables(rows(0), rows(1))
    strange = {**made, "audio-teacher": made["audio-teacher"].with_columns(sample=torch.tensor([9, 1, 2, 4]))}
    with pytest.raises(ValueError, match="samples of 'audio'"):
        FeatureDistillation(table="audio")(Outputs(strange, {}, {}))
