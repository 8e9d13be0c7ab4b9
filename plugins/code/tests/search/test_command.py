"""The command, with a small trained run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from contrast_code.data.library import installed, library_pairs
from contrast_code.encoder import Pooling
from contrast_code.languages import leaves
from contrast_code.search import cli
from contrast_code.search.cli import main
from contrast_code.search.model import Model, newest_run
from contrast_code.search.store import Store
from contrast_core import load_encoder, runs

SMALL: dict[str, Any] = {
    "data.libraries": ["networkx"], "data.limit": 200, "data.vocabulary": 600, "training.steps": 3,
    "training.batch_size": 16, "training.threads": 1, "training.device": "cpu", "training.tensorboard": "off",
    "memory.code-queue.size": 32, "memory.query-queue.size": 32,
}  # fmt: skip
SIZES = {"memory.code-queue.dimension": 16, "memory.query-queue.dimension": 16, "encoder.encoder.size": 16}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with three runs, and a small repository; the cache is there too."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(folder / "cache"))
        library_pairs(installed(["networkx"]))
        layers = {"encoder.encoder.layers": 1, "encoder.encoder.heads": 2}
        for name, more in (("deep", layers), ("apart", {"encoder.encoder.together": False}), ("plain", {})):
            runs.run("code/cocosoda", set={**SMALL, **SIZES, **more}, out=folder / "runs" / "code" / name)
        repository = folder / "repository"
        repository.mkdir()
        (repository / "graphs.py").write_text(
            "def shortest_path(graph, source):\n    return bfs(graph, source)\n\n\ndef add(a, b):\n    return a + b\n"
        )
        (repository / "Main.java").write_text("class Main {\n  int twice(int x) {\n    return 2 * x;\n  }\n}\n")
        yield folder


@pytest.fixture
def told(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command in the folder: exit code, output, errors."""
    monkeypatch.chdir(work)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


def test_a_search_answers_with_places(told: Any) -> None:
    """File, line and function, of the newest run, also as JSON and of one language."""
    code, out, _ = told("search", "shortest path of a graph", "--in", "repository", "--top", "2")
    assert code == 0
    assert "graphs.py:1" in out
    assert "shortest_path" in out
    code, out, _ = told("search", "shortest path", "--in", "repository", "--json")
    hits = json.loads(out)
    assert len(hits) == 3
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert {(hit["file"], hit["line"], hit["last"]) for hit in hits} == {
        ("graphs.py", 1, 2), ("graphs.py", 5, 6), ("Main.java", 2, 4),
    }  # fmt: skip
    _, out, _ = told("search", "twice", "--in", "repository", "--json", "--language", "java")
    assert [hit["name"] for hit in json.loads(out)] == ["twice"]


def test_an_index_says_what_it_did(told: Any, work: Path) -> None:
    """And does it once."""
    code, out, _ = told("index", "--in", "repository", "--index", "own-index", "--rebuild")
    assert code == 0
    assert "3 functions of 2 files; 2 embedded now. Nothing was skipped." in out
    assert "0 embedded now" in told("index", "--in", "repository", "--index", "own-index")[1]
    assert (work / "own-index" / "manifest.json").exists()
    other = told("index", "--in", "repository", "--index", "own-index", "--run", "runs/code/deep")[1]
    assert "2 embedded now, as the index was made with another run." in other


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "  ", "--in", "repository"], "The query is empty: say in a few words what the code does."),
        (["search", "x", "--in", "nowhere"], "There is no folder"),
        (["search", "x", "--in", "repository/Main.java"], "is a file. Name the folder that holds it."),
        (["search", "x", "--in", "repository", "--top", "0"], "top is 0; ask for at least 1 function."),
        (["search", "x", "--in", "repository", "--run", "nowhere"], "holds no trained model. Train one:"),
        (["search", "x", "--in", "cache"], "There is no function in"),
    ],
)
def test_what_is_wrong_is_one_sentence(told: Any, arguments: list[str], sentence: str) -> None:
    """With exit code 2."""
    code, out, errors = told(*arguments)
    assert code == 2
    assert out == ""
    assert sentence in errors


