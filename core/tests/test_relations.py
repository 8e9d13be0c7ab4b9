"""The algebra of relations: tiles, lists and a plain loop agree for any tables and any expression."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.relations import (
    Block,
    Relation,
    Transposed,
    dense,
    differing,
    edges,
    everything,
    kernel,
    learned,
    same,
    where,
)

Row = dict[str, list[int]]
Oracle = Callable[[int, int], float]
Made = tuple[Relation, Oracle]


def distance(a: Tensor, c: Tensor) -> Tensor:
    """|a - c| of two labels."""
    return (a - c).abs()


def overlap(a: Tensor, c: Tensor) -> Tensor:
    """Number of equal entries of two rows."""
    return (a == c).sum(-1)


def table(rows: int, numbers: list[list[int]]) -> Embeddings:
    """A table whose columns come from lists of small integers."""
    entries = torch.tensor(numbers, dtype=torch.long).reshape(rows, 4)
    columns = {"label": entries[:, 0], "view": entries[:, 1], "cluster": entries[:, 2:]}
    return Embeddings({"z": entries.double()}, columns)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Embeddings, Embeddings, Relation, Oracle]:
    """Two tables (perhaps empty, perhaps the same), an expression, and what it should be for each pair."""
    n, m = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    row = st.lists(st.integers(-1, 2), min_size=4, max_size=4)
    anchors = table(n, draw(st.lists(row, min_size=n, max_size=n)))
    candidates = anchors if draw(st.booleans()) else table(m, draw(st.lists(row, min_size=m, max_size=m)))
    relation, oracle = draw(expressions(anchors, candidates))
    return anchors, candidates, relation, oracle


def leaves(draw: st.DrawFn, anchors: Embeddings, candidates: Embeddings) -> Made:
    """A relation without parts."""
    n, m = len(anchors), len(candidates)
    a, c = anchors.columns, candidates.columns
    kind = draw(st.sampled_from(["same", "missing", "where", "edges", "kernel", "rows", "differing", "dense", "all"]))
    column = draw(st.sampled_from(["label", "view"]))
    if kind == "same":
        return same(column), lambda i, j: float(a[column][i] == c[column][j])
    if kind == "missing":
        return same(column, missing=-1), lambda i, j: float(a[column][i] == c[column][j] != -1)
    if kind == "where":
        side, value = draw(st.sampled_from(["anchors", "candidates"])), draw(st.integers(0, 2))
        if side == "anchors":
            return where(column, value, side), lambda i, j: float(a[column][i] == value)
        return where(column, value), lambda i, j: float(c[column][j] == value)
    if kind == "edges":
        chosen = draw(st.lists(st.integers(0, max(n * m - 1, 0)), unique=True, max_size=n * m))
        if n * m == 0:
            chosen = []
        weights = [draw(st.integers(0, 3)) / 2 for _ in chosen] if draw(st.booleans()) else None
        at = torch.tensor(chosen, dtype=torch.long)
        values = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        lookup = dict(zip(chosen, weights or [1.0] * len(chosen), strict=True))
        return edges(at // max(m, 1), at % max(m, 1), values), lambda i, j: lookup.get(i * m + j, 0.0)
    if kind == "kernel":
        return kernel("label", distance), lambda i, j: float(abs(a["label"][i] - c["label"][j]))
    if kind == "rows":
        return kernel("cluster", overlap), lambda i, j: float((a["cluster"][i] == c["cluster"][j]).sum())
    if kind == "differing":
        return differing("cluster"), lambda i, j: float((a["cluster"][i] != c["cluster"][j]).sum())
    if kind == "dense":
        entries = draw(st.lists(st.integers(0, 2), min_size=n * m, max_size=n * m))
        matrix = torch.tensor(entries, dtype=torch.float64).reshape(n, m)
        matrix = matrix > 0 if draw(st.booleans()) else matrix
        return dense(matrix), lambda i, j: float(matrix[i, j])
    return everything, lambda i, j: 1.0


@st.composite
def expressions(draw: st.DrawFn, anchors: Embeddings, candidates: Embeddings, depth: int = 3) -> Made:
    """A tree of & | ~ * and transpositions."""
    operator = draw(st.sampled_from(["leaf", "&", "|", "~", "*", "T", "wrapped"])) if depth else "leaf"
    if operator == "leaf":
        return leaves(draw, anchors, candidates)
    if operator in ("T", "wrapped"):
        relation, f = draw(expressions(candidates, anchors, depth - 1))
        return relation.transposed() if operator == "T" else Transposed(relation), lambda i, j: f(j, i)
    left, f = draw(expressions(anchors, candidates, depth - 1))
    if operator == "~":
        return ~left, lambda i, j: float(f(i, j) == 0)
    right, g = draw(expressions(anchors, candidates, depth - 1))
    if operator == "&":
        return left & right, lambda i, j: float(f(i, j) > 0 and g(i, j) > 0)
    if operator == "|":
        return left | right, lambda i, j: float(f(i, j) > 0 or g(i, j) > 0)
    return left * right, lambda i, j: f(i, j) * g(i, j)


def in_tiles(relation: Relation, anchors: Embeddings, candidates: Embeddings, height: int, width: int) -> Tensor:
    """All weights, tile by tile."""
    n, m = len(anchors), len(candidates)
    result = torch.full((n, m), -1.0, dtype=torch.float64)
    for top in range(0, n, height):
        for left in range(0, m, width):
            rows, columns = slice(top, min(top + height, n)), slice(left, min(left + width, m))
            block = Block.tile(anchors, candidates, rows, columns)
            result[rows, columns] = relation.weigh(block).expand(block.shape).double()
    return result


def by_loop(oracle: Oracle, n: int, m: int) -> Tensor:
    """All weights, pair by pair."""
    return torch.tensor([[oracle(i, j) for j in range(m)] for i in range(n)], dtype=torch.float64).reshape(n, m)


many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(problems(), st.integers(1, 7), st.integers(1, 7))
def test_tiles_lists_and_loop_agree(problem: tuple[Embeddings, Embeddings, Relation, Oracle], h: int, w: int) -> None:
    """Whichever way a relation is evaluated, prepared or not, the weights are those of its definition."""
    anchors, candidates, relation, oracle = problem
    relation.check(anchors, candidates)
    n, m = len(anchors), len(candidates)
    expected = by_loop(oracle, n, m)
    i, j = (x.flatten() for x in torch.meshgrid(torch.arange(n), torch.arange(m), indexing="ij"))
    for form in (relation, relation.prepared(anchors, candidates)):
        assert torch.equal(in_tiles(form, anchors, candidates, h, w), expected)
        listed = form.weigh(Block(anchors, candidates, i, j)).expand(i.shape).double()
        assert torch.equal(listed.reshape(n, m), expected)
        assert form.differentiable is False
        if form.binary:
            assert form.weigh(Block(anchors, candidates, i, j)).dtype == torch.bool


@many
@given(problems(), st.integers(0, 40))
def test_a_list_holds_every_related_pair_once(
    problem: tuple[Embeddings, Embeddings, Relation, Oracle], limit: int
) -> None:
    """`listed` may list unrelated pairs, but never a pair twice, nor more than the limit."""
    anchors, candidates, relation, oracle = problem
    found = relation.listed(anchors, candidates, limit)
    if found is None:
        return
    pairs = list(zip(found[0].tolist(), found[1].tolist(), strict=True))
    assert len(pairs) == len(set(pairs)) <= limit
    needed = by_loop(oracle, len(anchors), len(candidates)).nonzero().tolist()
    assert {(i, j) for i, j in needed} <= set(pairs)


@many
@given(problems(), st.data())
def test_laws(problem: tuple[Embeddings, Embeddings, Relation, Oracle], data: st.DataObject) -> None:
    """De Morgan, double complement, and transposition hold as identities of weights."""
    anchors, candidates, r, _ = problem
    s, _ = data.draw(expressions(anchors, candidates, 1))

    def weights(relation: Relation) -> Tensor:
        return in_tiles(relation, anchors, candidates, 7, 7)

    def swapped(relation: Relation) -> Tensor:
        return in_tiles(relation.transposed(), candidates, anchors, 7, 7).T

    assert torch.equal(weights(~(r & s)), weights(~r | ~s))
    assert torch.equal(weights(~(r | s)), weights(~r & ~s))
    assert torch.equal(weights(~~r), (weights(r) > 0).double())
    assert torch.equal(weights(r.transposed().transposed()), weights(r))
    for relation in (r, r & s, r | s, r * s, ~r):
        assert torch.equal(swapped(relation), weights(relation))
    assert torch.equal(weights(r & everything), (weights(r) > 0).double())
    assert torch.equal(weights(r * everything), weights(r))


def test_expressions_read_as_they_were_written() -> None:
    """A relation's text is its code, with parentheses only where they are needed."""
    texts = {
        "same('label') & ~same('view')": same("label") & ~same("view"),
        "(same('a') | same('b')) & ~(same('c') & where('d', 3))": (same("a") | same("b"))
        & ~(same("c") & where("d", 3)),
        "same('label', missing=-1) * kernel('label', distance)": same("label", missing=-1) * kernel("label", distance),
        "everything | where('source', 1, side='anchors')": everything | where("source", 1, "anchors"),
        "learned(ReLU, field='tokens').transposed()": learned(torch.nn.ReLU(), "tokens").transposed(),
        "~edges(1 pairs) | dense(2 x 3)": ~edges(torch.tensor([0]), torch.tensor([1])) | dense(torch.ones(2, 3)),
        "differing('cluster')": differing("cluster"),
    }
    for text, relation in texts.items():
        assert str(relation) == repr(relation) == text


