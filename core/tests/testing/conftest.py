"""Makes packages that lie in a folder look installed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BROKEN = Path(__file__).parent / "broken"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """installed("mine"): the package contrast_mine of a folder is the distribution contrast-mine, here and below."""
    with pytest.MonkeyPatch.context() as patch:
        before = set(sys.modules)

        def install(name: str, folder: Path = BROKEN) -> None:
            site = tmp_path_factory.mktemp(f"site-{name}")
            info = site / f"contrast_{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: contrast-{name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[contrast]\n{name} = contrast_{name}.manifest\n")
            paths = [str(site), str(folder)]
            for path in paths:
                patch.syspath_prepend(path)
            patch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
            importlib.invalidate_caches()

        yield install
        for module in set(sys.modules) - before:
            if module.partition(".")[0].startswith("contrast_") and not module.startswith("contrast_core"):
                del sys.modules[module]


MANIFEST = """
from contrast_core.spec import Component, Manifest

def contrast_manifest():
    dot = Component("similarity", "tiny/dot", "contrast_tiny.parts:Dot", "Inner products.")
    return Manifest(api=1, components=[dot, Component("data", "tiny/none", "contrast_tiny.parts:Points", "Points.")])
"""
PARTS = '''
from contrast_core.interfaces import Data
from contrast_core.similarity import Similarity

class Dot(Similarity):
    """s(a, c) = a . c - mean of the block."""

    def between(self, a, c):
        return (a[0] @ c[0].T) - (a[0] @ c[0].T).mean()

class Points(Data):
    """No points at all, and no example."""

    gives = ("image", "sample")

    def load(self): ...

    def __len__(self): return 0

    def batch(self, items): return {}
'''


@pytest.fixture(scope="module")
def tiny(installed: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of contrast_tiny: a similarity that fails `blocks-agree` alone, and a data set without an example."""
    folder = tmp_path_factory.mktemp("project")
    package = folder / "contrast_tiny"
    package.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "contrast-tiny"\nversion = "1.0"\n')
    (package / "__init__.py").write_text("")
    (package / "manifest.py").write_text(MANIFEST)
    (package / "parts.py").write_text(PARTS)
    installed("tiny", folder)
    return package
