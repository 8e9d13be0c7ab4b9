"""One network for code and queries: the mean of its tokens' vectors, after as many transformer layers as wanted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow


@final
class Network(nn.Module):
    """h = layers(E x [+ P]), then the mean over the row's tokens, (B, d) from ids (B, L); padding, -1, does not count.

    Weights by name: `table.weight` (vocabulary, d); with layers also `positions.weight` (length, d), `norm.*` and
    `layers.NUMBER.*` of torch's `TransformerEncoderLayer` (norm first, GELU, 4 d inside).
    """

    def __init__(self, vocabulary: int, size: int, layers: int, heads: int, length: int, dropout: float):
        super().__init__()
        self.table = nn.Embedding(vocabulary, size)
        # A mean over many tokens of small vectors: its direction alone counts.
        nn.init.normal_(self.table.weight, std=size**-0.5)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, heads, 4 * size, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.positions = nn.Embedding(length, size) if layers else None
        self.norm = nn.LayerNorm(size) if layers else None

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of rows."""
        there = ids >= 0
        ids = ids.clamp(min=0)
        share = there / there.sum(1, keepdim=True).clamp(min=1)
        if self.positions is None or self.norm is None:
            # Exactly the mean, without a vector for each token in memory.
            weights = share.to(self.table.weight.dtype)
            return functional.embedding_bag(ids, self.table.weight, per_sample_weights=weights, mode="sum")
        x = self.table(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~there)
        found: Tensor = (share.to(x.dtype)[:, None, :] @ self.norm(x))[:, 0]
        return found


class Pooling(Encoder):
    """z = v / |v|, v the mean over a row's tokens of what a network makes of them; one table for each view.

    Args:
        views: the inputs, token ids; the first is the one that is embedded in evaluation.
        columns: further inputs that the tables carry as columns.

    Raises:
        ValueError: for no view or one twice.
    """

    def __init__(self, views: Sequence[str], columns: Sequence[str]):
        super().__init__()
        if not views or len(set(views)) < len(views):
            raise ValueError(f"views must hold at least one name and none twice, not {list(views)}.")
        self.views, self.embedding, self.columns = tuple(views), views[0], tuple(columns)
        self.needs = (*self.views, "sample", *self.columns)
        carried = ("z", "sample", "view", *self.columns)
        self.gives = tuple(n for view in self.views for n in (view, *(f"{view}.{name}" for name in carried)))

    @abstractmethod
    def pooled(self, ids: Tensor, view: str) -> Tensor:
        """v of rows of ids, (n, d) from (n, L)."""

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """A table for each view."""
        return {view: self._table(flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """The first view alone."""
        return self._table(flow, self.views[0])

    def _table(self, flow: Flow, view: str) -> Embeddings:
        ids = flow[view]
        if ids.dim() != 2 or ids.dtype.is_floating_point:
            raise ValueError(
                f"The view '{view}' must hold token ids, (n, length), not {tuple(ids.shape)}, {ids.dtype}."
            )
        z = functional.normalize(self.pooled(ids, view), dim=1)
        known = {name: torch.as_tensor(flow[name]) for name in ("sample", *self.columns)}
        return Embeddings.of(z, **known).with_columns(view=view)


@final
class TokenEncoder(Pooling):
    """z = v / |v|, v = mean over a row's tokens t of h_t; code and query share all parameters.

    With `layers = 0` the h_t are vectors of a table, which is what trains to a useful search in a minute on a CPU; with
    more they come out of a transformer over table and positions.

    Takes views of token ids, (B, L) int64, -1 for padding. Gives a table for each view under its name: field z
    (B, size), of length one; columns `sample`, `view` and those of `columns`.

    Args:
        views: the inputs; the first is the one that is embedded in evaluation.
        vocabulary: rows of the table, as many as there are ids or more.
        size: d.
        layers, heads, dropout: of the transformer.
        length: most tokens of a row, where there are layers, for their positions.
        columns: further inputs that the tables carry as columns.
        together: whether all views share one network; otherwise each has its own, which begin equal.

    Raises:
        ValueError: for a size, number of layers, heads or a dropout that can't be; in use, for longer rows.

    Paper: Shi et al., CoCoSoDa, ICSE 2023, arXiv 2204.03293, for the pooling; its encoder is UniXcoder with 12 layers
    (`core/transformers`).
    """

    def __init__(
        self,
        views: Sequence[str] = ("code", "query"),
        vocabulary: int = 8192,
        size: int = 128,
        layers: int = 0,
        heads: int = 4,
        dropout: float = 0.1,
        length: int = 256,
        columns: Sequence[str] = ("group",),
        together: bool = True,
    ):
        super().__init__(views, columns)
        if vocabulary < 1:
            raise ValueError(f"vocabulary = {vocabulary} must be at least 1, usually some more than data.vocabulary.")
        if size < 1 or layers < 0 or length < 1 or heads < 1 or (layers and size % heads):
            raise ValueError(
                f"size = {size} must be positive and, with layers, a multiple of heads = {heads}; layers = {layers} "
                f"at least 0 and length = {length} at least 1."
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout = {dropout} must be from 0 to less than 1.")
        self.together, self.size, self.layers, self.heads = together, size, layers, heads
        self.dropout, self.length, self.vocabulary = dropout, length, vocabulary
        self.networks: nn.ModuleDict

    def prepare(self, flow: Flow) -> None:
        """Build the network for the vocabulary."""
        settings = (self.size, self.layers, self.heads, self.length, self.dropout)
        first = Network(self.vocabulary, *settings)
        self.networks = nn.ModuleDict({"shared": first} if self.together else {})
        if not self.together:
            for view in self.views:
                self.networks[view] = Network(self.vocabulary, *settings)
                self.networks[view].load_state_dict(first.state_dict())

    def pooled(self, ids: Tensor, view: str) -> Tensor:
        """v of rows of ids."""
        if ids.numel() and int(ids.max()) >= self.vocabulary:
            raise ValueError(
                f"The view '{view}' holds the token id {int(ids.max())}, but the encoder has {self.vocabulary} rows: "
                "set encoder.vocabulary, in core/momentum encoder.encoder.vocabulary, to more than data.vocabulary."
            )
        if self.layers and ids.shape[1] > self.length:
            raise ValueError(
                f"The view '{view}' has rows of {ids.shape[1]} tokens, but the encoder has positions for "
                f"{self.length}: set encoder.length, or shorten the rows in [data]."
            )
        found: Tensor = self.networks["shared" if self.together else view](ids)
        return found
