"""Log-denominator and positives together, and softmax means of the similarity itself, against the dense formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.pairs import Pairs
from contrast_core.relations import Block, Relation, dense, differing, distance, edges, everything, kernel, same, where
from contrast_core.relations.together import weights_of
from contrast_core.similarity import Cosine, Dot, NegativeDistance, Similarity

N, M = 13, 9


def table(rows: int, seed: int, spread: float = 1.0) -> Embeddings:
    """Normal float64 rows that want a gradient, with columns."""
    make = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 5, generator=make, dtype=torch.float64).mul(spread).requires_grad_()
    columns = {"label": torch.arange(rows) % 3, "view": torch.arange(rows) % 2, "sample": torch.arange(rows) // 2}
    columns["cluster"] = torch.stack([torch.arange(rows) % 4, torch.arange(rows) // 3], 1)
    return Embeddings.of(z, heat=torch.rand(rows, generator=make, dtype=torch.float64), **columns)


RELATIONS: dict[str, Callable[[int], Relation]] = {
    "everyone": lambda m: everything,
    "other samples": lambda m: ~same("sample"),
    "others of a label": lambda m: same("label") & ~same("sample"),
    "one view": lambda m: where("view", 1) & ~same("sample"),
    "weighted": lambda m: ~same("sample") * distance("heat"),
    "weighted, one side": lambda m: kernel("heat", lambda a, c: 1 + a * c * c) * ~same("sample"),
    "weighted but for some, one way round": lambda m: (
        ~edges(torch.tensor([0, 2, 5]), torch.tensor([1, 3, 8])) * distance("heat")
    ),
    "counted": lambda m: differing("cluster"),
    "listed": lambda m: edges(torch.tensor([0, 2, 2, 5]), torch.tensor([1, 0, 3, 8]), torch.tensor([0.5, 2, 1, 3])),
    "odd": lambda m: dense((torch.arange(N * m).reshape(N, m) % 7 < 3).double()),
    "nobody": lambda m: ~everything,
}


def cases(one_table: bool) -> Iterator[Pairs]:
    """All relations as denominators, with positives that some rows lack."""
    anchors = table(N, 1)
    candidates = anchors if one_table else table(M, 2)
    for make in RELATIONS.values():
        yield Pairs(anchors, candidates, same("sample") & ~same("view"), make(len(candidates)))


def by_matrix(pairs: Pairs, similarity: Similarity, temperature: float | Tensor) -> list[Tensor]:
    """Denominator, mean positive logit and weight, dense."""
    logits, weights = pairwise.matrix(pairs, pairs.negatives, similarity, temperature)
    _, positive = pairwise.matrix(pairs, pairs.positives, similarity, temperature)
    total = positive.double().sum(1)
    mean = (logits * positive).sum(1) / total.clamp(min=1)
    # A row with nobody in it would have a gradient of NaN for everybody.
    some = (weights > 0).any(1)
    denominator = logits.new_full((len(logits),), -torch.inf)
    denominator[some] = (logits + weights.double().log())[some].logsumexp(1)
    return [denominator, mean, total]


def agree(found: Tensor, expected: Tensor, *leaves: Tensor) -> None:
    """Values and gradients of a weighted sum of the finite entries."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    factor = torch.linspace(0.5, 2, len(found), dtype=found.dtype)
    losses = [torch.where(x.isfinite(), x, 0.0) @ factor for x in (found, expected)]
    if losses[1].requires_grad:
        gradients = [torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) for loss in losses]
        for ours, theirs in zip(*gradients, strict=True):
            zero = torch.zeros(())
            torch.testing.assert_close(
                zero.double() if ours is None else ours, (zero.double() if theirs is None else theirs).nan_to_num(0.0),
                rtol=1e-11, atol=1e-12,
            )  # fmt: skip


@pytest.mark.parametrize("tile", [None, 4, 50])
@pytest.mark.parametrize("one_table", [True, False])
@pytest.mark.parametrize("similarity", [Cosine(), Dot(), NegativeDistance()], ids=str)
def test_contrast_is_its_parts(tile: int | None, one_table: bool, similarity: Similarity) -> None:
    """All relations, rows without anybody among them, small and in tiles, with a learned temperature."""
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    for pairs in cases(one_table):
        leaves = (pairs.anchors.z, temperature, *([] if one_table else [pairs.candidates.z]))
        found = pairwise.contrast(pairs, pairs.negatives, similarity, temperature, tile=tile)
        for ours, theirs in zip(found, by_matrix(pairs, similarity, temperature), strict=True):
            agree(ours, theirs, *leaves)


@pytest.mark.parametrize("tile", [None, 4])
@pytest.mark.parametrize("one_table", [True, False])
def test_both_sides_are_those_of_the_swapped_pairs(tile: int | None, one_table: bool) -> None:
    """Anchors and candidates exchanged; each candidate may have a temperature of its own."""
    for pairs in cases(one_table):
        leaves = (pairs.anchors.z, pairs.candidates.z)
        forth, back = pairwise.two_sided_contrast(pairs, pairs.negatives, temperature=0.3, tile=tile)
        for found, side in ((forth, pairs), (back, pairs.swapped())):
            for ours, theirs in zip(found, by_matrix(side, Cosine(), 0.3), strict=True):
                agree(ours, theirs, *leaves)


