"""The encoder as a plain module and as a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import contrast_core as contrast
from contrast_core.assembly import assemble
from contrast_core.cli import main
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.export import EncoderModule, export_run, load, load_encoder
from contrast_core.export.extract import extract
from contrast_core.export.folder import write_folder
from contrast_core.interfaces import Data, Encoder, Flow
from contrast_core.recipe import parse_recipe
from contrast_core.registry import Plugin, Registry, discover
from contrast_core.spec import API, Component, Manifest
from contrast_core.training.checkpoint import own_randomness

Train = Callable[..., Path]
Table = tuple[Path, "np.ndarray[Any, Any]"]


def images() -> Tensor:
    """All digits as a user has them."""
    return torch.tensor(load_digits().images / 16.0, dtype=torch.float32)[:, None]


@pytest.mark.parametrize("recipe", ["core/digits-simclr", "core/digits-moco", "core/digits-supcon"])
def test_the_module_and_the_folder_embed_as_the_run_does(recipe: str, trained: Train, tmp_path: Path) -> None:
    """Bit for bit, with nothing but a tensor; the global generators are left alone."""
    run = trained(recipe)
    expected = contrast.embed(run).z
    before = torch.random.get_rng_state()
    encoder = load_encoder(run)
    assert not any(module.training for module in encoder.modules())
    assert (encoder.input_names, encoder.size) == (("image",), 256)
    export_run(run, tmp_path / "out")
    again = load(tmp_path / "out")
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.no_grad():
        assert torch.equal(encoder(images()), expected)
        assert torch.equal(again(image=images()), expected)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"encoder.safetensors", "encoder.json", "README.md"}


def test_raw_features_are_standardised_by_the_module(trained: Train, table: Table, tmp_path: Path) -> None:
    """As the training rows were, in the table's precision; the run and its table may be gone."""
    path, rows = table
    run = trained("core/table-simclr", {"data.path": path})
    expected = contrast.embed(run).z
    export_run(run, tmp_path / "out")
    run.rename(tmp_path / "elsewhere")
    path.unlink()
    encoder = load(tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(encoder(torch.from_numpy(rows)), expected)
        assert encoder(torch.from_numpy(rows[:1])).shape == (1, 128)
    described = json.loads((tmp_path / "out" / "encoder.json").read_text(encoding="utf-8"))
    assert described["inputs"] == [{"name": "features", "shape": [4], "dtype": "float64"}]
    assert described["component"] == "core/mlp"
    assert described["target"] == "contrast_core.encoders.mlp:MLP"
    assert described["encoder"]["hidden"] == [256]
    assert described["embedding"] == {"size": 128, "dtype": "float32"}
    assert described["versions"]["contrast-core"] == contrast.__version__
    assert described["source"] == "rows.npy: 120 rows, 4 features"


def test_a_table_that_is_not_standardised_is_taken_as_it_is(trained: Train, table: Table, tmp_path: Path) -> None:
    """Then nothing is kept of the data."""
    path, rows = table
    run = trained("core/table-simclr", {"data.path": path, "data.standardise": "none"})
    export_run(run, tmp_path / "out")
    with torch.no_grad():
        z = load(tmp_path / "out")(torch.from_numpy(rows).float())
    assert torch.equal(z, contrast.embed(run).z)


def test_the_readme_of_a_folder_runs(trained: Train, table: Table, tmp_path: Path) -> None:
    """Its three lines, in another process."""
    export_run(trained("core/table-simclr", {"data.path": table[0]}), tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    lines = text.split("```python\n")[1].split("```")[0].replace("path/of/this/folder", str(tmp_path / "out"))
    code = f"import torch\nfeatures = torch.ones(3, 4)\n{lines}assert embedding.shape == (3, 128)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_wrong_inputs_are_named(trained: Train) -> None:
    """Unknown, missing and too many ones."""
    encoder = load_encoder(trained("core/digits-simclr"))
    x = images()[:2]
    for positional, named in ([], {}), ([x, x], {}), ([], {"picture": x}), ([x], {"image": x}):
        with pytest.raises(ContrastError, match="This encoder takes image, not"):
            encoder(*positional, **named)


class Numbers(Data):
    """Six rows under two names, with an object beside them."""

    gives = ("a", "b", "extra", "sample")

    def load(self) -> None:
        """Random rows."""
        self.rows = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return 6

    def batch(self, items: Tensor) -> Flow:
        """Rows, twice the rows, and an object."""
        rows = self.rows[items]
        return {"a": rows, "b": rows * 2, "extra": {"scale": 2.0}, "sample": items, "label": items % 2}


class Odd(Encoder):
    """Reads of a batch what `how` says."""

    gives = ("embedding", "embedding.z", "embedding.sample", "embedding.view")

    def __init__(self, how: str = "both"):
        super().__init__()
        self.how = how

    def prepare(self, flow: Flow) -> None:
        """A layer; as many rows as the batch when asked for."""
        self.layer = nn.Linear(3, 2)
        if self.how == "data":
            self.register_buffer("rows", flow["a"].new_zeros(len(flow["a"])))

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """One table."""
        x = self.layer(flow["a"])
        if self.how == "both":
            x = x * flow["b"].sum(1, keepdim=True)
        if self.how == "others":
            x = x - x.mean(0)
        if self.how == "numbers":
            x = x + flow["sample"][:, None]
        if self.how == "object":
            x = x * flow["extra"]["scale"]
        return {"embedding": Embeddings.of(x, sample=flow["sample"], view="only")}


RECIPE = """
[recipe]
name = "local/odd"
[data]
use = "local/numbers"
[encoder]
use = "local/odd"
how = "HOW"
[objective.spread]
use = "core/uniformity"
"""


def with_odd() -> Registry:
    """What is installed, and the two components above."""
    parts = [
        Component("data", "local/numbers", f"{__name__}:Numbers", "Numbers."),
        Component("encoder", "local/odd", f"{__name__}:Odd", "Odd."),
    ]
    local = Plugin("local", "contrast-local", "1.0", Manifest(API, parts), "", (), 0.0)
    return Registry([*discover().plugins, local])


def odd(how: str) -> EncoderModule:
    """The module of an encoder of that kind, as it was before training."""
    registry = with_odd()
    with own_randomness():
        return extract(assemble(parse_recipe(RECIPE.replace("HOW", how)), registry), registry)


def test_several_inputs_are_given_in_order_or_by_name() -> None:
    """Labels and numbers of a batch are no inputs, for the embedding does not depend on them."""
    module = odd("both")
    assert module.input_names == ("a", "b")
    a, b = torch.rand(5, 3), torch.rand(5, 3)
    expected = module.encoder.layer(a) * b.sum(1, keepdim=True)  # type: ignore[operator,union-attr]
    torch.testing.assert_close(module(a, b), expected)
    torch.testing.assert_close(module(b=b, a=a), expected)
    torch.testing.assert_close(module(a, b=b), expected)
    with pytest.raises(ContrastError, match="The inputs differ: a has 5 items, b 4"):
        module(a, b[:4])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("others", "it embeds an item by the others of its batch"),
        ("numbers", "it looks items up by their numbers"),
        ("object", "it reads 'extra', a dict, which is no tensor with a row for each item"),
    ],
)
def test_an_encoder_that_does_not_stand_alone_is_refused(how: str, message: str) -> None:
    """One sentence says why."""
    with pytest.raises(ContrastError, match=f"The encoder local/odd can't be exported: {message}"):
        odd(how)


