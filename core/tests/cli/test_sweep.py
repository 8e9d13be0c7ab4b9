"""contrast sweep: what it asks for, how it reads values, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contrast_core import sweeps
from contrast_core.cli import main
from contrast_core.cli.work import _values
from contrast_core.sweeps import Sweep


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.07,0.2, 1", [0.07, 0.2, 1]),
        ("core/infonce,core/dcl", ["core/infonce", "core/dcl"]),
        ("auto,0.5,true", ["auto", 0.5, True]),
        ("[512],[512, 256]", [[512], [512, 256]]),
        ('"a,b","c"', ["a,b", "c"]),
        ("1e-3,,2", [1e-3, 2]),
        ("", []),
    ],
)
def test_values_stand_between_commas(text: str, values: list[Any]) -> None:
    """TOML where it is TOML, else plain texts; an empty one is none."""
    assert _values(text) == values


def test_a_sweep_prints_its_numbers_and_its_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """All that was given reaches the Python API."""
    rows = [{"value": "0.1", "folder": "a", "uniformity": -1.25, "score": 0.5}, {"value": "b", "folder": "b"}]
    seen: dict[str, Any] = {}

    def sweep(*given: Any, **more: Any) -> Sweep:
        seen.update(more, given=given)
        more["progress"](1, 2, "half")
        return Sweep(tmp_path, tmp_path / "sweep.html", 1, rows)

    monkeypatch.setattr(sweeps, "sweep", sweep)
    with pytest.raises(SystemExit) as end:
        main(["sweep", "some/recipe", "--set-each", "a.b.temperature = 0.1,b", "--set", "x.y=1", "--out", "here"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert seen["given"] == ("some/recipe", "a.b.temperature", [0.1, "b"])
    assert (seen["set"], seen["out"]) == (["x.y=1"], Path("here"))
    assert "1 of 2 runs were finished before and are kept." in out
    for words in ("temperature", "uniformity", "score", "-1.25", "0.5", f"Sweep: {tmp_path.as_uri()}/sweep.html"):
        assert words in out


@pytest.mark.parametrize(
    ("each", "sentence"),
    [
        ("objective.contrast.temperature", "write section.key=value,value,..., for example --set-each objective.contr"),
        ("=1,2", "write section.key=value,value"),
        ("objective..temperature=1,2", "write section.key=value,value"),
        (
            "objective.contrast.temperature=0.1",
            "A sweep compares at least two values of objective.contrast.temperature",
        ),
        ("objective.contrast.temperature=0.1,-1", "temperature"),
        ("objective.contrast.temprature=0.1,0.2", "has no key 'temprature'. Did you mean"),
    ],
)
def test_bad_input_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, each: str, sentence: str
) -> None:
    """On standard error, with exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["sweep", "core/digits-simclr", "--set-each", each])
    captured = capsys.readouterr()
    assert (end.value.code, captured.out) == (2, "")
    assert captured.err.startswith("contrast: ")
    assert sentence in captured.err
    assert list(tmp_path.iterdir()) == []
