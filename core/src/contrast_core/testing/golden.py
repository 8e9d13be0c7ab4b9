"""Golden cases: what the authors' own code made of some inputs, as arrays in .npz files beside the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, final

import numpy
import torch


@final
class Case(dict[str, Any]):
    """One golden case: tensors by name, texts as they are or in lists; what describes them as `case.meta`."""

    @property
    def meta(self) -> dict[str, Any]:
        """System, function, source, parameters and note."""
        return self["meta"]  # type: ignore[no-any-return]


def golden_cases(folder: Path, name: str) -> list[Case]:
    """All cases `NAME-*.npz` of a folder, in the order of their names; their key `meta` is JSON.

    Raises:
        FileNotFoundError: if there is none.
    """
    cases = []
    for path in sorted(folder.glob(f"{name}-*.npz")):
        with numpy.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files if key != "meta"}
            case = Case(
                {
                    key: array.tolist() if array.dtype.kind == "U" else torch.tensor(array)
                    for key, array in arrays.items()
                }
            )
            case["meta"] = json.loads(str(file["meta"]))
        cases.append(case)
    if not cases:
        raise FileNotFoundError(f"No golden case called {name!r} lies in {folder}.")
    return cases
