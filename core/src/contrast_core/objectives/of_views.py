"""Some views of a table alone, and the mean over them: for objectives that go through pairs of views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Term
from contrast_core.pairs import Pairs
from contrast_core.relations import Dense, Edges, Relation


def views_in_order(*tables: Embeddings) -> list[int]:
    """The different entries of the column `view`, in the order in which they appear.

    Raises:
        ValueError: if a table has no column `view`.
    """
    found: dict[int, None] = {}
    for table in tables:
        if "view" not in table:
            have = ", ".join([*table.fields, *table.columns])
            raise ValueError(
                f"Views are told apart by the column 'view', which the table lacks; it has {have}. "
                "The sampler two-views adds it."
            )
        found |= dict.fromkeys(table["view"].tolist())
    return list(found)


def at_least_two_views(pairs: Pairs) -> list[int]:
    """The views of anchors and candidates, in the order in which they appear.

    Raises:
        ValueError: if there are fewer than two, or a table has no column `view`.
    """
    views = views_in_order(pairs.anchors, pairs.candidates)
    if len(views) < 2:
        raise ValueError(
            f"Pairs of views need at least two views, but the column 'view' of these tables holds {len(views)}; "
            "give the sampler the tables of two or more."
        )
    return views


def among(pairs: Pairs, anchors: Sequence[int], candidates: Sequence[int]) -> Pairs:
    """The pairs of the anchors of some views with the candidates of some views, under the same relations.

    Raises:
        ValueError: if a relation names rows by their number, which are others in a part of a table.
    """
    refuse_row_numbers(pairs)
    rows = _of(pairs.anchors, anchors)
    one_table = pairs.candidates is pairs.anchors and anchors == candidates
    columns = rows if one_table else _of(pairs.candidates, candidates)
    return Pairs(rows, columns, pairs.positives, pairs.negatives)


def refuse_row_numbers(pairs: Pairs) -> None:
    """Raise ValueError if a relation names rows by their number, which are others in a part of a table."""
    for relation in (pairs.positives, pairs.negatives):
        if (found := _row_numbers(relation)) is not None:
            raise ValueError(
                f"The relation {found} names rows by number, so it does not fit the tables of single views; "
                "say by a column, as with same('sample'), which rows are related."
            )


def _row_numbers(relation: Relation) -> Relation | None:
    """The first part of a relation that names rows by their number."""
    if isinstance(relation, Edges | Dense):
        return relation
    parts: Iterable[Relation] = relation.parts() if hasattr(relation, "parts") else ()
    return next((found for part in parts if (found := _row_numbers(part)) is not None), None)


def mean_of_terms(terms: list[Term]) -> Term:
    """The mean of the values of the terms that have rows, with all their rows; at least one term is given."""
    kept = [term for term in terms if term.rows] or terms[:1]
    value = torch.stack([term.value for term in kept]).mean()
    rows, dropped = (sum(counts) for counts in zip(*((t.rows, t.dropped) for t in terms), strict=True))
    return Term(value, rows, dropped, terms[0].weight, terms[0].scalars)


def _of(table: Embeddings, views: Sequence[int]) -> Embeddings:
    wanted = torch.tensor(views, dtype=table["view"].dtype, device=table.device)
    return table.select(torch.isin(table["view"], wanted).nonzero().squeeze(1))
