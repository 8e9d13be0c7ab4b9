"""Salient coordinates that each hold one known attribute: SepCLR's supervised, disentangled variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core import pairwise
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow, Objective, Outputs, Term
from contrast_core.pairs import Pairs
from contrast_core.relations import Relation, everything, kernel, same
from contrast_core.similarity import NegativeDistance
from contrast_medical.joint import JointEntropy
from contrast_medical.roles import TARGET
from contrast_medical.spaces import (
    Nullity,
    SpaceAlignment,
    SpaceUniformity,
    check_temperature,
    independence_terms,
    needed,
)

EXACT = NegativeDistance()


def likeness(temperature: float, discrete: bool) -> Relation:
    """How alike two entries of the column `attribute` are: equality, or exp(-(a_i - a_j)^2 / (2 t))."""

    def gaussian(one: Tensor, two: Tensor) -> Tensor:
        return (-(one - two).square() / (2 * temperature)).exp()

    return same("attribute") if discrete else kernel("attribute", gaussian)


@final
class SupervisedAlignment(Objective):
    """How far salient rows with like attributes are apart: L = mean_{i < j} w(a_i, a_j) |x_i - x_j|^2, target rows.

    w = exp(-(a_i - a_j)^2 / (2 t)) of numbers; of classes 1 where equal, otherwise 0, and the mean is over all pairs
    nonetheless. Target rows whose attribute is unknown (NaN) count as dropped.

    Args:
        view: a table with the column `role` and the column `attributes`, (n, k) floating.
        field: of the table, (n, d).
        coordinate: which of the d numbers is x; left out, the whole row is.
        attribute: which of the k attributes is a.
        temperature: t, more than 0, in the attribute's unit squared; not used for classes.
        discrete: the attribute is a class.

    A batch without two target rows gives zero with rows = 0.

    Use: Beside `SpaceUniformity`, so that a coordinate orders images by a known attribute.

    Cost: O(n^2 d) time, O(n d) memory, in tiles.

    Parity: sup_align_loss and discrete_sup_align_loss of the authors' losses.py, values and gradients to 1e-10 in
        float64; the latter has the kernel exp(-(a_i - a_j)^2 / 1e-5), for whole numbers the same.

    Raises:
        ValueError: if the temperature is not positive or a place negative; in use, if the table has no such place.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        view: str = "image",
        field: str = "salient",
        coordinate: int | None = None,
        attribute: int = 0,
        temperature: float = 0.025,
        discrete: bool = False,
    ):
        super().__init__()
        check_temperature(temperature)
        if attribute < 0 or (coordinate is not None and coordinate < 0):
            raise ValueError(f"coordinate = {coordinate} and attribute = {attribute} are places from 0 on.")
        self.needs = needed([view], field, "role", "attributes")
        self.view, self.field, self.coordinate, self.attribute = view, field, coordinate, attribute
        self.relation = likeness(temperature, discrete)

    def forward(self, outputs: Outputs) -> Term:
        """The mean over all pairs of target rows."""
        table = outputs.tables[self.view]
        rows = table[self.field] if self.coordinate is None else column_of(table, self.field, self.coordinate)
        values = attribute_of(table, self.attribute)
        target = table["role"] == TARGET
        known = target & values.isfinite()
        count, dropped = int(known.sum()), int((target & ~known).sum())
        if count < 2:
            return Term(table[self.field].sum() * 0.0, rows=0, dropped=dropped)
        chosen = Embeddings.of(rows[known], attribute=values[known])
        sums, _ = pairwise.weighted_sum(Pairs(chosen, chosen, everything, everything), self.relation, EXACT, 1.0)
        return Term(-sums.sum() / (count * (count - 1)), count, dropped)


def column_of(table: Embeddings, field: str, place: int) -> Tensor:
    """One number of each row of a field, (n, 1); ValueError if there is none at this place."""
    rows: Tensor = table[field]
    if rows.dim() != 2 or place >= rows.shape[1]:
        raise ValueError(f"The field '{field}', {tuple(rows.shape)}, has no coordinate {place}.")
    return rows[:, place : place + 1]


def attribute_of(table: Embeddings, place: int) -> Tensor:
    """One attribute of each row, (n,); ValueError if there is none at this place."""
    values: Tensor = table["attributes"]
    if values.dim() != 2 or place >= values.shape[1]:
        raise ValueError(
            f"The column `attributes`, {tuple(values.shape)}, has no attribute {place}; the data's option `attributes` "
            "names which ones are in a batch."
        )
    return values[:, place]


