"""What stands in the report, and that it stands there as text, whatever the run folder holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from contrast_core.diagnostics import paired
from contrast_core.diagnostics.picture import picture
from contrast_core.report import write_report


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Remember text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text in one line."""
        return " ".join(" ".join(self.texts).split())


def read(folder: Path) -> Page:
    """The report of a folder, written anew."""
    return Page(write_report(folder).read_text("utf-8"))


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    """The report of the toy run."""
    return read(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the toy run that a test may break, with few embeddings."""
    path = tmp_path / "copy"
    shutil.copytree(folder, path)
    save_file({"z": torch.eye(6)}, path / "embedding.safetensors")
    (path / "names.json").unlink()
    return path


@pytest.mark.parametrize(
    "words",
    [
        "finished", "graph/toy", "5 March 2026, 14:24 UTC", "3 min 20 s", "12,345", "80 × 8",
        "Half of the anchors have no positive.", "Made of random numbers.", "contrast run graph/toy", "2.13.0",
        "Macro-F1 20 labels", "0.900", "± 0.012", "0.940", "best of 2", "Term: contrast", "weight of 0.5",
        "Rows left out", "10 %", "Alignment", "Uniformity", "Effective rank", "most possible", "Spectrum",
        "80 of 80 rows", "t-SNE", "unlabelled", "class", "Similarity of pairs", "10 hardest", "Penalty by similarity",
        "an even share", "temperature 0.1, as the recipe names none", "The final embedding in numbers",
        "Participation ratio", "NESum", "Wasserstein uniformity",
    ],
)  # fmt: skip
def test_the_report_says(page: Page, words: str) -> None:
    """Each part of the run folder is in the report."""
    text = page.text.replace("Metric 20 labels", "Macro-F1 20 labels")
    assert words in text or any(words in value for _, _, value in page.attributes)


def test_untrusted_text_stays_text(page: Page) -> None:
    """There is one script, ours; no element and no attribute came out of a name, a recipe or a class."""
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert "onerror=alert(1)" in page.text
    policy = next(value for _, name, value in page.attributes if name == "content")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_nothing_is_loaded_from_elsewhere(folder: Path, page: Page) -> None:
    """Only links to click on may lead out; ids are unique."""
    loading = [a for a in page.attributes if a[1] in ("src", "href", "srcset", "data", "xlink:href") and a[0] != "a"]
    assert not loading
    assert "link" not in page.tags
    assert "url(" not in (folder / "report.html").read_text("utf-8")
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_pictures_have_words_and_tables_have_headers(page: Page) -> None:
    """Every picture says what it shows, every table has scoped headers and a caption."""
    assert page.tags.count("table") == page.tags.count("caption") >= 1
    assert {value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")} == {"col", "row"}
    pictures = sum(1 for tag, name, value in page.attributes if (tag, name, value) == ("svg", "role", "img"))
    assert pictures == sum(1 for tag, name, _ in page.attributes if (tag, name) == ("svg", "aria-label"))
    assert page.tags.count("figure") == page.tags.count("figcaption") == pictures


def test_a_script_in_the_address_of_a_paper_is_no_link(copy: Path) -> None:
    """Only http and https addresses become links."""
    (copy / "run.json").write_text(json.dumps({"paper": "javascript:alert(1)", "status": "failed: no memory"}))
    page = read(copy)
    assert "a" not in page.tags
    assert "failed: no memory" in page.text


def test_broken_files_are_named_and_the_rest_is_shown(copy: Path) -> None:
    """A run killed while writing leaves half lines, half files and none at all."""
    for name in ("metrics.jsonl", "evaluation.json", "embedding.safetensors"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-30])
    (copy / "recipe.toml").unlink()
    lines = (copy / "diagnostics.jsonl").read_text().splitlines()
    (copy / "diagnostics.jsonl").write_text("\n".join([*lines[:3], "{oh", "7", *lines[3:]]))
    text = read(copy).text
    assert "metrics.jsonl breaks off in its last line: the 59 lines before it are used." in text
    assert "evaluation.json is not complete JSON" in text
    assert "embedding.safetensors is not complete" in text
    assert "recipe.toml is missing." in text
    assert "diagnostics.jsonl has 2 broken lines, the first is line 4: 60 are used." in text
    assert "Term: contrast" in text
    assert "Alignment" in text


def test_an_empty_folder_still_gives_a_report(tmp_path: Path) -> None:
    """It says that there is nothing; no draft of the file stays behind."""
    text = read(tmp_path).text
    assert "run.json is missing." in text
    assert "status unknown" in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(FileNotFoundError, match="no run folder"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "run.json",
            '{"classes": 7, "alarms": "x", "versions": [], "seconds": "long", "steps": null, "started": 5}',
        ),
        ("run.json", '{"title": "\\ud800 \\u0000", "classes": [1, null]}'),
        (
            "metrics.jsonl",
            '{"step": 1, "loss": NaN, "terms": 3, "scalars": {"a": Infinity}}\n{"step": "x"}\n{}',
        ),
        ("evaluation.json", '[7, {"mean": "high"}, {"mean": Infinity, "metric": "m"}, {"mean": 12345.6}]'),
        ("diagnostics.jsonl", '{"step": 5, "uniformity": -2, "effective_rank": null, "new": true}'),
    ],
)
def test_values_of_the_wrong_kind_do_no_harm(copy: Path, name: str, content: str) -> None:
    """Whoever wrote the folder, a report comes out."""
    (copy / name).write_text(content)
    assert "</html>" in write_report(copy).read_text("utf-8")


@pytest.mark.parametrize(
    "z",
    [torch.ones(40, 3), torch.zeros(4, 3), torch.randn(12, 1), torch.eye(3), torch.full((5, 2), torch.nan)],
    ids=["equal", "zero", "one-dimensional", "few", "nan"],
)
def test_degenerate_embeddings_are_drawn_and_raise_the_alarm(copy: Path, z: torch.Tensor) -> None:
    """Equal rows are a complete collapse; rows that are not finite are counted."""
    (copy / "run.json").write_text("{}")
    save_file({"z": z}, copy / "embedding.safetensors")
    text = read(copy).text
    assert ("Complete collapse" in text) == (z.shape in ((40, 3), (4, 3)))
    assert ("5 of 5 embeddings have NaN" in text) == bool(z.isnan().any())


def test_pairs_by_label_are_counted_under_the_recipes_temperature(copy: Path) -> None:
    """40 rows in two classes: 20 negatives each, spread by the temperature that the last stage's objective names."""
    z = torch.eye(2)[torch.arange(40) % 2] + 0.1 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    save_file({"z": z, "label": torch.arange(40) % 2}, copy / "embedding.safetensors")
    recipe = "[objective.a]\ntemperature = 0.5\n[[stage]]\n[stage.objective.a]\ntemperature = 0.25\n"
    (copy / "recipe.toml").write_text(recipe)
    text = read(copy).text
    assert "under a softmax with the temperature 0.25 of the recipe" in text
    assert "Of 20 negatives" in text
    assert "of rows with the same label" in text


@pytest.mark.parametrize("temperature", ["true", '"high"', "-1", "nan", "0"])
def test_a_temperature_that_is_none_is_not_taken(copy: Path, temperature: str) -> None:
    """Objectives name other things so too, and recipes may be broken."""
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    save_file({"z": z, "label": torch.arange(4) % 2}, copy / "embedding.safetensors")
    (copy / "recipe.toml").write_text(f"[objective]\nb = 1\n[objective.a]\ntemperature = {temperature}\n")
    assert "temperature 0.1, as the recipe names none" in read(copy).text


def test_pairs_of_a_batch_are_drawn_where_no_row_has_a_label(copy: Path) -> None:
    """From pairs.json; without it, and without two classes, there is no such figure."""
    save_file({"z": torch.eye(6), "label": torch.zeros(6, dtype=torch.long)}, copy / "embedding.safetensors")
    assert "Similarity of pairs" not in read(copy).text
    found = picture(paired(torch.randn(30, 4), torch.randn(30, 4)), 0.3)
    (copy / "pairs.json").write_text(json.dumps(found))
    page = read(copy)
    assert "in the pairs of one batch after the last step" in page.text
    assert "temperature 0.3" in page.text
    assert {"positives", "negatives", "10 hardest"} <= set(page.texts)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"similarity": 7, "positives": {}}',
        '{"similarity": [0.1, 0.2], "positives": [1], "negatives": [null, null], "hardest": ["a", 3]}',
        '{"level": [1, 2, 3], "penalty": [0.1, 0.2], "summary": {"negatives": "many"}}',
        '{"level": [1, 2, 3], "penalty": [0.1, 0.2], "summary": {"negatives": 3}}',
    ],
)
def test_broken_pairs_do_no_harm(copy: Path, content: str) -> None:
    """Whatever they hold, there is a report."""
    (copy / "pairs.json").write_text(content)
    assert "</html>" in write_report(copy).read_text("utf-8")


