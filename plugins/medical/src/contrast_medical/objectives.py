"""The objective of SepCLR and its terms, each an objective of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_medical.leakage import Constraint
from contrast_medical.roles import is_target, salient_rows
from contrast_medical.terms import aligned, minus_entropy, spread, unit

Space = Literal["common", "salient"]


def check_tau(tau: float) -> None:
    """Raise ValueError unless the width of the kernels is positive."""
    if not tau > 0:
        raise ValueError(f"tau = {tau}, the width of the kernels, must be more than 0.")


def read(views: Sequence[str], *fields: str) -> tuple[str, ...]:
    """What an objective needs that reads fields of views, and their roles."""
    return tuple(f"{view}.{field}" for view in views for field in (*fields, "role"))


@final
class SpaceAlignment(Objective):
    """The two views of an image are close in a space: mean_i |a_i - b_i|^2 / (2 tau).

    In the common space rows are of unit length and all images count; in the salient space they are as they are and
    only targets count. Without any of these the term is zero, with rows = 0.

    Args:
        views: the two tables, with fields common and salient (n, d) and the column role.
        space: which field.
        tau: width of the kernel.

    Use: As a term of its own weight, where `SepCLR` ties the weights together; with `SpaceUniformity`.

    Cost: O(n d).

    Parity: align_loss of the authors' code, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if tau is not positive or there are not two views; in use, for roles other than 0 and 1.

    Paper: SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), space: Space = "common", tau: float = 0.5):
        super().__init__()
        check_tau(tau)
        if len(views) != 2:
            raise ValueError(f"Two views are aligned, not {list(views)}.")
        self.views, self.space, self.tau = tuple(views), space, tau
        self.needs = read(views, space)

    def forward(self, outputs: Outputs) -> Term:
        """The mean over the images that count."""
        return _alignment([outputs.tables[view] for view in self.views], self.space, self.tau)


@final
class SpaceUniformity(Objective):
    """Codes of a space are spread: log mean_{i < j} exp(-|x_i - x_j|^2 / (2 tau)), the mean of the views' values.

    In the common space x are rows of unit length. In the salient space they are as they are, and a background image's
    is the constant s' = 0: so targets are repelled from each other and from s', and background codes by nothing.

    Args:
        views: tables with fields common and salient (n, d) and the column role.
        space: which field.
        anchored: whether background images stand at s' = 0; else they count with their own codes, as in plain SimCLR.
        tau: width of the kernel.

    Use: With `SpaceAlignment`.

    Cost: O(n^2 d) time, O(n d) memory.

    Parity: uniform_loss of the authors' code, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if tau is not positive or there is no view; in use, for roles other than 0 and 1.

    Paper: SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        space: Space = "common",
        anchored: bool = True,
        tau: float = 0.5,
    ):
        super().__init__()
        check_tau(tau)
        if not views:
            raise ValueError("At least one view is needed.")
        self.views, self.space, self.anchored, self.tau = tuple(views), space, anchored, tau
        self.needs = read(views, space)

    def forward(self, outputs: Outputs) -> Term:
        """The mean over the views."""
        return _uniformity([outputs.tables[view] for view in self.views], self.space, self.tau, self.anchored)


@final
class InformationLess(Objective):
    """Background images say nothing in the salient space: mean over them of |s_i|^2 / (2 tau), over all views.

    Without a background image the term is zero, with rows = 0.

    Args:
        views: tables with the field salient (n, d) and the column role.
        tau: width of the kernel.

    Use: Beside the salient terms of SepCLR; it is what makes the salient space salient.

    Cost: O(n d).

    Parity: the null term of the authors' training loop, value and gradients to 1e-10 in float64.

    Raises:
        ValueError: if tau is not positive or there is no view; in use, for roles other than 0 and 1.

    Paper: SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(self, views: Sequence[str] = ("one", "two"), tau: float = 0.5):
        super().__init__()
        check_tau(tau)
        if not views:
            raise ValueError("At least one view is needed.")
        self.views, self.tau = tuple(views), tau
        self.needs = read(views, "salient")

    def forward(self, outputs: Outputs) -> Term:
        """The mean over background rows."""
        return _null([outputs.tables[view] for view in self.views], self.tau)


