"""Figures of evaluators in the report."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from contrast_core.figures import Cell, Images, Lines, Matrix
from contrast_core.report import write_report


def written(folder: Path, figures: object) -> str:
    """The report of a run with these figures."""
    (folder / "figures.json").write_text(figures if isinstance(figures, str) else json.dumps(figures))
    return write_report(folder).read_text("utf-8")


def test_figures_are_drawn_with_what_is_said_of_them(tmp_path: Path) -> None:
    """A grid of images, a shaded matrix and lines, each with title and reading; captions stay text."""
    harm = "<b onclick=x>"
    shown = [
        Images("Neighbours", "Rows are queries.", [[Cell(torch.zeros(8, 8), harm), None]], ["query"], ["one", "two"]),
        Matrix("Tasks", "Rows: after.", torch.tensor([[0.5, float("nan")], [0.25, 1.0]]), "ab", "cd", "after"),
        Lines("Purity", "Higher is purer.", {"k = 1": ([1, 2], [0.5, 0.75])}, x="epoch"),
    ]
    page = written(tmp_path, [figure.described() for figure in shown])
    said = ("Pictures", "Neighbours", "Rows are queries.", "query", "Tasks", "0.250", "Purity", "epoch")
    assert all(words in page for words in said)
    assert "&lt;b onclick=x&gt;" in page
    assert harm not in page
    assert '<img src="data:image/png;base64,' in page
    assert '<td style="--share: 33%">0.500</td>' in page


def test_damaged_figures_are_left_out(tmp_path: Path) -> None:
    """What is no figure is not drawn, and nothing but an encoded PNG becomes an address."""
    cell = {"png": "javascript:alert(1)", "caption": "", "height": 1, "width": 1}
    grid = {"kind": "images", "title": "t", "reading": "r", "cells": [[cell]], "rows": [], "columns": []}
    bad = [grid, {"kind": "matrix"}, {"kind": "unknown"}, 3, {"kind": "lines", "title": "t", "lines": 5}]
    page = written(tmp_path, bad)
    assert "<img" not in page
    assert "Pictures" not in page
    assert "figures.json is not complete JSON" in written(tmp_path, "[{")
