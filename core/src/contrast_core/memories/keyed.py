"""Memories with keys: one row for each item, or a queue for each language, class or domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings, code
from contrast_core.memories.places import Places


@final
class Keyed(Places):
    """One row for each key, written anew whenever its key comes: the memory bank of instance discrimination.

        row_k <- z / |z|                                          the first time
        row_k <- (m row_k + (1 - m) z / |z|) / | ... |            afterwards, with momentum m

    m = 0 overwrites. Order: rows are written one after the other in their order, so of several rows with one key in a
    batch the last one wins, or with momentum is mixed in last. Columns always are those of the latest row.

    `read` gives the rows in the order of their keys, with `column` (the key), `sample` (-1 where the written table had
    none), `source`, "memory", and the columns that are remembered.

    Args:
        source: name of the table whose rows are written.
        size: how many keys there are: 0 ... size - 1.
        dimension: d of the field z, (n, d).
        column: the source's column with the key of each row.
        columns: what else is remembered of a row, for example its label.
        momentum: m, from 0 to less than 1.
        when: "after-update", so that a step meets only rows of earlier ones, or "before-pairs".
        only_filled: give only rows that were written; otherwise the others are random unit rows, of no key and no
            sample: both are -1.
        normalise: scale rows to unit length, when they come and when they were mixed.
        seed: of the random rows.

    Raises:
        ValueError: if size or dimension is not positive or momentum is outside its range; in use, for a key outside of
            the range (nothing is written), rows of another dimension, or a column that is missing.

    Paper: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018, arXiv
    1805.01978. Its code mixes the first row of a key with the random one; here that is noise and is replaced.
    """

    written: Tensor

    def __init__(
        self,
        source: str,
        size: int,
        dimension: int,
        column: str = "sample",
        columns: Sequence[str] = (),
        momentum: float = 0.0,
        when: Literal["before-pairs", "after-update"] = "after-update",
        only_filled: bool = True,
        normalise: bool = True,
        seed: int = 0,
    ):
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum = {momentum} must be from 0 (each row replaces the one before) to less than 1.")
        others = [name for name in columns if name != column]
        super().__init__(source, when, size, dimension, others, not only_filled, normalise, seed)
        self.size, self.column, self.momentum, self.only_filled = size, column, momentum, only_filled
        self.needs = (*self.needs, f"{source}.{column}")
        self.register_buffer("written", torch.zeros(size, dtype=torch.bool))

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the rows, one after the other."""
        self._check(rows)
        keys = _keys(rows, self.column, self.size)
        turn = _turns(keys)
        if not self.momentum:
            # Earlier rows of a key leave no trace: only each key's last one is written, in one turn.
            last = turn == torch.bincount(keys, minlength=self.size)[keys] - 1
            keys, rows, turn = keys[last], rows.select(last), turn[last] * 0
        for number in range(int(turn.max()) + 1 if len(turn) else 0):
            now = turn == number
            self._write_once(keys[now].to(self.rows.device), rows.select(now))

    def _write_once(self, keys: Tensor, rows: Embeddings) -> None:
        """Write rows of different keys."""
        z = self._rows(rows)
        if self.momentum:
            mixed = self.momentum * self.rows[keys] + (1 - self.momentum) * z
            mixed = functional.normalize(mixed, dim=1) if self.normalise else mixed
            z = torch.where(self.written[keys, None], mixed, z)
        self._put(keys, z, rows)
        self.written[keys] = True

    def read(self) -> Embeddings:
        """A copy of the rows, so that writing later can't spoil a gradient."""
        keys = torch.arange(self.size, device=self.rows.device)
        keys = keys[self.written] if self.only_filled else keys
        given = {self.column: torch.where(self.written[keys], keys, -1)}
        return self._given(keys).with_columns(**given, source="memory")


