"""Tables of interactions in Parquet files, where pyarrow is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from contrast_recommendation.data.log import Fields, Log, made_log, places_of


def read_parquet(path: Path, fields: Fields) -> Log:
    """The columns of a Parquet file; times may also be dates.

    Raises:
        ValueError: if pyarrow is missing, the file can't be read or lacks a column, a user or item is missing, or a
            time or rating is no finite number; with the number of the row, counted from 1.
    """
    if find_spec("pyarrow") is None:
        raise ValueError(f"{path.name} is a Parquet file, which needs one more package: pip install pyarrow")
    import pyarrow
    from pyarrow import parquet

    try:
        places_of(path.name, parquet.read_schema(path).names, fields)
        table = parquet.read_table(path, columns=fields.named())
    except (OSError, pyarrow.ArrowException) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise ValueError(f"{path} can't be read: {reason.rstrip('.')}.") from error
    cells = []
    for name in fields.named():
        column = table.column(name)
        if pyarrow.types.is_temporal(column.type):
            column = column.cast(pyarrow.timestamp("us")).cast(pyarrow.int64())
        cells.append(["" if value is None else str(value) for value in column.to_pylist()])
    return made_log(path.name, fields, cells, range(1, table.num_rows + 1), unit="row")
