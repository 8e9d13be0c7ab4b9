"""Which files of a repository are searched, and why the others are not."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Final, final

from contrast_code.languages import language_of

LARGEST: Final = 1_000_000
SKIPPED_FOLDERS: Final = frozenset({"node_modules", "vendor", "build", "dist", "site-packages", "__pycache__"})


@final
class SourceFiles:
    """The source files under a folder, in order, and a count of the skipped ones by reason.

    Hidden folders and those of other people's code (`SKIPPED_FOLDERS`) are not entered, links to folders neither.

    Raises:
        FileNotFoundError: if the folder doesn't exist.
        NotADirectoryError: if it is a file.
    """

    def __init__(self, root: Path) -> None:
        if not root.exists():
            raise FileNotFoundError(f"There is no folder {root}. Name the folder of the repository to search.")
        if not root.is_dir():
            raise NotADirectoryError(f"{root} is a file. Name the folder that holds it.")
        self.paths: list[str] = []
        self.skipped: Counter[str] = Counter()
        for folder, folders, names in os.walk(root):
            kept = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS)
            self.skipped["folder not searched"] += len(folders) - len(kept)
            folders[:] = kept
            for name in sorted(names):
                path = Path(folder, name)
                reason = _reason(path)
                if reason is None:
                    self.paths.append(path.relative_to(root).as_posix())
                else:
                    self.skipped[reason] += 1
        self.skipped = +self.skipped


def _reason(path: Path) -> str | None:
    if language_of(path) is None:
        return "language without grammar"
    if not path.is_file():
        return "not a plain file"
    try:
        return "larger than 1 MB" if path.stat().st_size > LARGEST else None
    except OSError:
        return "unreadable"


def binary(content: bytes) -> bool:
    """Whether it is no text: there is a zero in its beginning."""
    return b"\0" in content[:8192]


def decoded(content: bytes) -> tuple[str, bool]:
    """The text of a file, and whether it was UTF-8; bytes that are not become U+FFFD, so lines keep their numbers."""
    try:
        return content.decode("utf-8"), True
    except UnicodeDecodeError:
        return content.decode("utf-8", errors="replace"), False