def test_edges_are_checked_when_made() -> None:
    """Lists that don't match, repeat themselves or weigh less than nothing are refused."""
    one, two = torch.tensor([0]), torch.tensor([0, 0])
    with pytest.raises(ValueError, match="of one length"):
        edges(one, two)
    with pytest.raises(ValueError, match="listed twice"):
        edges(two, two)
    with pytest.raises(ValueError, match=r"1 edges but weights of shape .2,."):
        edges(one, one, torch.ones(2))
    with pytest.raises(ValueError, match=r">= 0 .* one is -2"):
        edges(one, one, torch.tensor([-2.0]))
    with pytest.raises(ValueError, match="integers"):
        edges(one.float(), one.float())
    with pytest.raises(ValueError, match="dense relation are >= 0"):
        dense(torch.tensor([[-1.0]]))
    with pytest.raises(ValueError, match="a matrix"):
        dense(torch.ones(3))


def test_tables_are_checked_before_use() -> None:
    """The message names the relation, the side as the user sees it, and the column."""
    with_label, without = (Embeddings.of(torch.ones(2, 2), **c) for c in ({"label": 1}, {"view": 0}))
    for relation, sentence in [
        (same("label"), r"relation same\('label'\) needs the column 'label', which the candidates lack.* z, view"),
        (~same("label") & everything, "candidates lack"),
        (Transposed(same("label")), r"same\('label'\).transposed\(\) needs .* which the candidates lack"),
        (where("label", 1), "candidates lack"),
        (where("label", 1, "anchors").transposed(), "candidates lack"),
        (learned(torch.nn.ReLU(), "tokens"), "'tokens', which the anchors lack"),
        (dense(torch.ones(2, 3)), r"shape \(2, 3\), but the tables ask for \(2, 2\)"),
        (edges(torch.tensor([0]), torch.tensor([5])), "candidate 5, but there are 2 candidates"),
        (edges(torch.tensor([-1]), torch.tensor([0])), "anchor -1, but there are 2 anchors"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            relation.check(with_label, without)
    where("label", 1, "anchors").check(with_label, without)
    with pytest.raises(ValueError, match="'candidates' or 'anchors', not on 'left'"):
        where("label", 1, "left")


def test_columns_of_wrong_width_are_refused() -> None:
    """`same` and `where` compare one entry a row; `differing` needs equal numbers of entries."""
    wide = Embeddings.of(torch.ones(2, 2), cluster=torch.ones(2, 3))
    narrow = Embeddings.of(torch.ones(2, 2), cluster=torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"one entry a row, but the column 'cluster' of the anchors .*differing"):
        same("cluster").check(wide, narrow)
    with pytest.raises(ValueError, match="one entry a row"):
        where("cluster", 1).check(wide, narrow)
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 2\)"):
        differing("cluster").check(wide, narrow)


@pytest.mark.parametrize("kinds", [(torch.int32, torch.int64), (torch.bool, torch.bool), (torch.int64, torch.float64)])
def test_columns_of_different_types_compare_by_value(kinds: tuple[torch.dtype, torch.dtype]) -> None:
    """A queue may keep a column in another type than the batch."""
    a = Embeddings.of(torch.ones(3, 1), label=torch.tensor([0, 1, 1]).to(kinds[0]))
    c = Embeddings.of(torch.ones(2, 1), label=torch.tensor([1, 0]).to(kinds[1]))
    expected = [[0, 1], [1, 0], [1, 0]]
    relation = same("label")
    found = relation.listed(a, c, 100)
    assert found is not None
    assert sorted(zip(*(x.tolist() for x in found), strict=True)) == [(0, 1), (1, 0), (2, 0)]
    for form in (relation, relation.prepared(a, c), differing("label"), differing("label").prepared(a, c)):
        weights = in_tiles(form, a, c, 2, 2)
        assert (weights if "same" in str(form) or "edges" in str(form) else 1 - weights).tolist() == expected


def test_long_relations_are_compared_by_small_numbers() -> None:
    """Too long for a list, `same` prepares integers of two bytes; missing entries still match nothing."""
    label = torch.arange(60) % 2 - 1
    table = Embeddings.of(torch.ones(60, 1), label=label)
    for relation, expected in [
        (same("label"), label[:, None] == label),
        (same("label", missing=-1), (label[:, None] == label) & (label != -1)),
    ]:
        prepared = relation.prepared(table, table)
        assert str(prepared) == str(relation)
        assert torch.equal(in_tiles(prepared, table, table, 17, 23), expected.double())


def test_a_third_party_relation_needs_only_weigh() -> None:
    """The base class brings the algebra, transposition and a readable name."""

    class Even(Relation):
        binary = True

        def weigh(self, block: Block) -> Tensor:
            return (block.i + 2 * block.j) % 2 == 0

    tables = Embeddings.of(torch.ones(3, 1)), Embeddings.of(torch.ones(2, 1))
    relation = ~Even().transposed()
    assert str(relation) == "~Even().transposed()"
    expected = [[(j + 2 * i) % 2 != 0 for j in range(2)] for i in range(3)]
    assert in_tiles(relation, *tables, 2, 1).tolist() == expected


def test_a_relation_differentiates_where_its_weights_do() -> None:
    """Boolean combinations end gradients; products pass them on; kernels carry none."""
    weights = torch.ones(1, requires_grad=True)
    edge = edges(torch.tensor([0]), torch.tensor([0]), weights)
    assert edge.differentiable
    assert (edge * same("label")).differentiable
    assert edge.transposed().differentiable
    assert not (edge & everything).differentiable
    assert not (~edge).differentiable
    z = torch.ones(1, 1, requires_grad=True)
    table = Embeddings.of(z, label=0)
    assert edge.weigh(Block.tile(table, table, slice(0, 1), slice(0, 1))).requires_grad
    for form in (kernel("z", overlap), kernel("z", overlap).prepared(table, table)):
        assert not form.weigh(Block.tile(table, table, slice(0, 1), slice(0, 1))).requires_grad
