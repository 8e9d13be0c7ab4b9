"""Where what can be made again is kept between runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path | None:
    """``$CONTRAST_CACHE``, else ``contrast`` in ``$XDG_CACHE_HOME`` or in the platform's cache folder, if any."""
    if own := os.environ.get("CONTRAST_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "contrast"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "contrast" / "cache"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "contrast"
