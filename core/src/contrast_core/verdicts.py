"""Which manifests hung before: a small file in the user's cache folder, so that a command waits for each only once.

A verdict is for one version of a distribution and one state of the manifest's file. It is a help and never needed: a
file that can't be read or written, or that holds something else, is as good as none.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import final

from contrast_core.cache import cache_folder

FILE = "hung-manifests.json"


@final
class Verdicts:
    """The verdicts of the user's file, as it was when this was made.

    Args:
        folder: where the file lies; by default the user's cache folder.
    """

    def __init__(self, folder: Path | None = None):
        folder = folder or cache_folder()
        self._file = folder / FILE if folder else None
        self._waited = _read(self._file)

    def waited(self, point: EntryPoint, distribution: str, version: str) -> float:
        """Seconds that were waited in vain for a manifest, as it is now; 0 if it is not known to hang."""
        # Nearly always there are none; then nothing more is looked at.
        return self._waited.get(_key(point, distribution, version), 0.0) if self._waited else 0.0

    def record(self, point: EntryPoint, distribution: str, version: str, waited: float) -> None:
        """Remember that so many seconds were not enough, or with 0 that the manifest loads."""
        key = _key(point, distribution, version)
        if self._file is None or not key:
            return
        # Another process may have written since.
        self._waited = {k: v for k, v in _read(self._file).items() if k != key}
        if waited:
            self._waited[key] = waited
        with suppress(OSError):
            if self._waited:
                # Seldom needed, and slow to import.
                import json

                from contrast_core.files import write_text

                write_text(self._file, json.dumps(self._waited, indent=2) + "\n")
            else:
                self._file.unlink(missing_ok=True)


def _read(file: Path | None) -> dict[str, float]:
    try:
        text = file.read_text(encoding="utf-8") if file else ""
    except (OSError, ValueError):
        text = ""
    if not text:
        return {}
    import json

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {key: float(value) for key, value in items if isinstance(value, int | float)}


def _key(point: EntryPoint, distribution: str, version: str) -> str:
    """What a verdict is about, or nothing where the manifest's file can't be found."""
    from contrast_core.describe import source_of

    match = EntryPoint.pattern.match(point.value)
    path = source_of(match["module"]) if match else None
    try:
        modified = path.stat().st_mtime_ns if path else None
    except OSError:
        modified = None
    return "" if modified is None else f"{distribution} {version} {point.value} {modified}"
