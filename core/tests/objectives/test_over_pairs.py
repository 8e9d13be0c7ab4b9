"""One objective on several pairs."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.over_pairs import OverPairs
from contrast_core.pairs import Pairs
from contrast_core.samplers.views import TwoViews


class Two(Objective):
    """Gives two terms."""

    needs = ("pairs",)

    def forward(self, outputs: Outputs) -> dict[str, Term]:
        """Zeros."""
        return {name: Term(torch.zeros(()), 1) for name in ("first", "second")}


def pairs() -> dict[str, Pairs]:
    """Three views of five items, two couples of them."""
    z = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flow = {name: Embeddings.of(rows, sample=torch.arange(5)) for name, rows in zip("abc", z, strict=True)}
    return {**TwoViews(("a", "b"), name="ab")(flow), **TwoViews(("b", "c"), name="bc")(flow)}


def test_each_pairs_get_their_term() -> None:
    """Each is what the objective gives alone."""
    inside = InfoNCE(temperature=0.5)
    found = OverPairs(inside, ["ab", "bc"])(Outputs({}, pairs(), {}))
    assert list(found) == ["ab", "bc"]
    for name, term in found.items():
        assert term.value.equal(inside(Outputs({}, {"pairs": pairs()[name]}, {})).value)
    assert not found["ab"].value.equal(found["bc"].value)


def test_what_does_not_fit_is_refused() -> None:
    """No pairs, one twice, an objective that reads other names, or one of several terms."""
    for names in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="none twice"):
            OverPairs(InfoNCE(), names)
    with pytest.raises(ValueError, match="but it reads other"):
        OverPairs(InfoNCE("other"), ["a"])
    with pytest.raises(ValueError, match="one term, not first, second"):
        OverPairs(Two(), ["ab"])(Outputs({}, pairs(), {}))
