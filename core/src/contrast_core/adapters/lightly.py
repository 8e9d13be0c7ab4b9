"""Losses of lightly that compare two views."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any, final

import torch

from contrast_core.adapters.named import accepted, imported, made
from contrast_core.interfaces import Objective, Outputs, Term
from contrast_core.objectives.views import two_views

LOSSES = (
    "BarlowTwinsLoss", "DCLLoss", "DCLWLoss", "DirectCLRLoss", "MACLLoss", "NTXentLoss", "NegativeCosineSimilarity",
    "VICRegLoss",
)  # fmt: skip
"""Those that take two tensors (n, d) of the same samples and remember nothing from step to step."""
NOT_HERE = {
    "memory_bank_size": "its bank is not saved with a run: let core/queue remember rows, and compare with them by "
    "core/queue-pairs and core/infonce",
    "gather_distributed": "the tables that an objective sees hold the rows of all processes already",
}


def losses() -> ModuleType:
    """The module `lightly.loss`.

    lightly asks for torchvision when it is imported, but no loss in `LOSSES` uses it, and a torchvision that does not
    match torch breaks more than lightly. Where there is none, the two functions that are asked for are stood in for
    while lightly is imported, so that lightly installed without its dependencies is enough.

    Raises:
        ContrastError: if lightly is not installed, or can't be imported.
    """
    with _stand_in_for_torchvision():
        return imported("core/lightly", "lightly", "lightly.loss")


@contextmanager
def _stand_in_for_torchvision() -> Iterator[None]:
    if "torchvision" in sys.modules or find_spec("torchvision") is not None:
        yield
        return
    operators = ModuleType("torchvision.ops")
    operators.__dict__.update(dict.fromkeys(("StochasticDepth", "roi_align")))
    stand_in = {"torchvision": ModuleType("torchvision"), "torchvision.ops": operators}
    sys.modules.update(stand_in)
    try:
        yield
    finally:
        for name in stand_in:
            del sys.modules[name]


@final
class Lightly(Objective):
    """A loss of lightly on two tables of the same samples: L = loss(A, B), A and B (n, d).

    Args:
        loss: the class: BarlowTwinsLoss, DCLLoss, DCLWLoss, DirectCLRLoss, MACLLoss, NTXentLoss,
            NegativeCosineSimilarity or VICRegLoss.
        one: name of one table.
        two: name of the other, the same samples in the same order.
        arguments: of the class, for example {temperature = 0.1}; its own defaults otherwise.

    The losses compute in float32 or better, also under mixed precision. `rows` are the samples; with fewer than two
    the term is zero and `dropped` counts them.

    Use: For a loss that is not among the objectives, or to keep a setup as it was. `core/infonce` and `core/dcl` on the
        pairs of `core/two-views`, `core/barlow-twins` and `core/vicreg` have the same values.

    Cost: That of lightly: the contrastive losses hold several n x n matrices, where InfoNCE takes O(n d) memory.

    Parity: The library's own code runs, 1.6.0 in the tests; its values and gradients equal those of the objectives
        above to 1e-10 in float64.

    Raises:
        ContrastError: if lightly is not installed.
        ValueError: for an unknown loss or argument, or if the tables do not hold the same samples in the same order.

    Paper: That of each loss; none of the adapter's own.
    """

    def __init__(self, loss: str, one: str = "one", two: str = "two", arguments: Mapping[str, Any] | None = None):
        super().__init__()
        module = losses()
        for name in arguments or {}:
            if name in NOT_HERE:
                raise ValueError(f"Leave out '{name}' of {loss}: {NOT_HERE[name]}.")
        classes = {name: getattr(module, name) for name in LOSSES if hasattr(module, name)}
        self.needs = (one, two)
        self.one, self.two, self.name = one, two, loss
        self.loss = made("two-view loss of lightly", loss, classes, arguments or {})

    def forward(self, outputs: Outputs) -> Term:
        """The loss of the two tables."""
        a, b = two_views(outputs, self.one, self.two)
        if len(a) < 2:
            return Term((a.sum() + b.sum()) * 0.0, rows=0, dropped=len(a))
        with torch.autocast(a.device.type, enabled=False):
            return Term(accepted(f"lightly's {self.name}", self.loss, a, b), rows=len(a))
