"""Exemplars whose mean stays near the mean of their class."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.continual.quota import ByClass
from contrast_core.embeddings import Embeddings
from contrast_core.tasks import InBatch


@final
class Herding(ByClass):
    """Of each class the items that, taken one after the other, keep their mean near the class's mean.

    Let f_i = z_i / (|z_i| + 1e-8) be a class's offered items and mu their mean. Beginning with w = mu,

        j = argmax_i w . f_i;   keep j if it is new;   w <- w + mu - f_j        until m are kept,

    also if j comes again, at most 1,000 times; what is then missing is filled with the items nearest to mu. "nearest"
    instead keeps the m items with the smallest |z_i - mean z|, the raw mean.

    Args:
        per_class, total, share: how many items are kept, of each class, in all, or of the training items, for which
            floor(share * items / classes) of each class are kept; one of the three.
        in_batch: kept items that join each batch of a later task, or "once".
        rule: "barycenter", which is herding, or "nearest".
        seed: nothing is drawn when items are chosen.

    Raises:
        ValueError: for numbers that make no sense, or if a row is not finite.

    Paper: iCaRL (Rebuffi et al., CVPR 2017, arXiv 1611.07725), algorithm 4, in the form of Welling (ICML 2009), as
    umbertocappellazzo/SLURP_CL_example computes it: there the items of a class are those of its task. Here a class that
    comes back is chosen anew out of what was kept of it and its new items.
    """

    def __init__(
        self,
        per_class: int | None = None,
        total: int | None = None,
        share: float | None = None,
        in_batch: InBatch = 32,
        rule: Literal["barycenter", "nearest"] = "barycenter",
        seed: int = 0,
    ):
        super().__init__(per_class, total, share, in_batch, seed)
        self.rule = rule

    def order(self, rows: Embeddings, most: int) -> Tensor:
        """Row numbers in the order of choice."""
        z = rows.z.detach().double().flatten(1)
        if not bool(z.isfinite().all()):
            raise ValueError("The embedding of an item is NaN or infinite; nothing can be chosen by it.")
        if self.rule == "nearest":
            near: Tensor = (z - z.mean(0)).norm(dim=1).argsort(stable=True)
            return near[:most]
        f = z / (z.norm(dim=1, keepdim=True) + 1e-8)
        mean = f.mean(0)
        w, found = mean.clone(), dict[int, None]()
        for _ in range(1000):
            if len(found) >= min(most, len(f)):
                break
            best = int((f @ w).argmax())
            found[best] = None
            w += mean - f[best]
        rest = (f @ mean).argsort(descending=True, stable=True).tolist()
        return torch.tensor([*found, *(row for row in rest if row not in found)])[:most]
