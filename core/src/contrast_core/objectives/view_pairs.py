"""Two-view losses for more than two views: averaged over pairs of views, or against the mean of the others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import final

from torch.nn import functional

from contrast_core.embeddings import at_least_float32, cat
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.of_views import (
    among,
    at_least_two_views,
    mean_of_terms,
    refuse_row_numbers,
    views_in_order,
)
from contrast_core.objectives.segments import Segments
from contrast_core.pairs import Pairs
from contrast_core.similarity import Dot

OTHERS = "mean of the other views"
"""What stands in the column `view` of the means."""


@final
class PairwiseViews(Objective):
    """PWE: the mean over all N (N - 1) / 2 pairs of views of a two-view objective on the rows of both.

    L = mean_{v < w} L(v, w) over views v and w. With `infonce` inside that is the average of NT-Xent, with `dhel` that
    of DHEL. Shapes: anchors (n, d), candidates (m, d); the value is a scalar, or several by name if the objective
    inside gives several.

    Args:
        objective: the two-view objective; it reads the pairs of this name.
        pairs: name of the pairs of all rows of all views, as the sampler two-views gives them.

    Use: As the usual way from two views to more, and the baseline of the multi-view objectives.

    Cost: N (N - 1) / 2 times that of the objective inside on two views; with InfoNCE about twice that of InfoNCE over
        all N M rows at once. O(N M d) memory.

    Parity: The pairwise averages of NT-Xent and of DHEL in pakoromilas/Multi-View-CL, values and gradients to 1e-10 in
        float64.

    Raises:
        ValueError: if the objective inside does not read these pairs; in use, if the rows have no `view` or only one,
            or a relation names rows by their number.

    Paper: A Principled Framework for Multi-View Contrastive Learning, arXiv 2507.06979, section on baselines. Rows
        without a partner in a pair of views are dropped there; a pair of views without any is left out of the mean.
    """

    def __init__(self, objective: Objective, pairs: str = "pairs"):
        super().__init__()
        if pairs not in objective.needs:
            reads = ", ".join(objective.needs) or "nothing"
            raise ValueError(
                f"The objective inside must read the pairs '{pairs}' too, but it reads {reads}; give both one name."
            )
        self.needs = objective.needs
        self.objective, self.pairs = objective, pairs

    def forward(self, outputs: Outputs) -> Term | Mapping[str, Term]:
        """The mean loss of the named pairs."""
        whole = outputs.pairs[self.pairs]
        found = []
        for two in combinations(at_least_two_views(whole), 2):
            part = {**outputs.pairs, self.pairs: among(whole, two, two)}
            found.append(self.objective(Outputs(outputs.tables, part, outputs.batch)))
        if isinstance(found[0], Term):
            return mean_of_terms(found)
        return {name: mean_of_terms([terms[name] for terms in found]) for name in found[0]}

    def after_update(self) -> None:
        """Whatever the objective inside does."""
        self.objective.after_update()


@final
class MeanOfOthers(Objective):
    """AVG: the mean over views v of NT-Xent between view v and the mean of the other views.

    With unit rows u_iv and m_iv = mean_{w != v} u_iw, which is not scaled to unit length again:
    L = mean_v NT-Xent({u_iv}_i, {m_iv}_i), each the mean over its 2 M rows with plain products over t. Shapes: anchors
    (n, d), candidates (m, d); the value is a scalar.

    Args:
        pairs: name of the pairs of all rows of all views, as the sampler two-views gives them; the anchors are read.
        temperature: t.

    Use: As a cheap baseline for many views: it pulls a view to the centre of the others.

    Cost: N times NT-Xent on two views of M instances, O(N M^2 d), a factor N / 4 less than InfoNCE over all N M rows;
        O(N M d) memory.

    Parity: The average baseline of pakoromilas/Multi-View-CL, values and gradients to 1e-10 in float64.

    Raises:
        ValueError: if the temperature is not positive; in use, if the rows have no `sample`, or no `view` or only
            one, or a relation names rows by their number.

    Paper: A Principled Framework for Multi-View Contrastive Learning, arXiv 2507.06979, section on baselines. The mean
        is over the views that an instance has; one with a single view is dropped.
    """

    def __init__(self, pairs: str = "pairs", temperature: float = 0.5):
        super().__init__()
        self.needs = (pairs,)
        self.pairs = pairs
        self.inside = InfoNCE(pairs, temperature, similarity=Dot())

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the named pairs."""
        pairs = outputs.pairs[self.pairs]
        at_least_two_views(pairs)
        refuse_row_numbers(pairs)
        table = pairs.anchors
        instances = Segments.of_instances(table)
        others = instances.sizes()[instances.number] - 1
        unit = functional.normalize(at_least_float32(table.z), dim=1)
        mean = (instances.sum(unit)[instances.number] - unit) / others.clamp(min=1)[:, None]
        rows, means = table.with_fields(z=unit), table.with_fields(z=mean).with_columns(view=OTHERS)
        terms: list[Term] = []
        for view in views_in_order(table):
            here = ((table["view"] == view) & (others > 0)).nonzero().squeeze(1)
            both = cat([rows.select(here), means.select(here)])
            part = Pairs(both, both, pairs.positives, pairs.negatives)
            terms.append(self.inside(Outputs({}, {self.pairs: part}, {})))
        found = mean_of_terms(terms)
        return Term(found.value, found.rows, found.dropped + int((others == 0).sum()))