@final
class SupervisedSepCLR(Objective):
    """SepCLR where attributes of the target are known: salient coordinate k is to hold attribute k.

        L = align(c) + uniform(c)  +  beta mean_k (uniform(s'_k) + (align_k + null_k) / 2)  +  lambda independence

    c are the common rows of the clean and of the changed image at unit length, s the salient rows of the clean image
    alone, as a change of the image would change its attributes; s' is s with the background at the origin. align_k is
    `SupervisedAlignment` of coordinate and attribute k, null_k `Nullity` of coordinate k. The salient space must have
    as many dimensions as there are attributes.

    Args:
        views: the clean and the changed view: tables with fields `common` and `salient`, columns `sample`, `role`
            and `attributes` (n, k).
        discrete: numbers of the attributes that are classes.
        target_weight: beta.
        independence_weight: lambda; 0 leaves the term out.
        temperature: t of the kernels of rows, and of null_k where attribute k is a class.
        attribute_temperature: t of align_k and null_k where attribute k is a number, as in the authors' code.
        independence: what keeps the spaces apart; left out, the joint entropy of the clean view.

    Use: Where it is known what the target differs in, and each difference is to be read from one number.

    Cost: O(k n^2 + n^2 (d + e)) time, O(n (d + e)) memory.

    Parity: the terms, their sum and all gradients of the authors' training script
        dsprite_digit_grid/supervised_disentangled_sep_clr_k-jem.py, to 1e-10 in float64.

    Raises:
        ValueError: for a negative weight, a temperature that is not positive, or not two views; in use, if salient
            dimensions and attributes differ in number.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        views: Sequence[str] = ("image", "one"),
        discrete: Sequence[int] = (0,),
        target_weight: float = 100.0,
        independence_weight: float = 10.0,
        temperature: float = 0.5,
        attribute_temperature: float = 0.025,
        independence: Objective | None = None,
    ):
        super().__init__()
        check_temperature(temperature)
        check_temperature(attribute_temperature)
        if min(target_weight, independence_weight) < 0:
            raise ValueError(f"Weights must not be negative, but they are {target_weight} and {independence_weight}.")
        self.target_weight, self.independence_weight = target_weight, independence_weight
        self.temperature, self.attribute_temperature = temperature, attribute_temperature
        self.view, self.discrete = views[0], frozenset(discrete)
        self.common_align = SpaceAlignment(views, "common", "all", temperature)
        self.common_uniform = SpaceUniformity(views, "common", False, temperature)
        self.uniform = SpaceUniformity(["salient"], "salient", True, temperature, normalise=False)
        self.independence = JointEntropy(views[:1], temperature) if independence is None else independence
        self.permutation_invariant = self.independence.permutation_invariant
        self.needs = tuple(
            dict.fromkeys(
                (
                    *needed(views, "common", "sample", "role"),
                    *needed(views[:1], "salient", "attributes"),
                    *self.independence.needs,
                )
            )
        )

    def prepare(self, flow: Flow) -> None:
        """Make what the independence term learns."""
        self.independence.prepare(flow)

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """The six terms by name; those of the salient space are means over coordinates."""
        table = outputs.tables[self.view]
        count = table["salient"].shape[1]
        if table["attributes"].dim() != 2 or table["attributes"].shape[1] != count:
            raise ValueError(
                f"Each salient coordinate holds one attribute, but there are {count} coordinates and the column "
                f"`attributes` is {tuple(table['attributes'].shape)}; set the salient encoder's projection to the "
                "number of attributes."
            )
        beta = self.target_weight
        found = [self._coordinate(table, place) for place in range(count)]
        terms = {"common-align": self.common_align(outputs), "common-uniform": self.common_uniform(outputs)}
        for name, weight in (("uniform", beta), ("align", beta / 2), ("null", beta / 2)):
            parts = [each[name] for each in found]
            value = torch.stack([part.value for part in parts]).mean()
            terms[f"salient-{name}"] = Term(value, parts[0].rows, parts[0].dropped, weight)
        if self.independence_weight:
            terms |= independence_terms(self.independence(outputs), self.independence_weight)
        return terms

    def after_update(self) -> None:
        """What the independence term does."""
        self.independence.after_update()

    def _coordinate(self, table: Embeddings, place: int) -> Mapping[str, Term]:
        rows = Outputs({"salient": table.with_fields(salient=column_of(table, "salient", place))}, {}, {})
        classes = place in self.discrete
        t = self.temperature if classes else self.attribute_temperature
        align = SupervisedAlignment("salient", "salient", None, place, self.attribute_temperature, classes)
        return {"uniform": self.uniform(rows), "align": align(rows), "null": Nullity(["salient"], "salient", t)(rows)}
