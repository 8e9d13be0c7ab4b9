"""What lets RecBole run with today's libraries: made where a fault is, undone afterwards, nowhere else."""

from __future__ import annotations

import inspect
import math
import sys
from importlib import import_module
from types import ModuleType

import numpy
import pandas
import pytest
import scipy.sparse
import torch

from contrast_recommendation.recbole import compatibility
from contrast_recommendation.recbole.compatibility import StandIn, repaired


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """fake(name, source): a module recbole.NAME of a source text, with numpy, torch and scipy.sparse imported."""

    def make(name: str, source: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text("import numpy as np\nimport torch\nimport scipy.sparse as sp\n" + source)
        module = ModuleType(f"recbole.{name}")
        module.__file__ = str(path)
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    return make


def test_names_that_numpy_lost(fake):
    """A module that uses one gets it, and keeps all others; one that does not is left alone."""
    old = fake("old", "def f():\n    return np.float(3), np.arange(2).astype(np.str), np.float32\n")
    new = fake("new", "def f():\n    return np.float64(3)\n")
    with repaired() as made:
        three, texts, kept = old.f()
        assert (three, texts.tolist(), kept) == (3.0, ["0", "1"], numpy.float32)
        assert new.np is numpy
    assert "recbole.old.np" in made
    assert "recbole.new.np" not in made
    with pytest.raises(AttributeError, match="float"):
        old.f()


def test_checkpoints_with_objects_inside(fake, tmp_path):
    """torch.load in RecBole reads what RecBole saves; where it already says how to load it is left alone."""
    old = fake("old", "def f(path):\n    return torch.load(path, map_location='cpu')\n")
    new = fake("new", "def f(path):\n    return torch.load(path, map_location='cpu', weights_only=False)\n")
    torch.save({"config": pandas.Series([1])}, tmp_path / "a.pth")
    with repaired() as made:
        assert old.f(tmp_path / "a.pth")["config"].tolist() == [1]
        assert old.torch.nn is torch.nn
    assert "recbole.old.torch" in made
    assert new.torch is torch
    assert "recbole.new.torch" not in made


def test_entries_of_sparse_matrices(fake):
    """A matrix takes a dictionary of entries as its kind once did."""
    old = fake("old", "def f(entries):\n    a = sp.dok_matrix((2, 3))\n    a._update(entries)\n    return a\n")
    with repaired():
        assert old.f({(0, 1): 2.0, (1, 2): 5.0}).tocsr().toarray().tolist() == [[0, 2, 0], [0, 0, 5]]


def test_the_libraries_stay_as_they_are():
    """Neither within nor afterwards has numpy, scipy or torch anything that it did not have."""

    def now():
        return sorted(vars(numpy)), torch.load, scipy.sparse.dok_matrix, sorted(vars(scipy.sparse.dok_matrix))

    import_module("recbole.trainer")
    before = now()
    with repaired():
        import_module("recbole.config").Config.compatibility_settings(None)
        assert now() == before
    assert now() == before


def test_everything_is_undone():
    """After it, and after an error in it, RecBole's modules hold what they held; within it nothing is made twice."""
    with repaired() as made:
        with repaired() as again:
            assert again == []
        assert made
    trainer, config = import_module("recbole.trainer.trainer"), import_module("recbole.config").Config
    assert trainer.torch is torch
    assert "np.float_" in inspect.getsource(config.compatibility_settings)
    with pytest.raises(RuntimeError, match="within"), repaired():
        raise RuntimeError("within")
    assert trainer.torch is torch


def test_without_faults_nothing_is_done(monkeypatch):
    """With libraries that have all of it RecBole is left alone."""
    modules = [name for name in sys.modules if name.startswith("recbole.")]
    for name, kind in compatibility.NUMPY.items():
        monkeypatch.setitem(vars(numpy), name, kind)
    monkeypatch.setattr(scipy.sparse.dok_matrix, "_update", dict.update, raising=False)
    monkeypatch.setattr(torch, "load", lambda path, weights_only=False: None)
    monkeypatch.setattr(compatibility, "_fills_in_place", lambda: True)
    for name in modules:
        if vars(sys.modules[name]).get("torch") is not None:
            assert vars(sys.modules[name])["torch"] is torch
    with repaired() as made:
        assert made == []


def test_missing_values_are_filled():
    """Tokens with 0, numbers with their mean, lists with nothing; columns without gaps stay."""
    with repaired():
        dataset = import_module("recbole.data.dataset").Dataset.__new__(import_module("recbole.data.dataset").Dataset)
        kinds = import_module("recbole.utils").FeatureType
        dataset.feat_name_list = ["inter_feat"]
        dataset.inter_feat = pandas.DataFrame(
            {"t": [1, math.nan, 3], "f": [1.0, math.nan, 4.0], "s": [math.nan, [7, 8], [9]], "whole": [1, 2, 3]}
        )
        dataset.field2type = {"t": kinds.TOKEN, "f": kinds.FLOAT, "s": kinds.TOKEN_SEQ, "whole": kinds.TOKEN}
        dataset._fill_nan()
    found = dataset.inter_feat
    assert found["t"].tolist() == [1, 0, 3]
    assert found["f"].tolist() == [1, 2.5, 4]
    assert [list(each) for each in found["s"]] == [[], [7, 8], [9]]
    assert found["whole"].tolist() == [1, 2, 3]


def test_a_stand_in_is_the_original_but_for_what_it_replaces():
    """Names are looked up in the original; one that is nowhere raises as there."""
    stand_in = StandIn(math, pi=3)
    assert (stand_in.pi, stand_in.e) == (3, math.e)
    with pytest.raises(AttributeError, match="nothing"):
        _ = stand_in.nothing


def test_recbole_or_what_it_needs_is_missing(monkeypatch):
    """The sentence names the package and how to get it."""
    found = compatibility.find_spec
    monkeypatch.setattr(compatibility, "find_spec", lambda name: None if name == "kmeans_pytorch" else found(name))
    with pytest.raises(ImportError, match=r"RecBole needs kmeans_pytorch.*pip install"), repaired():
        pass
