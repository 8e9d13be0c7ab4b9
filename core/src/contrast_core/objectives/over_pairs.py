"""One objective on each of several pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.interfaces import Objective, Outputs, Term


@final
class OverPairs(Objective):
    """One objective on each of several pairs: L = sum_p L(pairs p), a term for each, under its pairs' name.

    Args:
        objective: the objective; it reads the pairs `inside`.
        pairs: names of the pairs that it gets instead, one after the other.
        inside: the name under which the objective reads its pairs.

    Shapes: those of the objective inside; a scalar for each of the pairs.

    Use: Where a method compares several pairs of tables alike: two modalities and their momentum copies (CoCoSoDa), or
        views and learned augmentations of them (MCLRec).

    Cost: The sum of the objective's cost over the pairs.

    Parity: With InfoNCE inside, the three terms of L_cl2 in QinHsiu/MCLRec, and the four or six of CoCoSoDa's loss;
        values and gradients to 1e-10 in float64.

    Raises:
        ValueError: for no pairs, one twice, or an objective that does not read `inside`, or gives several terms.

    Paper: none.
    """

    def __init__(
        self,
        objective: Objective,
        pairs: Sequence[str],
        inside: str = "pairs",
    ):
        super().__init__()
        if not pairs or len(set(pairs)) < len(pairs):
            raise ValueError(f"pairs must hold at least one name and none twice, not {list(pairs)}.")
        if inside not in objective.needs:
            reads = ", ".join(objective.needs) or "nothing"
            raise ValueError(f"The objective inside must read the pairs '{inside}', but it reads {reads}.")
        self.objective, self.pairs, self.inside = objective, tuple(pairs), inside
        self.needs = (*self.pairs, *(name for name in objective.needs if name != inside))

    def forward(self, outputs: Outputs) -> Mapping[str, Term]:
        """A term for each of the pairs."""
        found: dict[str, Term] = {}
        others = {name: outputs.pairs[name] for name in self.needs if name not in self.pairs and name in outputs.pairs}
        for name in self.pairs:
            pairs = {**others, self.inside: outputs.pairs[name]}
            term = self.objective(Outputs(outputs.tables, pairs, outputs.batch))
            if not isinstance(term, Term):
                raise ValueError(f"The objective inside must give one term, not {', '.join(term)}.")
            found[name] = term
        return found

    def after_update(self) -> None:
        """Whatever the objective inside does."""
        self.objective.after_update()
