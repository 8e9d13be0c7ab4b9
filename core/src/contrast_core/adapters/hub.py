"""Models of transformers, from a folder or the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Loaded = TypeVar("Loaded")


def loaded(name: str, load: Callable[[], Loaded], holds: str) -> Loaded:
    """What `load` gives, without its progress bars.

    Args:
        name: the folder or the model's name.
        load: calls transformers.
        holds: which files a folder must hold, for the message.

    Raises:
        ValueError: for whatever it fails of.
    """
    from transformers.utils import logging as told

    logging: Any = told
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return load()
    except Exception as error:
        # Its many libraries have as many ways to fail.
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"The model '{name}' can't be loaded: a folder with {holds}, or a name on the Hugging Face hub that is in "
            f"the cache or can be downloaded, would be right. {reason}"
        ) from error
    finally:
        if shown:
            logging.enable_progress_bar()
