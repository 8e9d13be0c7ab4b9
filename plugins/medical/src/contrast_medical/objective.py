"""SepCLR's loss: the six terms together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.interfaces import Flow, Objective, Outputs, Term
from contrast_medical.balance import Balance
from contrast_medical.joint import JointEntropy
from contrast_medical.spaces import Nullity, SpaceAlignment, SpaceUniformity, independence_terms, needed


@final
class SepCLR(Objective):
    """Common and salient space together, for two views of images of a background and a target group.

        L = align(c) + 2 uniform(c)  +  beta_t (align(s) + 2 uniform(s'))  +  beta_r null(s)  +  lambda independence

    c are the common rows at unit length, s the salient rows, s' the same with the background at the origin; align(s)
    is over target rows, null(s) over background rows, uniform and independence are means over both views. The terms
    are `SpaceAlignment`, `SpaceUniformity`, `Nullity` and, of c and s', `JointEntropy` (k-JEM) or another in its place;
    each is logged under its name: common-align, common-uniform, salient-align, salient-uniform, salient-null,
    independence.

    As the networks of the two spaces share no weight and Adam does not see a gradient's scale, beta_t, beta_r and
    lambda set ratios within the salient network, and lambda alone those within the common one.

    Args:
        views: two tables with fields `common` and `salient`, columns `sample` and `role`.
        target_weight: beta_t.
        background_weight: beta_r.
        independence_weight: lambda; 0 leaves the term out. With `cross_prediction` it is where lambda starts.
        uniformity_weight: the factor 2 of both uniformities.
        temperature: t of all kernels exp(-|a - b|^2 / (2 t)).
        independence: what keeps the spaces apart; left out, the joint entropy of these views at this temperature. An
            objective of several terms has all of them weighted by lambda.
        cross_prediction: left out, lambda is constant, as in the paper. Otherwise lambda grows as long as the linear
            R^2 of the target's common rows from their salient rows is above this number, and shrinks below it; see
            `contrast_medical.balance.Balance`. Beyond the paper.

    Use: Two groups of images, with no other label, of which one shows something in addition.

    Cost: O(n^2 (d + e)) time for each view, O(n (d + e)) memory, where the authors' code keeps n x n matrices.

    Parity: the six terms, their sum and the gradients of all four heads as in the authors' training script
        cifar_mnist/sep_clr_k-jem.py, to 1e-10 in float64.

    Raises:
        ValueError: for a negative weight, a temperature that is not positive, a cross_prediction outside (0, 1), or
            not two views.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928. Default weights are those for ODIR; the authors use
        1000, 1000, 10 for CIFAR-MNIST and CelebA and 1, 10, 10 for CheXpert.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        target_weight: float = 1.0,
        background_weight: float = 100.0,
        independence_weight: float = 10.0,
        uniformity_weight: float = 2.0,
        temperature: float = 0.5,
        independence: Objective | None = None,
        cross_prediction: float | None = None,
    ):
        super().__init__()
        weights = [target_weight, background_weight, independence_weight, uniformity_weight]
        if min(weights) < 0:
            raise ValueError(f"Weights must not be negative, but they are {weights}.")
        self.target_weight, self.background_weight, self.independence_weight, self.uniformity_weight = weights
        self.common_align = SpaceAlignment(views, "common", "all", temperature)
        self.salient_align = SpaceAlignment(views, "salient", "target", temperature, normalise=False)
        self.common_uniform = SpaceUniformity(views, "common", False, temperature)
        self.salient_uniform = SpaceUniformity(views, "salient", True, temperature, normalise=False)
        self.null = Nullity(views, "salient", temperature)
        self.independence = JointEntropy(views, temperature) if independence is None else independence
        self.permutation_invariant = self.independence.permutation_invariant
        self.needs = tuple(
            dict.fromkeys((*needed(views, "common", "salient", "sample", "role"), *self.independence.needs))
        )
        self.view = views[0]
        self.balance = None if cross_prediction is None else Balance(cross_prediction, independence_weight)

    def prepare(self, flow: Flow) -> None:
        """Make what the independence term and an automatic lambda remember."""
        self.independence.prepare(flow)
        if self.balance is not None:
            table = flow[self.view]
            self.balance.build(table["common"].shape[1], table["salient"].shape[1])

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """The six terms by name."""
        scalars: dict[str, float] = {}
        weight = self.independence_weight
        if self.balance is not None:
            if self.training:
                self.balance.watch(outputs.tables[self.view])
            weight = self.balance.weight
            scalars = {"lambda": weight, "cross-prediction": self.balance.cross_prediction}
        pull, spread = self.target_weight, self.uniformity_weight
        terms = {
            "common-align": self.common_align(outputs),
            "common-uniform": _weighed(self.common_uniform(outputs), spread),
            "salient-align": _weighed(self.salient_align(outputs), pull),
            "salient-uniform": _weighed(self.salient_uniform(outputs), pull * spread),
            "salient-null": _weighed(self.null(outputs), self.background_weight),
        }
        if weight:
            terms |= independence_terms(self.independence(outputs), weight, scalars)
        return terms

    def after_update(self) -> None:
        """What the independence term does, and move lambda, if it is chosen automatically."""
        self.independence.after_update()
        if self.balance is not None:
            self.balance.move()


def _weighed(term: Term, weight: float) -> Term:
    return Term(term.value, term.rows, term.dropped, weight, term.scalars)
