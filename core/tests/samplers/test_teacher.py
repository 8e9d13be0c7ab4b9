"""The samplers of a student and its teacher, as matrices on small tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.memories.fifo import Queue
from contrast_core.pairwise import matrix
from contrast_core.samplers.teacher import TeacherQueue, TeacherViews


def flow() -> dict[str, Any]:
    """Two samples, three views of a student and of a teacher."""
    names = [f"{view}{suffix}" for view in "abc" for suffix in ("", "-teacher")]
    generator = torch.Generator().manual_seed(0)
    tables = {}
    for name in names:
        z = torch.randn(2, 3, generator=generator, requires_grad=True)
        tables[name] = Embeddings.of(z, sample=torch.tensor([5, 6]))
    return tables


def test_views_against_the_teachers_other_views() -> None:
    """Positives are the sample's other views, negatives all views of other samples; the own view's key is neither."""
    sampler = TeacherViews("abc", keys=["a", "c"], name="all")
    pairs = sampler(flow())["all"]
    assert (tuple(sampler.needs), tuple(sampler.gives)) == (("a", "b", "c", "a-teacher", "c-teacher"), ("all",))
    positives, negatives = (matrix(pairs, r)[1].int().tolist() for r in (pairs.positives, pairs.negatives))
    # Candidates: a5 a6 c5 c6.
    assert positives == [
        [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]
    ]  # fmt: skip
    assert negatives == [[0, 1, 0, 1], [1, 0, 1, 0]] * 3
    assert pairs.anchors.z.requires_grad
    assert not pairs.candidates.z.requires_grad


@pytest.mark.parametrize("in_batch", [True, False])
def test_views_against_a_queue_and_the_batch(in_batch: bool) -> None:
    """Negatives are the queue, but for the own sample, and the student's other samples in the same view."""
    queue = Queue("b-teacher", size=2, dimension=3)
    queue.write(Embeddings.of(torch.eye(3)[:2], sample=torch.tensor([6, 8])))
    sampler = TeacherQueue("ab", in_batch=in_batch)
    pairs = sampler({**flow(), "queue": queue})["pairs"]
    assert tuple(sampler.needs) == ("a", "b", "a-teacher", "b-teacher", "queue")
    # Candidates: the teacher's a5 a6 b5 b6, the queue's 6 8, the student's a5 a6 b5 b6.
    positives, negatives = (matrix(pairs, r)[1].int().tolist() for r in (pairs.positives, pairs.negatives))
    none = [0, 0, 0, 0]
    own = [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    batch = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    met = [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert positives == [[*o, 0, 0, *(none if in_batch else [])] for o in own]
    assert negatives == [[*none, *m, *(b if in_batch else [])] for m, b in zip(met, batch, strict=True)]


def test_bad_arguments() -> None:
    """One view, and a key that is none of the views."""
    for sampler in (TeacherViews, TeacherQueue):
        with pytest.raises(ValueError, match="give two views, not \\['a'\\]"):
            sampler(["a"])
    with pytest.raises(ValueError, match="one of the views a, b, not 'b-teacher'"):
        TeacherViews(["a", "b"], keys=["b-teacher"])
