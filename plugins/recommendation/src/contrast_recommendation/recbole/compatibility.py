"""RecBole 1.2 with today's numpy, pandas, scipy and torch.

Every repair is made where its fault is found and nowhere else, so a mended RecBole is left alone; it changes names
inside RecBole's own modules and classes, and only within `repaired()`. numpy, pandas, scipy and torch stay as they are.

fault                                            since              cure
`np.float`, `np.int` ... of evaluator, data      numpy 1.24         the module's `np` is a stand-in that has them
`np.float_` ... in Config.compatibility_settings numpy 2.0          the method does nothing: the stand-ins do its work
`A._update(...)` of sparse matrices (LightGCN,   by scipy 1.17      the module's `sp` makes matrices that have it
NGCF, GCMC, NCL, SpectralCF, KGIN, MCCLK)
`torch.load` of checkpoints with a Config inside torch 2.6          the module's `torch` loads them with
                                                                    weights_only=False; open none but your own
`Dataset._fill_nan` leaves missing values there  pandas 3.0         the method is replaced by one that fills them
warnings: see NOT_SHOWN                          newer libraries    not shown
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, final

import numpy
import pandas
import scipy.sparse
import torch

NUMPY: Mapping[str, type] = {
    **{name: kind for kind in (float, int, bool, str, object, complex) for name in (kind.__name__,)},
    "float_": numpy.float64,
    "complex_": numpy.complex128,
    "unicode_": numpy.str_,
    "unicode": str,
}
"""What the names that numpy no longer has used to mean."""
IMPORTED = (
    "config",
    "data",
    "data.dataset",
    "evaluator",
    "trainer",
    "model.general_recommender",
    "model.knowledge_aware_recommender",
)
"""Modules of RecBole that are there before the repairs are made."""
NOT_SHOWN = (
    "The given NumPy array is not writable",
    "__array_wrap__ must accept context and return_scalar",
    r"torch\.sparse\.SparseTensor\(indices, values, shape, \*, device=\) is deprecated",
    r"The inplace keyword in .* is deprecated",
    r"`torch\.cuda\.amp\.GradScaler\(args\.\.\.\)` is deprecated",
)


@final
class StandIn(ModuleType):
    """A module with some names replaced; all others are those of the original."""

    def __init__(self, original: ModuleType, **replaced: Any):
        super().__init__(original.__name__)
        self.__dict__.update(replaced, _original=original)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@contextmanager
def repaired() -> Iterator[list[str]]:
    """Within it RecBole works; gives the repairs that were made, as `module.name` of what was replaced.

    Raises:
        ImportError: if RecBole is not installed, or kmeans_pytorch, which it needs and does not ask for.
    """
    for name in ("recbole", "kmeans_pytorch"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(
                f'RecBole needs {name}, which is not installed: pip install "recbole>=1.2,<1.3" kmeans-pytorch',
                name=name,
            )
    made: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # Some of its files have escapes in texts that Python warns of when it compiles them.
        warnings.filterwarnings("ignore", message="invalid escape sequence")
        for name in IMPORTED:
            import_module(f"recbole.{name}")
        for message in NOT_SHOWN:
            warnings.filterwarnings("ignore", message=message)
        for owner, name, value in _faults():
            stack.enter_context(_replaced(owner, name, value))
            made.append(
                f"{owner.__module__ + '.' + owner.__qualname__ if inspect.isclass(owner) else owner.__name__}.{name}"
            )
        yield made


def _faults() -> Iterator[tuple[Any, str, Any]]:
    """Owner, name and replacement of whatever is found to be broken."""
    config = import_module("recbole.config").Config
    settings = getattr(config, "compatibility_settings", None)
    if settings is not None and _missing(numpy, re.findall(r"=\s*np\.(\w+)", inspect.getsource(settings))):
        yield config, "compatibility_settings", lambda self: None
    dataset = import_module("recbole.data.dataset").Dataset
    if not _fills_in_place() and "inplace=True" in inspect.getsource(dataset._fill_nan):
        yield dataset, "_fill_nan", _fill_missing
    unsafe = inspect.signature(torch.load).parameters["weights_only"].default is not False
    updating = hasattr(scipy.sparse.dok_matrix, "_update")
    for name, module in sorted(sys.modules.items()):
        if not name.startswith("recbole.") or getattr(module, "__file__", None) is None:
            continue
        source = inspect.getsource(module)
        if vars(module).get("np") is numpy:
            gone = _missing(numpy, re.findall(r"\bnp\.(\w+)", source))
            if gone:
                yield module, "np", StandIn(numpy, **{each: NUMPY[each] for each in gone})
        if vars(module).get("torch") is torch and unsafe and re.search(r"torch\.load\((?![^)]*weights_only)", source):
            yield module, "torch", StandIn(torch, load=partial(torch.load, weights_only=False))
        if vars(module).get("sp") is scipy.sparse and not updating and "._update(" in source:
            yield module, "sp", StandIn(vars(module)["sp"], dok_matrix=_Updating)


def _missing(module: ModuleType, names: list[str]) -> list[str]:
    """The known names that a module lacks; asking it by hasattr would warn."""
    return sorted({name for name in names if name in NUMPY and name not in vars(module)})


def _fills_in_place() -> bool:
    """Whether a column of a frame still shows the frame what is done to it."""
    frame = pandas.DataFrame({"a": [numpy.nan]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame["a"].fillna(0.0, inplace=True)
    return not bool(frame["a"].isna().any())


def _fill_missing(dataset: Any) -> None:
    """0 for missing tokens, the column's mean for missing numbers, nothing for missing lists: what RecBole means."""
    for name in dataset.feat_name_list:
        feat = getattr(dataset, name)
        for field in feat:
            kind = dataset.field2type[field].value
            if kind in ("token", "float"):
                feat[field] = feat[field].fillna(0 if kind == "token" else feat[field].mean())
            else:
                empty = numpy.array([], dtype=numpy.int64 if kind == "token_seq" else numpy.float64)
                feat[field] = [empty if isinstance(each, float) else each for each in feat[field]]


@final
class _Updating(scipy.sparse.dok_matrix):  # type: ignore[misc]
    """A sparse matrix whose entries can be set from a dictionary of places, as they could before."""

    def _update(self, entries: Mapping[tuple[int, int], float]) -> None:
        self._dict.update(entries)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
