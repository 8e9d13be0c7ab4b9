"""Several tables as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, View


@final
class Stack(View):
    """Rows of several tables below each other, under a name of their own; a view after the encoder.

    A row's place among the tables, 0, 1, ..., becomes its column `view`. So a memory or an objective of one table
    reads all views, and views that were encoded one by one (each with its own batch statistics) compare.

    Args:
        tables: the names to make, and of which tables; each of these has a column `sample`.
        columns: what else all of them have that later parts read, for example a label; other common columns are kept
            too, but nobody is promised them.

    Raises:
        ValueError: if there is no name or a name without tables.
    """

    def __init__(self, tables: Mapping[str, Sequence[str]], columns: Sequence[str] = ()):
        super().__init__()
        if not tables or not all(tables.values()):
            raise ValueError('Give each name its tables, for example tables = { student = ["one", "two"] }.')
        self.tables = {name: tuple(parts) for name, parts in tables.items()}
        parts = dict.fromkeys(part for each in self.tables.values() for part in each)
        promised = ("sample", *columns)
        self.needs = (*parts, *(f"{part}.{column}" for part in parts for column in promised))
        self.gives = (*self.tables, *(f"{table}.{column}" for table in self.tables for column in (*promised, "view")))

    def forward(self, flow: Flow) -> Flow:
        """The stacked tables."""
        return {
            name: cat([flow[part].with_columns(view=number) for number, part in enumerate(parts)])
            for name, parts in self.tables.items()
        }