@final
class KeyedQueues(Places):
    """A queue for each of K keys, with the latest `size` rows of that key: a bank for each language, class or domain.

    Order: rows are written one after the other in their order, each to the place of the oldest row of its own key, as
    in `Queue`; rows of one key never displace those of another.

    `read` gives the rows that were written, queue after queue in the order of their places, with `column` (the key),
    `sample` (-1 where the written table had none), `source`, "queue", and the columns that are remembered. A sampler
    keeps anchors to the queue of their own key by the relation `same(column)`.

    Args:
        source: name of the table whose rows are written.
        column: the source's column with the key of each row.
        keys: K, for the keys 0 ... K - 1; or the keys' names, where the column holds codes of names.
        size: how many rows of each key are kept.
        dimension: d of the field z, (n, d).
        columns: what else is remembered of a row.
        when: "after-update", so that a step meets only rows of earlier ones, or "before-pairs".
        normalise: scale rows to unit length when they are written.

    Raises:
        ValueError: if a size is not positive, there is no key or a name comes twice; in use, for a key that is none of
            them (nothing is written), rows of another dimension, or a column that is missing.

    Paper: Unsupervised Context Aware Sentence Representation Pretraining for Multi-lingual Dense Retrieval, IJCAI 2022,
    arXiv 2206.03281 (a bank for each language).
    """

    pointer: Tensor
    filled: Tensor

    def __init__(
        self,
        source: str,
        column: str,
        keys: int | Sequence[str],
        size: int,
        dimension: int,
        columns: Sequence[str] = (),
        when: Literal["before-pairs", "after-update"] = "after-update",
        normalise: bool = True,
    ):
        names = () if isinstance(keys, int) else tuple(keys)
        count = keys if isinstance(keys, int) else len(names)
        if count < 1 or len(set(names)) < len(names):
            raise ValueError(f"keys = {keys}: there must be at least one key, and no name twice.")
        others = [name for name in columns if name != column]
        super().__init__(source, when, count * max(0, size), dimension, others, False, normalise, 0)
        self.column, self.names, self.size = column, names, size
        self.needs = (*self.needs, f"{source}.{column}")
        self.register_buffer("pointer", torch.zeros(count, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros(count, dtype=torch.int64))

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Take the rows, each in place of the oldest of its key."""
        self._check(rows)
        keys = _keys(rows, self.column, len(self.pointer), self.names).to(self.rows.device)
        turn, count = _turns(keys), torch.bincount(keys, minlength=len(self.pointer))
        kept = turn >= count[keys] - self.size
        places = keys * self.size + (self.pointer[keys] + turn) % self.size
        latest = rows.select(kept.to(rows.device))
        self._put(places[kept], self._rows(latest), latest)
        self.pointer.copy_((self.pointer + count) % self.size)
        self.filled.copy_((self.filled + count).clamp(max=self.size))

    def read(self) -> Embeddings:
        """A copy of the rows, so that writing later can't spoil a gradient."""
        places = torch.arange(self.size, device=self.rows.device) < self.filled[:, None]
        found = places.flatten().nonzero().squeeze(1)
        keys = found // self.size
        if self.names:
            keys = torch.tensor([code(name) for name in self.names], device=keys.device)[keys]
        given = {self.column: keys}
        return self._given(found).with_columns(**given, source="queue")


def _keys(table: Embeddings, column: str, count: int, names: Sequence[str] = ()) -> Tensor:
    """The number of each row's key, 0 ... count - 1, or an error about a key that is none of them."""
    if column not in table.columns:
        raise ValueError(f"Rows are kept by their '{column}', but the table's columns are {', '.join(table.columns)}.")
    keys = table[column]
    if keys.dim() != 1 or keys.dtype.is_floating_point:
        raise ValueError(f"The key '{column}' must be one integer a row, not {keys.dtype} of {tuple(keys.shape)}.")
    number = keys.long()
    if names:
        same = keys[:, None] == torch.tensor([code(name) for name in names], device=keys.device)
        number = torch.where(same.any(1), same.int().argmax(1), -1)
    strange = (number < 0) | (number >= count)
    if strange.any():
        known = f"the names {', '.join(names)}" if names else f"0 to {count - 1}"
        raise ValueError(
            f"There is no place for the key {int(keys[strange][0])} of '{column}': the keys are {known}. "
            "Nothing was written."
        )
    return number


def _turns(keys: Tensor) -> Tensor:
    """How many earlier rows have the same key, (n,) from (n,)."""
    order = torch.argsort(keys, stable=True)
    ordered = keys[order]
    turn = torch.empty_like(order)
    turn[order] = torch.arange(len(keys), device=keys.device) - torch.searchsorted(ordered, ordered)
    return turn
