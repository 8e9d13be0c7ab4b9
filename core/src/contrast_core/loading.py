"""Running what a plugin's manifest does with patience: in a thread of its own, waited for so long and no longer.

A thread can't be ended from outside. One that is waited for in vain goes on as a daemon: what it returns goes nowhere,
what it prints goes to standard error, and what it still imports lies in `sys.modules`, where nobody asks for it.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, TextIO, TypeVar, cast, final

from contrast_core.errors import ContrastError

HEAVY = ("torch", "tensorflow", "jax", "transformers", "pandas", "sklearn", "scipy", "matplotlib")
"""Libraries that no manifest should import."""
PATIENCE = 2.0
"""Seconds that a manifest may take, unless CONTRAST_PATIENCE says otherwise."""
FOR_HEAVY = 30.0
"""Factor of patience once a heavy library is on its way: from a cold disk that takes long, but it works."""
_STEP = 0.05

Result = TypeVar("Result")


@final
class HungError(ContrastError):
    """A manifest that did not load in time."""

    def __init__(self, seconds: float):
        super().__init__(f"Its manifest did not load within {seconds:g} s.")
        self.seconds = seconds


@final
class QuitError(Exception):
    """A manifest raised what is no Exception, SystemExit for one, which is the cause of this."""


@final
class Patience:
    """Runs one manifest, which may take `seconds`.

    Args:
        seconds: of waiting, thirty times as much once the manifest imports a library that is `HEAVY`.
    """

    def __init__(self, seconds: float):
        self.before = frozenset(sys.modules)
        self._seconds, self._start = seconds, time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it waits."""
        return self._seconds * (FOR_HEAVY if self.heavy else 1.0)

    @property
    def heavy(self) -> list[str]:
        """The heavy libraries that are there and were not before."""
        return [name for name in HEAVY if name in sys.modules and name not in self.before]

    def run(self, work: Callable[[], Result]) -> Result:
        """Call `work` in a thread. What it prints does not end up in what a command prints.

        Raises:
            HungError: if it does not end in time.
            QuitError: if it raised what is no Exception; and whatever Exception it raised.
        """
        ends: list[tuple[Result, None] | tuple[None, BaseException]] = []

        def call() -> None:
            try:
                ends.append((work(), None))
            except BaseException as error:
                ends.append((None, error))

        thread = threading.Thread(target=call, daemon=True)
        stdout = sys.stdout
        sys.stdout = sys.stderr
        try:
            thread.start()
            while thread.is_alive() and time.monotonic() - self._start < self.seconds:
                thread.join(_STEP)
        finally:
            # Also if the user interrupts. A thread that still runs must never find the stream that commands print to.
            sys.stdout = cast("TextIO", _Elsewhere(stdout, thread)) if thread.is_alive() else stdout
        if not ends:
            raise HungError(self.seconds)
        result, error = ends[0]
        if error is not None:
            raise error if isinstance(error, Exception) else QuitError() from error
        return cast("Result", result)


@final
class _Elsewhere:
    """A stream as it is for all threads but one, which writes to standard error."""

    def __init__(self, stream: TextIO, thread: threading.Thread):
        self._stream, self._thread = stream, thread

    def write(self, text: str) -> int:
        """Write it where the thread may."""
        stream = sys.stderr if threading.current_thread() is self._thread else self._stream
        return stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def patience_wanted() -> float:
    """The seconds that CONTRAST_PATIENCE asks for, or `PATIENCE`.

    Raises:
        ContrastError: if the variable is no positive number.
    """
    text = os.environ.get("CONTRAST_PATIENCE")
    if not text:
        return PATIENCE
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ContrastError(f"CONTRAST_PATIENCE must be a number of seconds above 0, for example 5, not '{text}'.")
    return seconds


def forget_modules(point: EntryPoint, before: frozenset[str]) -> None:
    """Take the modules of an entry point's package out of `sys.modules` that were not there before."""
    match = EntryPoint.pattern.match(point.value)
    package = match["module"].partition(".")[0] if match else ""
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == package:
            module = sys.modules.pop(name, None)
            parent, _, child = name.rpartition(".")
            if parent in before and getattr(sys.modules.get(parent), child, None) is module:
                delattr(sys.modules[parent], child)


def sentence(error: BaseException, point: EntryPoint, distribution: str | None) -> str:
    """Why a manifest did not load, as one sentence; `distribution` is who ships it, if that is known."""
    error = error.__cause__ or error if isinstance(error, QuitError) else error
    try:
        return _sentence(error, point, distribution)
    except Exception:
        # An error whose own text raises.
        return f"Its manifest raised {type(error).__name__}."


def _sentence(error: BaseException, point: EntryPoint, distribution: str | None) -> str:
    if isinstance(error, ContrastError):
        return str(error)
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, ModuleNotFoundError) and error.name:
        if error.name.partition(".")[0] == point.module.partition(".")[0]:
            cure = f": pip install --force-reinstall {distribution}" if distribution else "."
            return f"Its module {error.name} is not there{cure}"
        missing = distribution or error.name.partition(".")[0]
        return f"Its manifest needs {error.name}, which is not installed: pip install --upgrade {missing}"
    return f"Its manifest raised {type(error).__name__}: {text}"