@final
class Independence(Objective):
    """Common and salient codes say nothing of each other, by kernel estimates of entropies, the mean over the views.

        H(a) = - mean_i log mean_j exp(-|a_i - a_j|^2 / (2 tau)),   j = i included
        k-JEM   - H(c, s)                    with the product of both kernels
        k-MI    H(c) + H(s) - H(c, s)

    c are rows of unit length, s the salient codes with background images at s' = 0. k-JEM is the paper's: k-MI also
    lowers the two entropies that the rest of the loss raises.

    Args:
        views: tables with fields common and salient (n, d) and the column role.
        estimator: "joint-entropy" (k-JEM) or "mutual-information" (k-MI).
        tau: width of the kernels.

    Use: With a recipe's own choice of the other terms; `SepCLR` has it inside.

    Cost: O(n^2 (d_c + d_s)) time in blocks, O(n (d_c + d_s)) memory above 2^16 pairs; k-MI three times that.

    Parity: joint_entropy_loss of the authors' code, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if tau is not positive or there is no view; in use, for roles other than 0 and 1.

    Paper: SepCLR, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        estimator: Literal["joint-entropy", "mutual-information"] = "joint-entropy",
        tau: float = 0.5,
    ):
        super().__init__()
        check_tau(tau)
        if not views:
            raise ValueError("At least one view is needed.")
        self.views, self.estimator, self.tau = tuple(views), estimator, tau
        self.needs = read(views, "common", "salient")

    def forward(self, outputs: Outputs) -> Term:
        """The mean over the views."""
        return _independence([outputs.tables[view] for view in self.views], self.estimator, self.tau)


@final
class SepCLR(Objective):
    """All six terms: L = common + beta salient + beta_null null + lambda independence.

        common   align(n(C1), n(C2)) + uniformity_weight (uniform(n(C1)) + uniform(n(C2))) / 2
        salient  align(S1, S2) of targets + uniformity_weight (uniform(S~1) + uniform(S~2)) / 2
        null     mean over background images of |s|^2 / (2 tau)
        jem      (jem(n(C1), S~1) + jem(n(C2), S~2)) / 2

    S~ are salient codes with background images at the constant s' = 0, through which no gradient flows. The terms are
    named common-alignment, common-uniformity, salient-alignment, salient-uniformity, null and independence, with their
    factors as weights. A term of which a batch has no row is zero, with rows = 0.

    With `allowed`, lambda isn't fixed: it rises while s predicts more of c than that, and falls otherwise (see
    `Constraint`). This goes beyond the paper.

    Args:
        views: the two tables, with fields common and salient (n, d) and the column role.
        beta: weight of the salient terms; the paper's is 1 for medical images and 1000 for composites.
        beta_null: weight of the null term; the paper's are 10, 100 and 1000.
        independence: lambda, at the start if `allowed` is given; 0 leaves the term out.
        estimator: "joint-entropy" (k-JEM) or "mutual-information" (k-MI).
        anchored: whether background images stand at s' = 0 in the salient uniformity; false, with beta_null = 0 and
            independence = 0, is SimCLR in two spaces of which the salient one aligns targets alone.
        uniformity_weight: of both uniformities; 2 in the paper's unsupervised experiments.
        allowed: R^2, from 0 to 1, of common codes predicted from salient ones that is still allowed.
        tau: width of all kernels.

    Use: Two sets of images of which one has something more, and no other label.

    Cost: O(n^2 (d_c + d_s)) time, O(n (d_c + d_s)) memory above 2^16 pairs.

    Parity: the training loop of the authors' code, the six terms, the total and the gradients of all four heads to
        1e-10 in float64.

    Raises:
        ValueError: for a negative weight, tau not positive, `allowed` out of range or not two views; in use, for roles
            other than 0 and 1.

    Paper: Louiset, Duchesnay, Grigis, Gori, ICLR 2024, arXiv 2402.11928.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        beta: float = 1.0,
        beta_null: float = 100.0,
        independence: float = 10.0,
        estimator: Literal["joint-entropy", "mutual-information"] = "joint-entropy",
        anchored: bool = True,
        uniformity_weight: float = 2.0,
        allowed: float | None = None,
        tau: float = 0.5,
    ):
        super().__init__()
        check_tau(tau)
        weights = {"beta": beta, "beta_null": beta_null, "independence": independence}
        for name, value in {**weights, "uniformity_weight": uniformity_weight}.items():
            if value < 0:
                raise ValueError(f"{name} = {value} must not be negative.")
        if len(views) != 2:
            raise ValueError(f"Two views are compared, not {list(views)}.")
        if allowed is not None and independence == 0:
            raise ValueError("With `allowed` the weight `independence` is where lambda starts; it must be above 0.")
        self.views, self.tau, self.estimator, self.anchored = tuple(views), tau, estimator, anchored
        self.beta, self.beta_null, self.independence = beta, beta_null, independence
        self.uniformity_weight = uniformity_weight
        self.constraint = None if allowed is None else Constraint(allowed, independence)
        self.needs = read(views, "common", "salient")

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """The terms by name."""
        tables = [outputs.tables[view] for view in self.views]
        terms = {
            "common-alignment": (_alignment(tables, "common", self.tau), 1.0),
            "common-uniformity": (_uniformity(tables, "common", self.tau, True), self.uniformity_weight),
            "salient-alignment": (_alignment(tables, "salient", self.tau), self.beta),
            "salient-uniformity": (
                _uniformity(tables, "salient", self.tau, self.anchored), self.beta * self.uniformity_weight,
            ),
        }  # fmt: skip
        if self.beta_null:
            terms["null"] = (_null(tables, self.tau), self.beta_null)
        if self.independence:
            terms["independence"] = (_independence(tables, self.estimator, self.tau), self._lambda(tables))
        return {name: _weighted(term, weight) for name, (term, weight) in terms.items()}

    def after_update(self) -> None:
        """Let lambda follow what the step's codes gave away of each other."""
        if self.constraint is not None:
            self.constraint.after_update()

    def _lambda(self, tables: Sequence[Embeddings]) -> float:
        if self.constraint is None:
            return self.independence
        if self.training:
            target = is_target(tables[0])
            self.constraint.look(tables[0]["common"][target], tables[0]["salient"][target])
        return self.constraint.weight


