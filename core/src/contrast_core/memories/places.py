"""What memories of single rows share: places for rows, and for the columns that go with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow, Memory


class Places(Memory):
    """A fixed number of places, each with a row z, its sample and further columns, in one buffer each.

    Which row goes to which place, and which places are given, is for the memory to decide.

    Args:
        source: name of the table whose rows are written; when: see `Memory`.
        places: how many rows there is room for.
        dimension: d of the field z, (n, d).
        columns: what else is remembered of a row besides its `sample`; `prepare` makes their buffers in the shape and
            type of the first batch.
        random: start with random unit rows in all places. They are of no sample: it is -1, as are other columns of
            integers; columns of numbers are 0.
        normalise: scale rows to unit length when they are written.
        seed: of the random rows.

    Raises:
        ValueError: if a size is not positive or a column is one that the memory gives itself; in use, if rows have
            another dimension or lack a column.
    """

    rows: Tensor
    sample: Tensor

    def __init__(
        self,
        source: str,
        when: str,
        places: int,
        dimension: int,
        columns: Sequence[str],
        random: bool,
        normalise: bool,
        seed: int,
    ):
        super().__init__(source, when)
        if places < 1 or dimension < 1:
            raise ValueError(f"A memory needs a positive size and dimension, not {places} and {dimension}.")
        if own := sorted({"z", "source"}.intersection(columns)):
            raise ValueError(f"The memory gives '{own[0]}' itself: leave it out of the columns to be remembered.")
        self.dimension, self.normalise = dimension, normalise
        self.columns = tuple(name for name in dict.fromkeys(columns) if name != "sample")
        self.needs = (source, *(f"{source}.{name}" for name in self.columns))
        rows = torch.zeros(places, dimension)
        if random:
            generator = torch.Generator().manual_seed(seed)
            rows = functional.normalize(torch.randn(rows.shape, generator=generator), dim=1)
        self.register_buffer("rows", rows)
        self.register_buffer("sample", torch.full((places,), -1))

    def prepare(self, flow: Flow) -> None:
        """Make the buffers of the further columns."""
        for name in self.columns:
            like = self._column(flow[self.source], name)
            whole = like.dtype.is_signed and not like.dtype.is_floating_point
            shape = (len(self.rows), *like.shape[1:])
            fill = torch.full(shape, -1 if whole else 0, dtype=like.dtype, device=self.rows.device)
            self.register_buffer(f"column_{name}", fill)

    def _check(self, table: Embeddings) -> None:
        """Refuse what can't be written, before anything is."""
        shape = tuple(table.z.shape)
        if len(shape) != 2 or shape[1] != self.dimension:
            raise ValueError(
                f"The memory of '{self.source}' keeps rows of dimension {self.dimension}, not a table of shape "
                f"{shape}; set its dimension to that of the table."
            )
        for name in self.columns:
            if f"column_{name}" not in self._buffers:
                raise ValueError(
                    f"The memory of '{self.source}' has no room for the column '{name}' yet: "
                    "call prepare(flow) once, with a first batch."
                )
            kept, given = self.get_buffer(f"column_{name}").shape[1:], self._column(table, name).shape[1:]
            if kept != given:
                raise ValueError(
                    f"The memory of '{self.source}' remembers '{name}' with entries of shape {tuple(kept)}, "
                    f"not {tuple(given)}."
                )

    def _column(self, table: Embeddings, name: str) -> Tensor:
        if name not in table.columns:
            have = ", ".join(table.columns) or "none"
            raise ValueError(f"The memory of '{self.source}' needs its column '{name}'; the table's columns: {have}.")
        return table[name]

    def _rows(self, table: Embeddings) -> Tensor:
        """The table's z as it is kept."""
        z = table.z.to(self.rows)
        return functional.normalize(z, dim=1) if self.normalise else z

    def _put(self, places: Tensor, z: Tensor, table: Embeddings) -> None:
        """Rows, as they are kept, and the table's columns into places, none of which may come twice."""
        self.rows[places] = z
        sample = table["sample"] if "sample" in table else torch.full((len(table),), -1)
        self.sample[places] = sample.to(self.sample)
        for name in self.columns:
            kept = self.get_buffer(f"column_{name}")
            kept[places] = table[name].to(kept)

    def _given(self, places: Tensor) -> Embeddings:
        """A copy of some places, so that writing later can't spoil a gradient."""
        columns = {name: self.get_buffer(f"column_{name}")[places] for name in self.columns}
        return Embeddings({"z": self.rows[places]}, {"sample": self.sample[places], **columns})
