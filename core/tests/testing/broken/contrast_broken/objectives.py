"""InfoNCE of the scene's pairs."""

from __future__ import annotations

import math
import random
from typing import final

import torch
from torch import distributed, nn

from contrast_broken.encoders import Honest as AnEncoder
from contrast_broken.samplers import ShareOfRow
from contrast_core import pairwise
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.rows import average
from contrast_core.similarity import Cosine


def infonce(outputs: Outputs) -> Term:
    """The loss of the pairs, temperature 0.5."""
    pairs = outputs.pairs["pairs"]
    found = pairwise.contrast(pairs, pairs.positives | pairs.negatives, Cosine(), 0.5)
    valid = (found.weight > 0) & (found.denominator != -math.inf)
    return average(found.denominator - found.positive, valid)


def changed(term: Term, factor: float) -> Term:
    """The term times a number."""
    return Term(term.value * factor, term.rows, term.dropped)


class _InfoNCE(Objective):
    """L = mean_i [ log sum_j exp(l_ij) - mean_p l_ip ]."""

    def __init__(self) -> None:
        super().__init__()
        self.needs = ("pairs", "one")

    def forward(self, outputs: Outputs) -> Term:
        """The loss."""
        return infonce(outputs)


@final
class Honest(_InfoNCE):
    """Keeps every promise."""


class Loads(Objective):
    """L = 0, or would be if it were defined."""


@final
class ConstructorIsTheSchema(Objective):
    """L = InfoNCE; the default of a number is a text.

    Args:
        margin: is not used.
    """

    def __init__(self, margin: float = "0.5"):  # type: ignore[assignment]
        super().__init__()
        self.needs, self.margin = ("pairs",), margin

    def forward(self, outputs: Outputs) -> Term:
        """The loss."""
        return infonce(outputs)


@final
class Documented(Objective):  # noqa: D101 - that is what is wrong with it
    def __init__(self) -> None:
        super().__init__()
        self.needs = ("pairs",)

    def forward(self, outputs: Outputs) -> Term:
        """The loss."""
        return infonce(outputs)


@final
class NumbersThatMakeNoSense(Objective):
    """L = InfoNCE / parts, which nobody checks.

    Args:
        parts: what the loss is divided by.
    """

    def __init__(self, parts: int = 2):
        super().__init__()
        self.needs, self.parts = ("pairs",), parts

    def forward(self, outputs: Outputs) -> Term:
        """A part of the loss."""
        return changed(infonce(outputs), 1 / self.parts)


@final
class TermsAreScalars(_InfoNCE):
    """Counts rows below zero."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss of -1 rows."""
        return Term(infonce(outputs).value, rows=-1)


@final
class GradientFlows(_InfoNCE):
    """Takes a sign, whose gradient is zero."""

    def forward(self, outputs: Outputs) -> Term:
        """A count."""
        term = infonce(outputs)
        return Term(term.value.sign(), term.rows, term.dropped)


@final
class ReadsWhatItNeeds(_InfoNCE):
    """Looks at labels without saying so."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss times one."""
        return changed(infonce(outputs), float(len(outputs.batch["label"]) >= 0))


@final
class LeavesItsInputAlone(_InfoNCE):
    """Overwrites a column that it thinks is its own."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss."""
        outputs.tables["one"]["view"].add_(1)
        return infonce(outputs)


@final
class SameSeedSameValue(_InfoNCE):
    """Has a source of randomness that nobody seeds."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss times a random number."""
        return changed(infonce(outputs), 1 + random.SystemRandom().random())


@final
class OrderOfRows(_InfoNCE):
    """Compares rows with their neighbours in the batch."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss and the neighbours' distance."""
        z, term = outputs.tables["one"].z, infonce(outputs)
        return Term(term.value + (z - z.roll(1, 0)).square().sum() / max(1, len(z)), term.rows, term.dropped)


@final
class TilesAgree(_InfoNCE):
    """Sums with weights that depend on the tile."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss and a weighted sum."""
        term = infonce(outputs)
        sums, _ = pairwise.weighted_sum(outputs.pairs["pairs"], ShareOfRow(), Cosine(), 1.0)
        return Term(term.value + sums.sum() / max(1, len(sums)), term.rows, term.dropped)


@final
class Precision(_InfoNCE):
    """Goes through float32."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss, rounded."""
        term = infonce(outputs)
        return Term(term.value.float(), term.rows, term.dropped)


@final
class NothingToAttract(_InfoNCE):
    """Takes the mean of no number if no row has a positive."""

    def forward(self, outputs: Outputs) -> Term:
        """The mean of what is left."""
        pairs = outputs.pairs["pairs"]
        found = pairwise.contrast(pairs, pairs.positives | pairs.negatives, Cosine(), 0.5)
        losses = (found.denominator - found.positive)[found.weight > 0]
        return Term(losses.mean(), len(losses))


@final
class ParametersAreRegistered(_InfoNCE):
    """L = InfoNCE; keeps what it learns in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = [nn.Parameter(torch.ones(()))]

    def forward(self, outputs: Outputs) -> Term:
        """The loss, scaled."""
        return changed(infonce(outputs), self.scales[0].item())


@final
class HoldsNoModel(_InfoNCE):
    """L = InfoNCE; holds an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = AnEncoder().requires_grad_(False)


@final
class GradientCacheAgrees(_InfoNCE):
    """Tells a table that the encoder just made from one that was cut off, and weighs them differently."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss, doubled where the rows have no history."""
        return changed(infonce(outputs), 2.0 if outputs.tables["one"].z.is_leaf else 1.0)


@final
class ProcessesAgree(_InfoNCE):
    """Adds the number of its process."""

    def forward(self, outputs: Outputs) -> Term:
        """The loss of a process."""
        term = infonce(outputs)
        number = distributed.get_rank() if outputs.tables["one"].group else 0
        return Term(term.value + number, term.rows, term.dropped)


@final
class ContinuesBitForBit(_InfoNCE):
    """Fades by a counter in a plain attribute."""

    steps = 0

    def forward(self, outputs: Outputs) -> Term:
        """The loss, fading."""
        return changed(infonce(outputs), 0.5**self.steps)

    def after_update(self) -> None:
        """Count."""
        self.steps += 1