def test_an_encoder_of_a_whole_graph_is_refused() -> None:
    """It has no items by themselves."""
    registry = with_odd()
    with own_randomness():
        composition = assemble(parse_recipe(RECIPE.replace("HOW", "plain")), registry)
    composition.data.whole = True
    with pytest.raises(ContrastError, match="it embeds the whole data set at once, as one graph"):
        extract(composition, registry)


def test_an_encoder_that_is_made_by_its_data_is_not_written(tmp_path: Path) -> None:
    """What is written must be there again when it is loaded: here it would not be, and no folder is left."""
    with pytest.raises(ContrastError, match="The exported weights do not fit the encoder"):
        write_folder(odd("data"), tmp_path / "out", with_odd())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "encoder.json").unlink(), "holds no exported encoder: No such file"),
        (lambda folder: (folder / "encoder.json").write_text("{"), "holds no exported encoder: "),
        (lambda folder: (folder / "encoder.json").write_text("{}"), "describes no exported encoder; of a run folder"),
        (lambda folder: (folder / "encoder.json").write_text('{"format": 9}'), "has format 9; this version reads 1"),
        (lambda folder: (folder / "encoder.json").write_text('{"format": 1}'), "is not whole: it lacks 'batch'"),
        (lambda folder: (folder / "encoder.safetensors").write_bytes(b"x"), "holds no exported encoder: "),
    ],
)
def test_a_damaged_folder_is_told(
    damage: Callable[[Path], object], message: str, trained: Train, table: Table, tmp_path: Path
) -> None:
    """One sentence for what is missing or wrong."""
    export_run(trained("core/table-simclr", {"data.path": table[0]}), tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(ContrastError, match=message):
        load(tmp_path / "out")


def test_the_command_writes_once(
    trained: Train, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds something is left alone; what was asked for amiss is told with exit code 2."""
    run, out = trained("core/table-simclr", {"data.path": table[0]}), tmp_path / "out"
    for arguments, code in (
        (["export", str(run), "-o", str(out)], 0),
        (["export", str(run), "-o", str(out)], 2),
        (["export", str(run), "-o", str(tmp_path / "x"), "--format", "onnx"], 2),
        (["export", str(run), "-o", str(tmp_path / "x.onnx"), "--format", "folder"], 2),
        (["export", str(run), "-o", str(tmp_path / "x"), "--format", "sentence-transformers"], 2),
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == code
    said = capsys.readouterr()
    assert said.out == f"{out}: features to 128 numbers an item\n"
    assert [line.partition(": ")[2] for line in said.err.splitlines()] == [
        f"{out} exists already and is no empty folder; choose another name, or remove it.",
        f"{tmp_path / 'x'}: an ONNX model is a file whose name ends in .onnx.",
        f"{tmp_path / 'x.onnx'}: the format folder is a folder, whose name does not end in .onnx.",
        "core/mlp can't become a sentence-transformers folder: that takes the encoder core/transformers, without views "
        "before it.",
    ]
    assert not (tmp_path / "x").exists()
