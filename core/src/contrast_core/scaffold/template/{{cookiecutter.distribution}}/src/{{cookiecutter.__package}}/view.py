"""Views of the rows of a table."""

from __future__ import annotations

from typing import final

import torch
from contrast_core.interfaces import Flow, View
from torch import Tensor


@final
class Corrupted(View):
    """Two views of each row x_b of a table: the row itself, and one that has features of other rows,

        clean_bj = x_bj,    corrupted_bj = x_{r(b, j), j} if j in M_b else x_bj,

    where M_b is a random set of floor(rate k) of the k features, drawn anew for every row, and r(b, j) is a row drawn
    uniformly from the batch. So each replaced number is a likely one for its feature, though not for its row.

    The views have the shape (B, k) and dtype of the input. In evaluation mode both are x itself. Random numbers come
    from torch's global generator, which a run seeds and checkpoints.

    Args:
        source: the input, floating point, (B, k).
        clean: name of the view that stays as it is.
        corrupted: name of the view with replaced features.
        rate: share of the features that is replaced, from 0 to 1.

    Raises:
        ValueError: for a rate outside of this range or two views of one name; in use, if the input is no
            floating-point table.

    Paper: SCARF, ICLR 2022, arXiv 2106.15147. There a number is drawn from the whole training set, here from the batch.
    """

    def __init__(
        self,
        source: str = "features",
        clean: str = "one",
        corrupted: str = "two",
        rate: float = 0.6,
    ):
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"rate = {rate} must be a share of the features, from 0 to 1.")
        if clean == corrupted:
            raise ValueError(f"The two views need two names, not '{clean}' twice.")
        # What is read and added: a recipe whose parts do not fit is refused before training.
        self.needs, self.gives = (source,), (clean, corrupted)
        self.source, self.clean, self.corrupted, self.rate = source, clean, corrupted, rate

    def forward(self, flow: Flow) -> Flow:
        """The two views by name."""
        x: Tensor = flow[self.source]
        if x.dim() != 2 or not x.is_floating_point():
            raise ValueError(
                f"The input '{self.source}' must be a table (B, k) of floating-point numbers, "
                f"not {x.dtype} of shape {tuple(x.shape)}."
            )
        return {self.clean: x, self.corrupted: self._corrupt(x) if self.training else x}

    def _corrupt(self, x: Tensor) -> Tensor:
        # A random order of the features for each row; those on the first places are replaced.
        place = torch.rand(x.shape, device=x.device).argsort(1)
        replaced = place < int(self.rate * x.shape[1])
        other = torch.randint(len(x), x.shape, device=x.device)
        return torch.where(replaced, x.gather(0, other), x)