def test_stages_follow_each_other_and_repeated_steps_count_once(copy: Path) -> None:
    """A second stage that counts from 1 is drawn after the first; a resumed run repeats some steps."""
    steps = [("one", 1), ("one", 2), ("one", 2), ("two", 1), ("two", 2)]
    lines = [json.dumps({"stage": stage, "step": step, "loss": k}) for k, (stage, step) in enumerate(steps)]
    (copy / "metrics.jsonl").write_text("\n".join(lines))
    (copy / "diagnostics.jsonl").write_text("")
    page = read(copy)
    assert {"one", "two"} <= set(page.texts)
    line = next(value for tag, name, value in page.attributes if (tag, name) == ("polyline", "points"))
    places = [float(point.split(",")[0]) for point in line.split()]
    assert len(places) == 4
    assert places == sorted(set(places))


def test_long_runs_are_drawn_with_few_points(copy: Path) -> None:
    """The file of 4000 embeddings, 40 classes and 20,000 steps stays small."""
    with (copy / "metrics.jsonl").open("w") as metrics:
        metrics.writelines(json.dumps({"step": step, "loss": step % 7}) + "\n" for step in range(20_000))
    generator = torch.Generator().manual_seed(0)
    z, label = torch.randn(4000, 16, generator=generator), torch.arange(4000) % 40
    save_file({"z": z, "label": label}, copy / "embedding.safetensors")
    page = read(copy)
    assert (copy / "report.html").stat().st_size < 1_000_000
    assert "range of each group as a band" in page.text
    assert "1,500 of 4,000 rows" in page.text
    assert "others" in page.texts


def test_importing_the_package_is_cheap() -> None:
    """Neither torch nor scikit-learn nor matplotlib is loaded before a report is written."""
    heavy = {"torch", "sklearn", "matplotlib"}
    code = f"import sys, contrast_core.report; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
