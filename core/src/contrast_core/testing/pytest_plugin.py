"""The pytest plugin: a test for each check of a plugin, and what plugin authors need in tests of their own.

    import pytest

    @pytest.mark.contrast("contrast-mine")
    def test_conformance(contrast_check):
        contrast_check()

It is loaded in every pytest run where contrast-core is installed, so nothing here imports torch before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contrast_core.errors import ContrastError

if TYPE_CHECKING:
    from contrast_core.embeddings import Embeddings
    from contrast_core.runs import Run


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker."""
    config.addinivalue_line(
        "markers",
        "contrast(distribution): give the fixture contrast_check every check of an installed contrast plugin.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each check."""
    marker = metafunc.definition.get_closest_marker("contrast")
    if "contrast_check" not in metafunc.fixturenames:
        return
    if marker is None or len(marker.args) != 1:
        raise pytest.UsageError(
            f'{metafunc.definition.nodeid}: write @pytest.mark.contrast("contrast-mine") above a test that takes '
            "contrast_check."
        )
    from contrast_core.testing import session_of

    try:
        made = session_of(str(marker.args[0]))
        tasks = list(made.tasks())
    except ContrastError as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from error
    ids = [f"{task.subject}-{task.check}" + (f"-{task.example}" if task.example else "") for task in tasks]
    metafunc.parametrize("_contrast_task", [(made, task) for task in tasks], ids=ids)


@pytest.fixture
def contrast_check(_contrast_task: tuple[Any, Any]) -> Callable[[], None]:
    """Run one check: it returns, fails with its sentence, skips with its reason, or fails as expected."""
    made, task = _contrast_task

    def run() -> None:
        result = made.result(task)
        if result.outcome == "skipped":
            pytest.skip(result.reason)
        if result.outcome == "expected failure":
            pytest.xfail(result.reason)
        if result.outcome != "passed":
            pytest.fail(f"{task.subject}: {task.check}: {result.reason}", pytrace=False)

    return run


@pytest.fixture
def contrast_tables() -> Callable[..., dict[str, Embeddings]]:
    """contrast_tables("one", "two", n=8, d=5, classes=3, seed=0): tables of the same items, to try an objective on.

    Rows are float64, normal, and want a gradient; the columns are `sample`, 0 to n - 1, and `label`.
    """

    def make(*names: str, n: int = 8, d: int = 5, classes: int = 3, seed: int = 0) -> dict[str, Embeddings]:
        import torch

        from contrast_core.embeddings import Embeddings

        generator = torch.Generator().manual_seed(seed)
        label = torch.randint(0, classes, (n,), generator=generator)
        found = {}
        for name in names or ("one", "two"):
            z = torch.randn(n, d, generator=generator, dtype=torch.float64).requires_grad_()
            found[name] = Embeddings.of(z, sample=torch.arange(n), label=label)
        return found

    return make


@pytest.fixture
def contrast_run(tmp_path: Path) -> Callable[..., Run]:
    """contrast_run("mine/tabular", "training.epochs=1", ...): train a recipe in a temporary folder; gives the run.

    Each call has a folder of its own.
    """

    def run(recipe: str | Path, *settings: str) -> Run:
        from contrast_core import runs

        number = len(list(tmp_path.glob("run-*"))) + 1
        return runs.run(recipe, set=list(settings), out=tmp_path / f"run-{number}")

    return run