@pytest.mark.parametrize("tile", [None, 4])
def test_every_part_has_second_derivatives(tile: int | None) -> None:
    """Gradients of gradients are those of the dense formulas."""
    pairs = Pairs(table(6, 1), table(5, 2), same("sample"), ~same("sample"))
    z = pairs.anchors.z
    for number in (0, 1):
        found = []
        for parts in (
            pairwise.contrast(pairs, pairs.negatives, temperature=0.5, tile=tile),
            by_matrix(pairs, Cosine(), 0.5),
        ):
            (first,) = torch.autograd.grad(parts[number].sin().sum(), z, create_graph=True)
            found.append(torch.autograd.grad(first.square().sum(), z)[0])
        torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tile", [None, 4])
@pytest.mark.parametrize("size", [1e4, 1e-4])
def test_huge_and_tiny_products_stay_finite(tile: int | None, size: float) -> None:
    """Unnormalised products up to 1e8 / 0.005 in float32."""
    anchors, candidates = (Embeddings.of(t.z.detach().float() * size, sample=t["sample"])
                           for t in (table(N, 1), table(M, 2)))  # fmt: skip
    pairs = Pairs(anchors, candidates, same("sample"), ~same("sample"))
    found = pairwise.contrast(pairs, pairs.negatives, Dot(), 0.005, tile=tile)
    exact = Pairs(*(Embeddings.of(t.z.double(), sample=t["sample"]) for t in (anchors, candidates)),
                  pairs.positives, pairs.negatives)  # fmt: skip
    for ours, theirs in zip(found, by_matrix(exact, Dot(), 0.005), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-6)


def test_half_precision_and_autocast_sum_in_float32() -> None:
    """Half-precision rows give float32 numbers, close to those of the rows they are."""
    for kind in (torch.float16, torch.bfloat16):
        rows = [Embeddings.of(t.z.detach().to(kind), sample=t["sample"]) for t in (table(N, 1), table(M, 2))]
        exact = [Embeddings.of(t.z.double(), sample=t["sample"]) for t in rows]
        half, whole = (Pairs(*each, same("sample"), ~same("sample")) for each in (rows, exact))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = pairwise.contrast(half, half.negatives, temperature=0.005)
        for ours, theirs in zip(found, by_matrix(whole, Cosine(), 0.005), strict=True):
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-4)


def test_what_relations_share_is_looked_at_once() -> None:
    """Relations written twice are one."""
    looks = []

    class Counted(type(everything)):  # type: ignore[misc]
        def identity(self) -> object:
            return "counted"

        def weigh(self, block: Block) -> Tensor:
            looks.append(block)
            weights: Tensor = super().weigh(block)
            return weights

    rows = table(4, 0)
    block = Block.tile(rows, rows, slice(0, 4), slice(0, 4))
    first, second = weights_of(block, Counted() & same("label"), ~Counted() | same("label"))
    assert len(looks) == 1
    assert torch.equal(first, second)


@pytest.mark.parametrize("tile", [None, 4, 50])
@pytest.mark.parametrize("detached", [True, False])
@pytest.mark.parametrize("one_table", [True, False])
def test_a_softmax_mean_of_the_similarity_itself(tile: int | None, detached: bool, one_table: bool) -> None:
    """By hand and by autograd the same, with weights in the graph and without, with a temperature a row too."""
    for temperature in (0.2, -0.4, torch.linspace(0.2, 1, N, dtype=torch.float64)[:, None]):
        for pairs in cases(one_table):
            arguments = (pairs, pairs.negatives, Cosine(), temperature)
            found = pairwise.softmax_mean(None, *arguments, detach_weights=detached, tile=tile)
            logits, weights = pairwise.matrix(*arguments)
            some = (weights > 0).any(1)
            share = (logits + weights.double().log())[some].softmax(1)
            means = ((share.detach() if detached else share) * (logits * temperature)[some]).sum(1)
            expected = logits.new_zeros(len(logits)).index_put((some,), means)
            agree(found, expected, pairs.anchors.z, pairs.candidates.z)


def test_softmax_means_have_second_derivatives() -> None:
    """Of the hand-written road too."""
    pairs = Pairs(table(6, 1), table(5, 2), same("sample"), ~same("sample"))
    found = []
    for function in (None, lambda s: s):
        y = pairwise.softmax_mean(function, pairs, pairs.negatives, temperature=0.5, tile=3)
        (first,) = torch.autograd.grad(y.sin().sum(), pairs.anchors.z, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), pairs.anchors.z)[0])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_share_tiles_and_change_nothing(threads: int) -> None:
    """Values and gradients of every hand-written function."""
    before = torch.get_num_threads()
    try:
        for one_table in (True, False):
            for pairs in cases(one_table):
                found = []
                for count in (1, threads):
                    torch.set_num_threads(count)
                    c = pairwise.contrast(pairs, pairs.negatives, temperature=0.3, tile=3)
                    soft = pairwise.softmax_mean(None, pairs, pairs.negatives, temperature=0.3, tile=3)
                    loss = torch.where(c.denominator.isfinite(), c.denominator, 0).sum() - c.positive.sum() + soft.sum()
                    found.append([loss, *torch.autograd.grad(loss, (pairs.anchors.z, pairs.candidates.z))])
                for one, many in zip(*found, strict=True):
                    torch.testing.assert_close(one, many, rtol=1e-12, atol=1e-13)
    finally:
        torch.set_num_threads(before)
