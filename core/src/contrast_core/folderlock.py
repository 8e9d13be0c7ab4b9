"""One process trains in a run folder at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contrast_core.errors import ContrastError


@contextmanager
def training_in(folder: Path, file: str) -> Iterator[None]:
    """Hold a folder through one of its files; the system lets go of it when the process ends, however it does.

    Where the system or the file system has no such locks, nothing is held.

    Raises:
        ContrastError: if another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    # A lock of the process, not of the open file: loader processes that outlive a killed run must not keep it.
    with (folder / file).open("rb+") as held:
        try:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise ContrastError(
                    f"Another process is training in {folder}: wait for it, or end it first."
                ) from error
        yield