def _weighted(term: Term, weight: float) -> Term:
    return Term(term.value, term.rows, term.dropped, weight, term.scalars)


def _alignment(tables: Sequence[Embeddings], space: str, tau: float) -> Term:
    one, two = (table[space] for table in tables)
    if space == "common":
        return aligned(unit(one), unit(two), tau)
    target = is_target(tables[0])
    return aligned(one[target], two[target], tau, dropped=int((~target).sum()))


def _uniformity(tables: Sequence[Embeddings], space: str, tau: float, anchored: bool) -> Term:
    common = space == "common"
    rows = [salient_rows(table) if anchored and not common else table[space] for table in tables]
    values = [spread(each, tau, normalise=common) for each in rows]
    return _mean(values, len(tables[0]) if len(tables[0]) > 1 else 0)


def _null(tables: Sequence[Embeddings], tau: float) -> Term:
    background = [table["salient"][~is_target(table)] for table in tables]
    rows = torch.cat(background)
    return aligned(rows, torch.zeros_like(rows), tau)


def _independence(tables: Sequence[Embeddings], estimator: str, tau: float) -> Term:
    values = []
    for table in tables:
        c, s = unit(table["common"]), salient_rows(table)
        value = minus_entropy({"c": c, "s": s}, tau)
        if estimator == "mutual-information":
            value = value - minus_entropy({"c": c}, tau) - minus_entropy({"s": s}, tau)
        values.append(value)
    return _mean(values, len(tables[0]))


def _mean(values: Sequence[Tensor], rows: int) -> Term:
    return Term(torch.stack(list(values)).mean(), rows=rows)
