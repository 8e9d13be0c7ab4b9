"""Alignment, uniformity and nullity of one space: the parts that SepCLR's first five terms are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.alignment import Alignment, Uniformity
from contrast_core.pairs import Pairs
from contrast_core.relations import same
from contrast_medical.roles import BACKGROUND, ROLES, TARGET

Group = Literal["all", "target", "background"]


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless it is positive."""
    if temperature <= 0:
        raise ValueError(f"temperature = {temperature} must be more than 0.")


def anchored(table: Embeddings, field: str) -> Tensor:
    """The field with background rows replaced by zero, the constant s' of the paper; (n, d).

    Target rows keep their gradients, background rows have none.
    """
    rows: Tensor = table[field]
    return rows * (table["role"] == TARGET).to(rows)[:, None]


def needed(views: Sequence[str], *names: str) -> tuple[str, ...]:
    """The names of the flow: tables, and these fields or columns of each; ValueError unless there is a table."""
    if not views:
        raise ValueError("views must name at least one table.")
    return tuple(f"{view}.{name}" for view in views for name in names)


def mean_term(terms: Sequence[Term]) -> Term:
    """The mean of the same term of several views."""
    value = sum((term.value for term in terms[1:]), terms[0].value) / len(terms)
    return Term(value, terms[0].rows, terms[0].dropped)


def independence_terms(
    found: Term | Mapping[str, Term], weight: float, scalars: Mapping[str, float] | None = None
) -> dict[str, Term]:
    """The terms of an independence objective, named and weighted as terms of a loss, with more to log if there is."""
    several = found if isinstance(found, Mapping) else {"": found}
    return {
        f"independence-{name}" if name else "independence": Term(
            term.value, term.rows, term.dropped, weight * term.weight, {**term.scalars, **(scalars or {})}
        )
        for name, term in several.items()
    }


@final
class SpaceAlignment(Objective):
    """How far the two views of an image are apart in one space: L = mean_i |a_i - b_i|^power / (2 t).

    Args:
        views: two tables whose rows belong together by their column `sample`, with the column `role`.
        field: of the tables, (n, d).
        group: whose rows count: "all", those of the "target" or of the "background".
        temperature: t, more than 0.
        power: of the distance.
        normalise: scale rows to unit length first.

    A batch without a row of the group gives zero with rows = 0, where the authors' code has NaN.

    Use: For the common space with all rows, for the salient space with those of the target.

    Cost: O(n d) time and memory.

    Parity: align_loss of the authors' losses.py, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive, the power below 1, or there are not two views.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        field: str = "common",
        group: Group = "all",
        temperature: float = 0.5,
        power: float = 2.0,
        normalise: bool = True,
    ):
        super().__init__()
        check_temperature(temperature)
        if len(views) != 2:
            raise ValueError(f"views must be two tables, not {list(views)}.")
        self.needs = needed(views, field, "sample", "role")
        self.views, self.field, self.group, self.temperature = tuple(views), field, group, temperature
        self.alignment = Alignment("pairs", power, normalise)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the rows of the group."""
        one, two = (self._chosen(outputs.tables[view]) for view in self.views)
        if not len(one):
            return Term(outputs.tables[self.views[0]][self.field].sum() * 0.0, rows=0)
        term = self.alignment(Outputs({}, {"pairs": Pairs(one, two, same("sample"), ~same("sample"))}, {}))
        return Term(term.value / (2 * self.temperature), term.rows, term.dropped)

    def _chosen(self, table: Embeddings) -> Embeddings:
        rows = Embeddings.of(table[self.field], sample=table["sample"])
        return rows if self.group == "all" else rows.select(table["role"] == ROLES[self.group])


@final
class SpaceUniformity(Objective):
    """How far one space is from spread evenly: L = log mean_{i < j} exp(-|x_i - x_j|^2 / (2 t)), the mean over views.

    With `anchor`, background rows count as x = 0: then what repels target rows is each other and the origin, where the
    background is; rows of the background are repelled by nothing.

    Args:
        views: the tables, with the column `role`.
        field: of the tables, (n, d).
        anchor: put background rows at the origin, without gradient.
        temperature: t, more than 0.
        normalise: scale rows to unit length first; not together with `anchor`.

    Use: For the common space normalised, for the salient space with its anchor.

    Cost: O(n^2 d) time and O(n d) memory for each view, in tiles; the authors' list of distances has O(n^2).

    Parity: uniform_loss of the authors' losses.py, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive, there is no view, or rows are both normalised and anchored.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        field: str = "common",
        anchor: bool = False,
        temperature: float = 0.5,
        normalise: bool = True,
    ):
        super().__init__()
        check_temperature(temperature)
        if anchor and normalise:
            raise ValueError("An anchored space can't be normalised: the origin has no direction; normalise = false.")
        self.needs = needed(views, field, "role")
        self.views, self.field, self.anchor = tuple(views), field, anchor
        self.uniformity = Uniformity("rows", 1 / (2 * temperature), normalise)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of all pairs of rows."""
        return mean_term([self._uniform(outputs.tables[view]) for view in self.views])

    def _uniform(self, table: Embeddings) -> Term:
        rows = anchored(table, self.field) if self.anchor else table[self.field]
        term: Term = self.uniformity(Outputs({"rows": Embeddings({"z": rows}, {}, table.group)}, {}, {}))
        return term


@final
class Nullity(Objective):
    """How far background rows are from the origin of the salient space: L = mean_i |s_i|^2 / (2 t), over both views.

    Args:
        views: tables with the column `role`.
        field: of the tables, (n, d).
        temperature: t, more than 0.

    A batch without background gives zero with rows = 0.

    Use: So that images of the background carry no salient information.

    Cost: O(n d).

    Parity: the third term of the authors' training script, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive, or there is no view.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), field: str = "salient", temperature: float = 0.5):
        super().__init__()
        check_temperature(temperature)
        self.needs = needed(views, field, "role")
        self.views, self.field, self.temperature = tuple(views), field, temperature

    def forward(self, outputs: Outputs) -> Term:
        """The mean over background rows."""
        tables = [outputs.tables[view] for view in self.views]
        rows = torch.cat([table[self.field][table["role"] == BACKGROUND] for table in tables])
        if not len(rows):
            return Term(tables[0][self.field].sum() * 0.0, rows=0)
        return Term(rows.square().sum(1).mean() / (2 * self.temperature), len(rows) // len(tables))