def test_without_a_run_it_says_how_to_get_one(tmp_path: Path, work: Path) -> None:
    """The newest finished one is taken otherwise."""
    with pytest.raises(ValueError, match="contrast run code/cocosoda"):
        newest_run(tmp_path)
    assert newest_run(work / "runs").name == "plain"


@pytest.mark.parametrize("name", ["plain", "deep", "apart"])
def test_vectors_are_those_of_the_trained_encoder(work: Path, name: str) -> None:
    """By numpy for tables alone, through torch for layers; the query by its own network, if it has one."""
    folder = work / "runs" / "code" / name
    model = Model(folder)
    pooling = load_encoder(folder).encoder.get_submodule("encoder")
    assert isinstance(pooling, Pooling)

    def unit(ids: Any, view: str) -> Any:
        with torch.no_grad():
            return torch.nn.functional.normalize(pooling.pooled(torch.from_numpy(ids.padded()), view), dim=1).numpy()

    codes = ["def f(x):\n    return x + 1", "def shortest_path(graph): pass"]
    z = unit(model.tokens.code_rows([leaves(code, "python") for code in codes]).ids, "code")
    assert np.abs(model.codes(codes, ["python"] * 2) - z).max() < 1e-6
    q = unit(model.tokens.query_rows(["shortest path"]).ids, "query")[0]
    assert np.abs(model.query("shortest path") - q).max() < 1e-6


@pytest.mark.parametrize("run", ["plain", "apart"])
def test_a_search_never_imports_torch(work: Path, run: str) -> None:
    """With encoders that are tables; that is why it answers at once."""
    program = "import sys; from contrast_code.search.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    arguments = ["search", "path", "--in", "repository", "--json", "--index", "fresh", "--run", f"runs/code/{run}"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=work, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("False")


def test_what_is_shown_is_what_is_in_the_file(told: Any, tmp_path: Path) -> None:
    """Brackets in a path are no markup, a form feed is no line, and nothing reaches the terminal as a command."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "[slug].py").write_text("\f\n# \x1b[31m\n\ndef red():\n    return '\x1b]0;title\x07'\n")
    code, out, errors = told("search", "red", "--in", str(folder))
    assert code == 0
    assert "[slug].py:4  red" in out
    assert "return '\ufffd]0;title\ufffd'" in out
    assert "\x1b" not in out
    assert "Indexed 1 new or changed files. Nothing was skipped." in errors


def test_while_another_indexes_the_saved_is_searched(told: Any, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it says so; without anything saved it can't."""
    monkeypatch.setattr(cli, "PATIENCE", 0.01)
    told("index", "--in", "repository", "--index", "busy")
    (work / "nothing").mkdir()
    with FileLock(work / "busy" / "lock"), FileLock(work / "nothing" / "lock"):
        code, out, errors = told("search", "twice", "--in", "repository", "--index", "busy", "--json")
        assert code == 0
        assert len(json.loads(out)) == 3
        assert "the answers are from what it has saved so far" in errors
        code, out, errors = told("search", "twice", "--in", "repository", "--index", "nothing")
        assert code == 2
        assert "Another process is indexing into" in errors


def test_a_search_outlives_rows_that_another_process_packs(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries are read again; not for ever."""
    nearest, gone = Store.nearest, [True]

    def late(self: Store, *arguments: Any) -> Any:
        if gone.pop() if gone else False:
            raise FileNotFoundError("gone")
        return nearest(self, *arguments)

    monkeypatch.setattr(Store, "nearest", late)
    assert len(json.loads(told("search", "twice", "--in", "repository", "--json")[1])) == 3
    gone += [True] * cli.TRIES
    assert "keep changing the index" in told("search", "twice", "--in", "repository")[2]


def test_no_function_of_a_language_is_said(told: Any) -> None:
    """An empty answer has its reason."""
    code, out, errors = told("search", "twice", "--in", "repository", "--language", "ruby", "--json")
    assert (code, json.loads(out)) == (0, [])
    assert "There is no function of ruby in" in errors


def test_a_reader_that_leaves_is_no_error(work: Path) -> None:
    """As `| head` does."""
    command = [sys.executable, "-m", "contrast_code.search.cli", "search", "twice", "--in", "repository", "--json"]
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
