"""Text encoders as folders of sentence-transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import contrast_core as contrast
from contrast_core.errors import ContrastError
from contrast_core.export import export_run, load, load_encoder

TEXTS = ["the cat sits on the mat", "a dog", "It rains today", "sun", "zebra runs under a tree again and again " * 3]


MODELS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "cls": ({"pooling": "cls"}, ["Transformer", "Pooling"]),
    "mean": ({"pooling": "mean", "normalise": True}, ["Transformer", "Pooling", "Normalize"]),
    "last": ({"pooling": "last"}, ["Transformer", "Pooling"]),
}
STOCK = """
import sys
sys.modules["contrast_core"] = None
import json, numpy
from sentence_transformers import SentenceTransformer
for name in sys.argv[2:]:
    model = SentenceTransformer(name, device="cpu")
    numpy.save(f"{name}.npy", model.encode(json.loads(sys.argv[1]), show_progress_bar=False))
    print(json.dumps([type(module).__name__ for module in model]))
"""


@pytest.fixture
def train(language_model: Path, tmp_path: Path, trained: Callable[..., Path]) -> Callable[..., Path]:
    """train(**options of the encoder): the folder of a run on the texts."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")

    def short(**options: Any) -> Path:
        settings = {"data.path": tmp_path / "texts.txt", "encoder.path": language_model, "encoder.projection": 8}
        own = {f"encoder.{name}": value for name, value in {"max_length": 12, **options}.items()}
        return trained("core/texts-simcse", {**settings, **own})

    return short


def test_stock_sentence_transformers_gives_the_same_embedding(train: Callable[..., Path], tmp_path: Path) -> None:
    """In an interpreter that can't import this package; cut off at the same length, and without the head."""
    ours = {}
    for name, (options, _) in MODELS.items():
        run = train(**options)
        export_run(run, tmp_path / name, format="sentence-transformers")
        ours[name] = contrast.embed(run).z.numpy()
        run.rename(tmp_path / f"{name}-run")
    command = [sys.executable, "-c", STOCK, json.dumps(TEXTS), *ours]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [modules for _, modules in MODELS.values()]
    for name, expected in ours.items():
        assert expected.shape == (5, 16)
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), expected, rtol=0, atol=1e-5)
        listed = json.loads((tmp_path / name / "modules.json").read_text(encoding="utf-8"))
        assert all(module["type"].startswith("sentence_transformers.") for module in listed)


def test_a_text_encoder_is_a_plain_module_too(train: Callable[..., Path], tmp_path: Path) -> None:
    """A list of texts in, the run's embedding out, also from the folder; ONNX has no texts."""
    run = train()
    encoder = load_encoder(run)
    assert encoder.input_names == ("one",)
    export_run(run, tmp_path / "folder")
    expected = contrast.embed(run).z
    with torch.no_grad():
        assert torch.equal(encoder(TEXTS), expected)
        assert torch.equal(load(tmp_path / "folder")(TEXTS), expected)
    with pytest.raises(ContrastError, match=r"takes texts, and ONNX tensors only: .* --format sentence-transformers"):
        export_run(run, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
