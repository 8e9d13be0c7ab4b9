"""Encoders as ONNX models, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.export import EncoderModule, export_run
from contrast_core.export.module import Input
from contrast_core.export.onnx_file import write_onnx
from contrast_core.interfaces import Encoder, Flow

Train = Callable[..., Path]


def check(path: Path, module: EncoderModule, rows: Tensor) -> None:
    """The model is valid, its first dimension free, and its numbers are the module's for one item and for many."""
    onnx.checker.check_model(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, made.name) == (module.input_names[0], "embedding")
    assert given.shape == ["n", *rows.shape[1:]]
    for count in (1, 2, 7, len(rows)):
        (found,) = session.run(None, {given.name: rows[:count].numpy()})
        with torch.no_grad():
            expected = module(rows[:count]).numpy()
        assert found.shape == (count, module.size)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_model_of_images(trained: Train, tmp_path: Path) -> None:
    """A momentum encoder: the student alone, and no head."""
    path = tmp_path / "model.onnx"
    module = export_run(trained("core/digits-moco"), path)
    check(path, module, torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    matrices = [tuple(each.dims) for each in onnx.load(path).graph.initializer if len(each.dims) == 2]
    assert len(matrices) == 2


def test_a_model_of_raw_features(trained: Train, table: tuple[Path, Any], tmp_path: Path) -> None:
    """Standardising is in the model, in double precision as in the run; batch normalisation is frozen."""
    path, rows = table
    run = trained("core/table-simclr", {"data.path": path, "encoder.batch_norm": True})
    module = export_run(run, tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", module, torch.from_numpy(rows))


class Counting(Encoder):
    """Takes two inputs, fixes the number of items, or does what no exporter knows."""

    def __init__(self, how: str):
        super().__init__()
        self.how, self.layer = how, nn.Linear(3, 2)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """One table."""
        x = self.layer(flow["x"])
        if self.how == "two":
            return {"embedding": Embeddings.of(x * flow["y"][:, None], sample=flow["sample"], view="only")}
        if self.how == "length":
            return {"embedding": Embeddings.of(x + torch.zeros(len(x), 1))}
        return {"embedding": Embeddings.of(torch.from_numpy(x.numpy()))}


def test_several_inputs_keep_their_names(tmp_path: Path) -> None:
    """And share the number of items."""
    described = {"component": "local/counting", "embedding": {"size": 2}}
    inputs = [Input("x", (3,), "float32"), Input("y", (), "float32")]
    module = EncoderModule(inputs, {}, {}, Counting("two"), described, {})
    write_onnx(module, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for n in (1, 5):
        x, y = torch.rand(n, 3), torch.rand(n)
        (found,) = session.run(None, {"x": x.numpy(), "y": y.numpy()})
        np.testing.assert_allclose(found, module(x, y).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("length", "torch exports local/counting for two items only: .* tensor.shape"),
        ("numpy", "torch can't export local/counting to ONNX: "),
    ],
)
def test_what_torch_can_not_export_is_told(how: str, message: str, tmp_path: Path) -> None:
    """And no file is left."""
    described = {"component": "local/counting", "embedding": {"size": 2}}
    module = EncoderModule([Input("x", (3,), "float32")], {}, {}, Counting(how), described, {})
    with pytest.raises(ContrastError, match=message):
        write_onnx(module, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_library_the_line_that_installs_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One sentence, as for every extra."""
    monkeypatch.setattr("contrast_core.export.onnx_file.find_spec", lambda name: None)
    module = EncoderModule([Input("x", (3,), "float32")], {}, {}, Counting("length"), {"component": "x"}, {})
    with pytest.raises(ContrastError, match=r"pip install 'contrast-core\[onnx\]'"):
        write_onnx(module, tmp_path / "model.onnx")
