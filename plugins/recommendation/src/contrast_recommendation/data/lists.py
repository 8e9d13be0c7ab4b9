"""Files with a user and his items in each line, as SASRec and its successors publish their data."""

from __future__ import annotations

from pathlib import Path

from contrast_recommendation.data.log import Log


def read_lists(path: Path) -> Log:
    """Lines `user item item ...`, separated by blanks, items in the order of time.

    Several lines of one user continue each other, so a file with a pair `user item` a line is read too.

    Raises:
        ValueError: if the file can't be read or is empty, or a line has a user but no item; with the line.
    """
    users: list[str] = []
    items: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                cells = line.split()
                if len(cells) == 1:
                    raise ValueError(f"{path.name}, line {number}: the user '{cells[0]}' has no items.")
                known = max(len(cells) - 1, 0)
                users += cells[:1] * known
                items += cells[1:]
    except (OSError, UnicodeDecodeError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise ValueError(f"{path} can't be read: {reason.rstrip('.')}.") from error
    if not users:
        raise ValueError(f"{path.name} holds no interactions.")
    return Log(path.name, users, items)
