"""The sequence encoder of SASRec, as MCLRec has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow
from contrast_recommendation.attention import EPS, Block
from contrast_recommendation.dropout import Dropout

SEQUENCE = "sequence"
DEVIATION = 0.02
"""Of the initial weights of all linear layers and embeddings."""
GROWTH = 1.5
"""Sequences go together through the layers while the longest is at most this many times the shortest."""


@final
class SASRec(Encoder):
    """A causal transformer with post-norm blocks over items and positions; h = state of the last item.

    x_t = LayerNorm(E[item_t] + P[t]), dropout, then L blocks (see `attention.Block`) in which position t sees the
    positions up to t that hold an item; h = x_{length - 1}, (B, size), not normalised. Weights start as N(0, 0.02^2),
    row 0 of E included, biases as 0. Looking up item 0 gives its row no gradient; being a candidate does.

    Gives the tables `sequence` (of `item_seq`, `length`), one for each of `views` NAME (of `item_seq_NAME`,
    `length_NAME`), with the fields z (B, size) and the columns `sample` and, where the batch has it, `target`; and
    `items`, z = E (items + 1, size), row 0 the padding item, with `sample` = `target` = item id. Sequences are int64
    (B, T), left-aligned, with item ids from 1 and 0 for padding or a masked item; lengths are int64 (B,).

    What nobody reads is not computed: positions after the longest sequence, all but the last query in the last block;
    all sequences of a batch go through the layers together, sorted by length. The numbers are those of the plain
    computation (where dropout is on, for other random draws).

    Args:
        views: names of the augmented views that the encoder also encodes.
        size: d, a multiple of `heads`.
        heads, layers, inner: attention heads, blocks, width of the feed-forward layer.
        dropout: of embeddings and of both parts of a block; attention_dropout: of the attention's probabilities.

    Raises:
        ValueError: for sizes below 1, a size that `heads` does not divide, or dropout outside of [0, 1); in use, if the
            batch lacks `items`, a sequence is empty, longer than the first batch's T, or names an item that is not
            there.

    Papers: Self-Attentive Sequential Recommendation, ICDM 2018, arXiv 1808.09781; MCLRec, arXiv 2304.07763. The
    authors' table has one more row at its end, which nothing reads.
    """

    embedding = SEQUENCE
    shared = ("items",)

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        size: int = 64,
        heads: int = 2,
        layers: int = 2,
        inner: int = 256,
        dropout: float = 0.5,
        attention_dropout: float = 0.5,
    ):
        super().__init__()
        if min(size, heads, layers, inner) < 1:
            raise ValueError(f"size, heads, layers and inner must be at least 1, not {[size, heads, layers, inner]}.")
        if size % heads:
            raise ValueError(f"size must be a multiple of heads, which {size} is not of {heads}.")
        if not all(0 <= p < 1 for p in (dropout, attention_dropout)):
            raise ValueError(f"Dropout lies in [0, 1), not at {dropout} and {attention_dropout}.")
        if SEQUENCE in views or len(set(views)) < len(views):
            raise ValueError(f"views are different names, none of them '{SEQUENCE}', not {list(views)}.")
        self.views = tuple(views)
        self.size, self.layers = size, layers
        self.block = (size, heads, inner, dropout, attention_dropout)
        self.needs = ("sample", "items", *(name for view in (SEQUENCE, *self.views) for name in _names(view)))
        columns = ("", ".z", ".sample", ".target")
        self.gives = tuple(f"{table}{c}" for table in (SEQUENCE, *self.views, "items") for c in columns)
        self.dropout = Dropout(dropout)
        self.item_embedding: nn.Embedding
        self.position_embedding: nn.Embedding
        self.trm_encoder: nn.ModuleDict
        self.LayerNorm: nn.LayerNorm

    def prepare(self, flow: Flow) -> None:
        """Build tables and blocks for the number of items and the longest sequence that the first batch tells."""
        if not isinstance(flow.get("items"), Tensor):
            raise ValueError("The batch must say in 'items', a tensor of one number, how many items there are.")
        self.item_embedding = nn.Embedding(int(flow["items"]) + 1, self.size, padding_idx=0)
        self.position_embedding = nn.Embedding(flow[_names(SEQUENCE)[0]].shape[1], self.size)
        blocks = nn.ModuleList([Block(*self.block) for _ in range(self.layers)])
        self.trm_encoder = nn.ModuleDict({"layer": blocks})
        self.LayerNorm = nn.LayerNorm(self.size, eps=EPS)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=DEVIATION)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """All tables."""
        tables = [SEQUENCE, *self.views]
        inputs = {table: tuple(flow[name] for name in _names(table)) for table in tables}
        if not self.training:
            # Views that change nothing are told by identity: without dropout they need no passes of their own.
            tables = [t for t in tables if t == SEQUENCE or inputs[t][0] is not inputs[SEQUENCE][0]]
        rows = self._encode(torch.cat([inputs[t][0] for t in tables]), torch.cat([inputs[t][1] for t in tables]))
        found = dict(zip(tables, rows.tensor_split(len(tables)), strict=True))
        encoded = {table: self._table(found.get(table, found[SEQUENCE]), flow) for table in inputs}
        weight = self.item_embedding.weight
        number = torch.arange(len(weight), device=weight.device)
        return {**encoded, "items": Embeddings.of(weight, sample=number, target=number)}

    def embed(self, flow: Flow) -> Embeddings:
        """The table of the unaugmented sequences, (B, size)."""
        items, length = (flow[name] for name in _names(SEQUENCE))
        return self._table(self._encode(items, length), flow)

    def _table(self, z: Tensor, flow: Flow) -> Embeddings:
        columns: dict[str, Any] = {name: torch.as_tensor(flow[name]) for name in ("sample", "target") if name in flow}
        return Embeddings.of(z, **columns)

    def _encode(self, items: Tensor, length: Tensor) -> Tensor:
        """The last states (n, size) of sequences (n, T)."""
        self._check(items, length)
        # A query that sees nothing attends to everything, padding included, and then nothing may be cut away.
        width = torch.where((items > 0).any(1), length, items.shape[1])
        ordered, order = width.sort()
        parts = [
            self._states(items[rows, : int(ordered[end - 1])], length[rows])
            for start, end in _spans(ordered.tolist())
            for rows in (order[start:end],)
        ]
        return torch.cat(parts)[order.argsort()]

    def _states(self, items: Tensor, length: Tensor) -> Tensor:
        place = torch.arange(items.shape[1], device=items.device)
        seen = (items > 0)[:, None, :]
        x = self.item_embedding(items) + self.position_embedding.weight[: items.shape[1]]
        x = self.dropout(self.LayerNorm(x))
        *blocks, last = self._blocks()
        causal = place <= place[:, None]
        for block in blocks:
            x = block(x, seen & causal)
        position = length - 1
        return last.last(x, position, seen & (place <= position[:, None, None]))

    def _blocks(self) -> list[Block]:
        return [block for block in self.trm_encoder.modules() if isinstance(block, Block)]

    def _check(self, items: Tensor, length: Tensor) -> None:
        longest, most = self.position_embedding.num_embeddings, self.item_embedding.num_embeddings - 1
        if items.shape[1] > longest:
            raise ValueError(f"Sequences have {items.shape[1]} places; this encoder was built for at most {longest}.")
        if not 1 <= int(length.min()) <= int(length.max()) <= items.shape[1]:
            row = int(((length < 1) | (length > items.shape[1])).nonzero()[0])
            raise ValueError(
                f"Row {row} has the length {int(length[row])}; a sequence has at least 1 item and at most "
                f"{items.shape[1]}."
            )
        if not 0 <= int(items.min()) <= int(items.max()) <= most:
            wrong = items[(items < 0) | (items > most)][0]
            raise ValueError(f"A sequence names item {int(wrong)}, but items are numbered from 1 to {most}.")


def _names(table: str) -> tuple[str, str]:
    """Names in the flow of a table's sequences and lengths."""
    return ("item_seq", "length") if table == SEQUENCE else (f"item_seq_{table}", f"length_{table}")


def _spans(widths: list[int]) -> list[tuple[int, int]]:
    """Parts of an ascending list within which numbers differ little."""
    starts = [0]
    for place, width in enumerate(widths):
        if width > max(4, GROWTH * widths[starts[-1]]):
            starts.append(place)
    return list(zip(starts, [*starts[1:], len(widths)], strict=True))
