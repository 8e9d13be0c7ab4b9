"""Embeddings: a table of rows, each with tensors (fields) and plain facts (columns)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, final

import torch
from attrs import field, frozen
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Value = Tensor | str | int


@lru_cache(maxsize=4096)
def code(name: str) -> int:
    """The integer that stands for a name in a column: the same in every process, on every machine.

    It is 62 bits of BLAKE2b, so two different names practically never share it.
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 2


@final
class _Joined(Mapping[str, Tensor]):
    """The rows of several tables under each of their names, put together when they are first asked for.

    Who takes the tables one by one never asks, and a large memory is then not copied for every loss.
    """

    def __init__(self, parts: Sequence[Mapping[str, Tensor]]):
        self.parts, self.names = parts, _shared(parts)
        self.made: dict[str, Tensor] = {}
        self.rows = sum(_rows(part) for part in parts)

    def __getitem__(self, name: str) -> Tensor:
        if name in self.made:
            return self.made[name]
        # What is first read without gradients, by a miner for example, may be read with them later.
        with torch.enable_grad():
            joined = torch.cat([part[name] for part in self.parts])
        if not joined.is_inference():
            self.made[name] = joined
        return joined

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _copied(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return tensors if isinstance(tensors, _Joined) else dict(tensors)


def _some(tensors: Mapping[str, Tensor]) -> Tensor:
    """One of the tensors, or of its parts, whichever costs nothing."""
    return _some(tensors.parts[0]) if isinstance(tensors, _Joined) else next(iter(tensors.values()))


def _rows(tensors: Mapping[str, Tensor]) -> int:
    # The shape's entry and not len(): it stays a symbol when a model is exported for any number of rows.
    return tensors.rows if isinstance(tensors, _Joined) else _some(tensors).shape[0]


@frozen(eq=False)
class Embeddings:
    """A table of n rows.

    Args:
        fields: differentiable tensors by name, each (n, ...); the field `z`, (n, d), is the embedding itself.
        columns: facts about the rows by name, each (n,) or (n, k), never differentiated: `sample` (which item),
            `view` (which augmentation), `source` (student, queue, teacher, prototype ...), `label`, `group`,
            `domain`, `weight` ... Names in a column are stored as integers, see `code`.
        group: the processes that all hold these same rows and share the work on them, if there are several (see
            `contrast_core.distributed`); tables made of this one keep it.
        parts: the tables that `cat` made this one of, in order, for whoever can take them one by one; a table that is
            made of this one has none.

    Raises:
        ValueError: if there is no field, the lengths differ, or a field and a column share a name.
    """

    fields: Mapping[str, Tensor] = field(converter=_copied)
    columns: Mapping[str, Tensor] = field(factory=dict, converter=_copied)
    group: ProcessGroup | None = None
    parts: tuple[Embeddings, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not self.fields:
            raise ValueError("A table of embeddings needs at least one field, for example z.")
        first = next(iter(self.fields))
        joined = isinstance(self.fields, _Joined)
        rows = _rows(self.fields) if joined or _some(self.fields).dim() else None
        for name, tensor in (*(() if joined else self.fields.items()), *self.columns.items()):
            shape = tuple(tensor.shape)
            if not shape:
                raise ValueError(f"'{name}' is a single number; a table needs one entry for each row, (n, ...).")
            if shape[0] != rows:
                raise ValueError(f"'{name}' has shape {shape}, but the field '{first}' has {rows} rows.")
        if both := sorted(self.fields.keys() & self.columns.keys()):
            raise ValueError(f"'{both[0]}' is a field and a column of one table; give one of them another name.")

    @classmethod
    def of(cls, z: Tensor, **columns: Value) -> Embeddings:
        """A table with the one field z (n, d); a column given as one name or number holds it in every row."""
        return cls({"z": z}).with_columns(**columns)

    def __len__(self) -> int:
        return self.fields.rows if isinstance(self.fields, _Joined) else len(_some(self.fields))

    @property
    def z(self) -> Tensor:
        """The embedding, (n, d)."""
        return self["z"]

    @property
    def device(self) -> torch.device:
        """Where the rows live."""
        return _some(self.fields).device

    def __getitem__(self, name: str) -> Tensor:
        """A field or a column by name; KeyError names what the table has."""
        for part in (self.fields, self.columns):
            if name in part:
                return part[name]
        have = ", ".join([*self.fields, *self.columns])
        raise KeyError(f"The table has no field or column '{name}'; it has {have}.")

    def __contains__(self, name: object) -> bool:
        return name in self.fields or name in self.columns

    def with_columns(self, **columns: Value) -> Embeddings:
        """The same rows with more (or replaced) columns."""
        made = {}
        rows = _rows(self.fields)
        for name, value in columns.items():
            if isinstance(value, Tensor):
                made[name] = value.to(self.device)
            else:
                number = code(value) if isinstance(value, str) else value
                made[name] = torch.full((rows,), number, device=self.device)
        return Embeddings(self.fields, {**self.columns, **made}, self.group)

    def with_fields(self, **fields: Tensor) -> Embeddings:
        """The same rows with more (or replaced) fields."""
        return Embeddings({**self.fields, **fields}, self.columns, self.group)

    def select(self, rows: Tensor) -> Embeddings:
        """The rows at the given indices or where a mask is true; differentiable in the fields."""
        return Embeddings(
            {name: tensor[rows] for name, tensor in self.fields.items()},
            {name: tensor[rows] for name, tensor in self.columns.items()},
            self.group,
        )

    def detach(self) -> Embeddings:
        """The same table without gradients."""
        return Embeddings({name: tensor.detach() for name, tensor in self.fields.items()}, self.columns, self.group)


def cat(tables: Sequence[Embeddings]) -> Embeddings:
    """One table of all rows in order. Fields and columns that not every table has are left out.

    Fields are put together when they are first read; the tables must not be changed in place before.

    Raises:
        ValueError: if there is no table, no field common to all, or rows of different shapes under one name.
    """
    if not tables:
        raise ValueError("There is no table of embeddings to put together.")
    fields = _Joined([table.fields for table in tables])
    if not fields.names:
        have = "; ".join(", ".join(table.fields) for table in tables)
        raise ValueError(f"The tables share no field, so they cannot be put together: {have}.")
    group = next((table.group for table in tables if table.group is not None), None)
    columns = [table.columns for table in tables]
    joined = {name: torch.cat([part[name] for part in columns]) for name in _shared(columns)}
    return Embeddings(fields, joined, group, tuple(tables))


def _shared(parts: Sequence[Mapping[str, Tensor]]) -> list[str]:
    """The names that every part has, in the order of the first; their rows have one shape."""
    names = [name for name in parts[0] if all(name in part for part in parts)]
    for name in names:
        shapes = {shape for part in parts for shape in _shapes(part, name)}
        if len(shapes) > 1:
            listed = ", ".join(str(("n", *shape)).replace("'n'", "n") for shape in sorted(shapes))
            raise ValueError(f"'{name}' has rows of different shapes in the tables to put together: {listed}.")
    return names


def _shapes(tensors: Mapping[str, Tensor], name: str) -> Iterator[tuple[int, ...]]:
    """The shape of a name's rows; of joined ones that of each part, so that nothing is put together."""
    if isinstance(tensors, _Joined):
        for part in tensors.parts:
            yield from _shapes(part, name)
    else:
        yield tuple(tensors[name].shape[1:])


def at_least_float32(rows: Tensor) -> Tensor:
    """Half-precision rows in float32, others as they are."""
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
