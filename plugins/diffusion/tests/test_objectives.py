"""MACL and the denoising loss: against plain loops, and the properties that any faithful version has."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from contrast_core import Embeddings, Outputs
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.pairs import Pairs
from contrast_core.relations import same
from contrast_diffusion.objectives import Denoising, MultiscaleAppearance
from contrast_diffusion.samplers import SubjectPairs

SUBJECT = torch.tensor([0, 0, 1, 2, 2, 2, 3])


def rows(seed: int = 0, layers: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """References and cuts of seven samples of four subjects, at several layers, and their real features."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(SUBJECT), layers, 4)
    a, p = (torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    return a, p, torch.randn(len(SUBJECT), 5, generator=generator, dtype=torch.float64)


def outputs(a: Tensor, p: Tensor, real: Tensor, subject: Tensor = SUBJECT) -> Outputs:
    """Tables and the pairs that the sampler makes of them."""
    facts = {"sample": torch.arange(len(a)), "subject": subject, "appearance": real}
    tables = {
        name: Embeddings({"z": x.flatten(1), "layers": x}).with_columns(**facts)
        for name, x in (("reference", a), ("cut", p))
    }
    return Outputs(tables, SubjectPairs()(tables), {})


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Of two vectors."""
    return (a @ b) / (a.norm() * b.norm())


def in_loops(a: Tensor, p: Tensor, real: Tensor, scaling: str, t: float, margin: float) -> Tensor:
    """The card's equation, anchor by anchor and layer by layer."""
    losses = []
    for layer in range(a.shape[1]):
        for i in range(len(a)):
            mine = [j for j in range(len(a)) if SUBJECT[j] == SUBJECT[i] and j != i]
            others = [j for j in range(len(a)) if SUBJECT[j] != SUBJECT[i]]
            if not mine:
                continue
            r = {j: (1 + cosine(real[i], real[j])) / 2 for j in others}
            mean = sum(1 - r[j] for j in others) / len(others)
            s = sum(torch.exp(cosine(a[i, layer], p[j, layer]) / t) for j in mine) / len(mine)
            n = torch.zeros((), dtype=torch.float64)
            for j in others:
                c = cosine(a[i, layer], a[j, layer])
                if scaling == "weight":
                    n = n + (1 - r[j]) / mean * torch.exp(c / t)
                elif scaling == "margin":
                    n = n + torch.exp((c - r[j] * margin) / t)
                else:
                    n = n + torch.exp(c / t)
            losses.append(-torch.log(s / (s + n)))
    return sum(losses[1:], losses[0]) / len(losses)


@pytest.mark.parametrize("scaling", ["weight", "margin", "none"])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("small", [0, 2**18])
def test_values_and_gradients_equal_the_equation(scaling, temperature, small, monkeypatch):
    """All three ways to scale negatives, through the public sampler and objective; layers one by one and at once."""
    monkeypatch.setattr("contrast_diffusion.objectives.SMALL", small)
    a, p, real = rows()
    objective = MultiscaleAppearance(scaling=scaling, temperature=temperature, margin=0.4)
    term = objective(outputs(a, p, real))
    expected = in_loops(a, p, real, scaling, temperature, 0.4)
    torch.testing.assert_close(term.value, expected, rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad(term.value, (a, p))
    for one, wanted in zip(found, torch.autograd.grad(expected, (a, p)), strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-10, atol=1e-12)
    assert (term.rows, term.dropped) == (5, 2)


def test_float32_rows_come_near():
    """The value of float32 rows is that of float64 rows to 1e-5."""
    a, p, real = rows()
    exact = MultiscaleAppearance()(outputs(a, p, real)).value
    torch.testing.assert_close(
        MultiscaleAppearance()(outputs(a.float(), p.float(), real.float())).value.double(), exact, rtol=1e-5, atol=1e-6
    )


def test_least_where_positives_coincide_and_negatives_are_orthogonal():
    """Property 1, for orthogonal subjects: the value is known, and any turn of a positive raises it."""
    z = torch.eye(4, dtype=torch.float64)[SUBJECT][:, None]
    real = torch.eye(4, dtype=torch.float64)[SUBJECT]
    best = MultiscaleAppearance(temperature=0.5)(outputs(z, z, real)).value
    assert float(best) == pytest.approx(_orthogonal(), abs=1e-9)
    for seed in range(5):
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert MultiscaleAppearance(temperature=0.5)(outputs(z, z + 0.5 * noise, real)).value > best


def _orthogonal() -> float:
    """The loss of orthogonal subjects at t = 0.5: all weights are 1, all negative logits 0."""
    counts = [len(SUBJECT) - int((k == SUBJECT).sum()) for k in SUBJECT.tolist() if int((k == SUBJECT).sum()) > 1]
    return sum(math.log(1 + n * math.exp(-2)) for n in counts) / len(counts)


def force(likeness: float) -> float:
    """How strongly subject 1 pushes subject 0, if it looks as much like it as that."""
    angle = math.acos(2 * likeness - 1)
    real = torch.tensor([[1.0, 0], [1, 0], [math.cos(angle), math.sin(angle)], [-1, 0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, 1, 3, generator=generator, dtype=torch.float64)
    other = z[2:3].clone().requires_grad_()
    table = torch.cat([z[:2], other, z[3:]])
    subject = torch.tensor([0, 0, 1, 2])
    made = outputs(table, z, real, subject)
    # Subjects 1 and 2 have one sample and are dropped as anchors, so all force on `other` is that of being a negative.
    gradient = torch.autograd.grad(MultiscaleAppearance(temperature=0.5)(made).value, other)[0]
    return float(gradient.norm())


def test_the_force_between_subjects_falls_with_their_likeness():
    """Property 2, weight mode: smaller the more alike they are, and none at r = 1."""
    forces = [force(r) for r in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert forces == sorted(forces, reverse=True)
    assert forces[-1] < 1e-9 < forces[-2]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(len(SUBJECT))), scaling=st.sampled_from(["weight", "margin", "none"]))
def test_the_order_of_samples_does_not_matter(order, scaling):
    """Property 3: negatives, and all else, may be permuted."""
    a, p, real = rows()
    objective = MultiscaleAppearance(scaling=scaling)
    value = objective(outputs(a, p, real)).value
    moved = list(order)
    torch.testing.assert_close(
        objective(outputs(a[moved], p[moved], real[moved], SUBJECT[moved])).value, value, rtol=1e-10, atol=1e-12
    )


def test_with_equal_likeness_and_one_positive_it_is_infonce():
    """Property 4."""
    a, p, _ = rows(layers=1)
    subject, real = torch.tensor([0, 0, 1, 1, 2, 2, 3]), torch.eye(7, dtype=torch.float64)
    made = outputs(a, p, real, subject)
    expected = InfoNCE(pairs="appearance", temperature=0.07)(made).value
    for scaling in ("weight", "none"):
        found = MultiscaleAppearance(scaling=scaling)(made).value
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def learned_likeness(scaling: str) -> float:
    """Rank correlation of learned and real likeness of 12 subjects, free codes, at the loss's optimum."""
    generator = torch.Generator().manual_seed(3)
    kinds, subject = 12, torch.arange(12).repeat_interleave(2)
    features = torch.randn(kinds, 3, generator=generator, dtype=torch.float64)
    z = torch.randn(kinds, 1, 6, generator=generator, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([z], 0.05)
    objective = MultiscaleAppearance(scaling=scaling, temperature=0.3)
    for _ in range(250):
        made = outputs(z[subject], z[subject], features[subject], subject)
        optimizer.zero_grad()
        objective(made).value.backward()
        optimizer.step()
    upper = torch.triu_indices(kinds, kinds, 1)
    cosines = [
        torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)[upper[0], upper[1]].detach().numpy()
        for x in (z[:, 0], features)
    ]
    return float(spearmanr(*cosines).statistic)


def test_scaling_makes_likeness_follow_the_real_one():
    """Property 5: a positive rank correlation, higher than without scaling, in both modes."""
    plain = learned_likeness("none")
    for scaling in ("weight", "margin"):
        found = learned_likeness(scaling)
        assert found > 0.3
        assert found > plain + 0.2


def test_rows_without_positive_or_negative_are_dropped():
    """One subject alone has nobody to be apart from; the value is 0 and its gradient finite."""
    a, p, real = rows()
    term = MultiscaleAppearance()(outputs(a, p, real, torch.zeros(len(a), dtype=torch.int64)))
    assert (float(term.value.detach()), term.rows, term.dropped) == (0.0, 0, 7)
    alike = MultiscaleAppearance()(outputs(a, p, torch.ones_like(real)))
    assert torch.isfinite(alike.value)


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"margin": -1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]):
    """The sentence names the argument."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MultiscaleAppearance(**wrong)


@pytest.fixture
def denoising() -> Callable[..., Outputs]:
    """Outputs with a table of a prediction and its target."""
    return lambda prediction, target: Outputs(
        {"denoising": Embeddings({"prediction": prediction, "target": target})}, {}, {}
    )


def test_denoising_is_the_mean_squared_error(denoising):
    """Value and gradient; the target gets none."""
    a, p, _ = rows()
    value = Denoising()(denoising(a, p)).value
    expected = torch.nn.functional.mse_loss(a, p.detach())
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad(value, (a, p), allow_unused=True)
    torch.testing.assert_close(found[0], torch.autograd.grad(expected, a)[0], rtol=1e-10, atol=1e-12)
    assert found[1] is None


def test_denoising_refuses_shapes_that_differ(denoising):
    """The sentence gives both."""
    with pytest.raises(ValueError, match=r"\(7, 3, 4\), its target \(7, 2, 4\)"):
        Denoising()(denoising(rows()[0], rows(layers=2)[0]))


def test_pairs_of_the_sampler_are_those_of_the_card():
    """Positives: the cut of the same subject's other samples; negatives: references of other subjects."""
    from contrast_core import pairwise

    pairs = outputs(*rows()).pairs["appearance"]
    n = len(SUBJECT)
    positives, negatives = (pairwise.matrix(pairs, r)[1] for r in (pairs.positives, pairs.negatives))
    for i in range(n):
        for j in range(n):
            alike = bool(SUBJECT[i] == SUBJECT[j])
            assert bool(positives[i, j]) == (alike and i != j)
            assert not positives[i, n + j]
            assert bool(negatives[i, n + j]) == (not alike)
            assert not negatives[i, j]


def test_semantic_pairs_leave_the_same_subject_out():
    """Other samples of the subject are neither positive nor negative; with the text apart, nor is the same text."""
    from contrast_core import pairwise
    from contrast_diffusion.samplers import SemanticPairs

    table = Embeddings.of(
        torch.randn(4, 3), sample=torch.arange(4), subject=torch.tensor([0, 0, 1, 2]), text=torch.tensor([5, 5, 5, 6])
    )
    flow = {"visual": table, "textual": table}
    for apart, expected in ((("subject",), [2, 2, 3, 3]), (("subject", "text"), [1, 1, 1, 3])):
        pairs = SemanticPairs(apart=apart)(flow)["semantic"]
        assert pairwise.matrix(pairs, pairs.negatives)[1].bool().sum(1).tolist() == expected
        assert torch.equal(pairwise.matrix(pairs, pairs.positives)[1].bool(), torch.eye(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="apart"):
        SemanticPairs(apart=())


def test_cscl_is_the_symmetric_cross_entropy_without_the_same_subject():
    """The card's equation in loops: the core's InfoNCE in both directions on these pairs."""
    from contrast_diffusion.samplers import SemanticPairs

    generator = torch.Generator().manual_seed(0)
    v, t = (torch.randn(7, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    facts = {"sample": torch.arange(7), "subject": SUBJECT}
    flow = {"visual": Embeddings.of(v, **facts), "textual": Embeddings.of(t, **facts)}
    pairs = SemanticPairs()(flow)
    value = InfoNCE(pairs="semantic", temperature=0.07, directions="both")(Outputs(flow, pairs, {})).value
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(7):
        kept = [j for j in range(7) if j == i or SUBJECT[j] != SUBJECT[i]]
        for one, two in ((v, t), (t, v)):
            logits = [cosine(one[i], two[j]) / 0.07 for j in kept]
            expected = expected + torch.logsumexp(torch.stack(logits), 0) - cosine(one[i], two[i]) / 0.07
    expected = expected / 14
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    for a, b in zip(torch.autograd.grad(value, (v, t)), torch.autograd.grad(expected, (v, t)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_the_same_relation_is_used_for_both_sides():
    """Pairs made by hand work as well as those of the sampler."""
    a, p, real = rows(layers=1)
    table = outputs(a, p, real).tables["reference"]
    pairs = Pairs(table, table, same("subject") & ~same("sample"), ~same("subject"))
    assert torch.isfinite(MultiscaleAppearance()(Outputs({}, {"appearance": pairs}, {})).value)
