"""Batch enhancement against plain loops, as intended and as published."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_fewshot.enhancement import BatchEnhancement
from contrast_fewshot.memory import DyCE
from contrast_fewshot.objectives import BECLR
from contrast_fewshot.published import PublishedDyCE


def table(seed: int, items: int = 5, d: int = 6) -> Embeddings:
    """Two views of five items, float64, whose labels are 0 and 1 in turn."""
    z = torch.randn(2 * items, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    sample = torch.arange(items).repeat(2)
    view = torch.arange(2).repeat_interleave(items)
    return Embeddings.of(z, sample=sample, view=view, label=sample % 2)


def flow(memory: DyCE) -> dict[str, object]:
    """Tables whose predictions and student want gradients, and a memory."""
    tables = {name: table(seed) for seed, name in enumerate(("teacher", "predicted", "student"))}
    for name in ("predicted", "student"):
        tables[name] = tables[name].with_fields(z=tables[name].z.requires_grad_())
    return {**tables, "memory": memory}


def remembering(**settings: object) -> DyCE:
    """A memory of twenty rows with labels, in double precision."""
    made = DyCE(size=20, dimension=6, prototypes=3, columns=["label"], **settings)
    made.prepare({"teacher": table(0)})
    made.double()
    for seed in range(10, 14):
        made.write(table(seed))
    return made


def test_the_loss_is_the_papers_equation():
    """-1/(1+k) mean_i [cos(p_i, t_i') + sum_j cos(p_i, NN_j(t_i'))], and the uniformity of the student's rows."""
    memory = remembering()
    given = flow(memory)
    pairs = BatchEnhancement(neighbours=3)(given)
    terms = BECLR()(Outputs({}, pairs, {}))
    t, p, z = (given[name].z for name in ("teacher", "predicted", "student"))
    found = memory.nearest(t, 3)
    positive, exponents = 0.0, []
    for i in range(10):
        other = (i + 5) % 10
        near = [t[other], *memory.rows[found[other]]]
        positive = positive - sum(functional.cosine_similarity(p[i], row, dim=0) for row in near) / 4 / 10
        exponents += [
            torch.exp(functional.cosine_similarity(z[i], z[j], dim=0) / 2) for j in range(10) if j not in (i, other)
        ]
    negative = torch.log(torch.stack(exponents).mean())
    torch.testing.assert_close(terms["positive"].value, positive, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(terms["negative"].value, negative, rtol=1e-10, atol=1e-12)
    ours = torch.autograd.grad(terms["positive"].value + 0.1 * terms["negative"].value, (p, z))
    theirs = torch.autograd.grad(positive + 0.1 * negative, (p, z))
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


def test_purity_counts_neighbours_of_the_same_label():
    """Against the labels of what is retrieved."""
    memory = remembering()
    given = flow(memory)
    terms = BECLR()(Outputs({}, BatchEnhancement(neighbours=3)(given), {}))
    found = memory.nearest(given["teacher"].z, 3)
    labels = memory.read()["label"]
    right = sum(int(labels[j]) == (i % 5) % 2 for i in range(10) for j in found[i].tolist())
    assert terms["positive"].scalars["purity"] == pytest.approx(right / 30)


def test_without_neighbours_or_before_the_start_the_other_view_is_the_only_positive():
    """The memory is not read."""
    for sampler, memory in (
        (BatchEnhancement(neighbours=0), remembering()),
        (BatchEnhancement(neighbours=3), remembering(start=99)),
    ):
        pairs = sampler(flow(memory))["positives"]
        assert len(pairs.candidates) == 10
        weights = pairwise.matrix(pairs, pairs.positives)[1]
        assert torch.equal(weights.bool(), torch.eye(10).roll(5, 0).bool())


def published(seed: int, source: str) -> PublishedDyCE:
    """A published memory with partitions."""
    made = PublishedDyCE(source, size=21, dimension=6, prototypes=3, metric="cosine")
    made.prepare({source: table(0)})
    made.double()
    for number in range(3):
        made.write(table(seed + number))
    assert bool(made.clustered)
    return made


def test_as_published_appended_rows_carry_no_gradient_and_only_scale_the_term():
    """The gradient of the positive term is that without neighbours over 1 + k."""
    names = {"memory": "teacher", "memory-predicted": "predicted", "memory-student": "student"}
    memories = {name: published(seed, source) for seed, (name, source) in zip((10, 20, 30), names.items(), strict=True)}
    given = {**flow(remembering()), **memories}
    quirks = {"official_quirks": True, "memories": ["memory-predicted", "memory-student"]}
    gradients = []
    for k in (0, 3):
        pairs = BatchEnhancement(neighbours=k, **quirks)(given)
        assert len(pairs["positives"].anchors) == 10 * (1 + k)
        value = BECLR()(Outputs({}, pairs, {}))["positive"].value
        gradients.append(torch.autograd.grad(value, given["predicted"].z)[0])
    torch.testing.assert_close(gradients[1], gradients[0] / 4, rtol=1e-6, atol=1e-9)


def test_memories_must_suit():
    """Published quirks ask for published memories, and for three."""
    with pytest.raises(ValueError, match="memories names those"):
        BatchEnhancement(official_quirks=True)
    with pytest.raises(ValueError, match="fewshot/published-dyce"):
        BatchEnhancement(official_quirks=True, memories=["memory", "memory"])(flow(remembering()))
    with pytest.raises(ValueError, match="fewshot/dyce"):
        BatchEnhancement()(flow(published(1, "teacher")))


def test_tables_of_other_samples_are_refused():
    """The sentence names the tables."""
    given = flow(remembering())
    given["predicted"] = given["predicted"].with_columns(sample=torch.arange(5).repeat(2) + 1)
    with pytest.raises(ValueError, match="'teacher' and 'predicted'"):
        BatchEnhancement()(given)
    given["teacher"] = given["teacher"].with_columns(view=0)
    with pytest.raises(ValueError, match="two views of every sample"):
        BatchEnhancement()(given)
