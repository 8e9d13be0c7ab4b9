"""Learnable augmenters: small networks that turn the encoded views into further views."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow, View

KERNELS = (3, 4, 5)
"""Widths of the convolutions."""


class Augmenter(nn.Module):
    """z = u / |u|, without an epsilon, for u = f(h); (B, d) to (B, d). A row with u = 0 becomes NaN."""

    def forward(self, h: Tensor) -> Tensor:
        """Unit rows."""
        # Rows may come in half precision from an encoder under autocast, which ends before this.
        u = self.raw(h.to(next(self.parameters()).dtype))
        return u / u.square().sum(1, keepdim=True).sqrt()

    @abstractmethod
    def raw(self, h: Tensor) -> Tensor:
        """u, (B, d)."""


@final
class MLPAugmenter(Augmenter):
    """u = W_3 gelu(W_2 gelu(W_1 h + b_1) + b_2) + b_3, and so on for other numbers of hidden layers."""

    def __init__(self, size: int, hidden: Sequence[int]):
        super().__init__()
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([size, *hidden, size]))

    def raw(self, h: Tensor) -> Tensor:
        """The layers with gelu between."""
        for layer in self.dense[:-1]:
            h = functional.gelu(layer(h))
        u: Tensor = self.dense[-1](h)
        return u


@final
class AttentionAugmenter(Augmenter):
    """u = gelu(P V), P = softmax over rows k of (q_i . k_j), unscaled: every row looks at all rows of the batch."""

    def __init__(self, size: int):
        super().__init__()
        self.dense = nn.ModuleList(nn.Linear(size, size) for _ in range(3))

    def raw(self, h: Tensor) -> Tensor:
        """Attention across the batch."""
        query, key, value = (layer(h) for layer in self.dense)
        return functional.gelu((query @ key.T).softmax(1) @ value)


@final
class ConvolutionAugmenter(Augmenter):
    """u = gelu(sum_K conv_K(h W_K + b_K)), K = 3, 4, 5, with the rows of the batch as channels; d rows only."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.dense = nn.ModuleList(nn.Linear(size, size - 1 + kernel) for kernel in KERNELS)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, size, kernel) for kernel in KERNELS)

    def raw(self, h: Tensor) -> Tensor:
        """The sum of three convolutions."""
        if len(h) != self.size:
            raise ValueError(
                f"The convolution has the batch as channels, so a batch must have as many items as h has dimensions, "
                f"{self.size}; this one has {len(h)}. Set training.batch_size, and see that the last batch is not "
                'smaller, or take kind = "mlp".'
            )
        parts = [conv(layer(h)) for layer, conv in zip(self.dense, self.convolutions, strict=True)]
        return functional.gelu(torch.stack(parts).sum(0))


Kind = Literal["mlp", "attention", "convolution"]


@final
class LearnableAugmenters(View):
    """z_1 = w_1(h_1), z_2 = w_2(h_2): a view in the space of the embeddings, with weights that are learned.

    A view after the encoder (`after_encoder = true`). For each of `views` NAME it reads the table NAME, z (B, d), and
    gives the table `NAME-augmented`, unit rows z (B, d), with the same columns. Layers start as torch's own do.

    Args:
        views: names of the tables.
        kind: "mlp"; "attention" across the rows of the batch; or "convolution" with these rows as channels, which
            takes batches of exactly d items.
        hidden: widths of the hidden layers of the "mlp".
        shared: one augmenter for all views, where the default has one for each.

    Raises:
        ValueError: for no view, one twice, or widths below 1; in use, if the "convolution" gets another number of rows.

    Paper: MCLRec, SIGIR 2023, arXiv 2304.07763; the two kinds besides the "mlp" are in its authors' code.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        kind: Kind = "mlp",
        hidden: Sequence[int] = (32, 16),
        shared: bool = False,
    ):
        super().__init__()
        if not views or len(set(views)) < len(views):
            raise ValueError(f"views must hold at least one name and none twice, not {list(views)}.")
        if min(hidden, default=1) < 1:
            raise ValueError(f"hidden widths must be at least 1, not {list(hidden)}.")
        self.views, self.kind, self.hidden, self.shared = tuple(views), kind, tuple(hidden), shared
        self.needs = self.views
        columns = ("", ".z", ".sample", ".target")
        self.gives = tuple(f"{view}-augmented{column}" for view in self.views for column in columns)
        self.augmenters: nn.ModuleList

    def prepare(self, flow: Flow) -> None:
        """Build the augmenters for the width of the tables."""
        size = flow[self.views[0]].z.shape[1]
        made = [self._augmenter(size) for _ in (self.views[:1] if self.shared else self.views)]
        self.augmenters = nn.ModuleList(made)

    def forward(self, flow: Flow) -> Flow:
        """The augmented tables."""
        augmenters = [*self.augmenters] * (len(self.views) if self.shared else 1)
        return {
            f"{view}-augmented": _replaced(flow[view], augmenter(flow[view].z))
            for view, augmenter in zip(self.views, augmenters, strict=True)
        }

    def _augmenter(self, size: int) -> Augmenter:
        if self.kind == "mlp":
            return MLPAugmenter(size, self.hidden)
        return AttentionAugmenter(size) if self.kind == "attention" else ConvolutionAugmenter(size)


def _replaced(table: Embeddings, z: Tensor) -> Embeddings:
    return Embeddings({"z": z}, table.columns, table.group)
