"""The site in a real browser: no errors, nothing from elsewhere, fits a phone, search works; no module is left out."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "", "why/", "systems/", "comparison/", "concepts/", "concepts/relations/", "concepts/objective/", "howto/own-data/",
    "howto/several-processes/", "tutorial/", "transcript/", "catalogue/", "objectives/", "objectives/infonce/",
    "behaviour/", "performance/", "evidence/", "diagnostics/", "reference/interfaces/", "reference/pairwise/",
)  # fmt: skip
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def absent(what: str) -> NoReturn:
    """Skip, or fail where a browser is required."""
    if os.environ.get("CONTRAST_REQUIRE_BROWSER") == "1":
        pytest.fail(f"CONTRAST_REQUIRE_BROWSER is 1, but there is no {what}.")
    pytest.skip(f"There is no {what}.")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium that is already on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        absent("Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built site, on this machine; building it is strict."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


UNLOADED = "[...document.images].filter((image) => image.complete && !image.naturalWidth).map((image) => image.src)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1300])
def test_pages_open_without_errors_and_fit(browser: Any, site: str, scheme: str, width: int) -> None:
    """No error, no failed or foreign request, every image there, no sideways scrolling of the page."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    page.on("response", lambda answer: said.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None)
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto(site + name, wait_until="networkidle")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} wide"
        assert page.evaluate(UNLOADED) == [], name
    assert page.evaluate("document.body.dataset.mdColorScheme") == ("default" if scheme == "light" else "slate")
    assert said == []
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []
    page.close()


def test_search_finds_infonce(browser: Any, site: str) -> None:
    """The objective's page is among the results."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(site, wait_until="networkidle")
    page.locator("input.md-search__input").click()
    page.keyboard.type("InfoNCE")
    page.wait_for_selector(".md-search-result__item a", timeout=20_000)
    found = page.locator(".md-search-result__item a").evaluate_all("links => links.map((link) => link.href)")
    assert any("objectives/infonce" in link for link in found)
    page.close()


def test_every_public_module_is_in_the_reference() -> None:
    """A module that plugins may import has its documentation on the site, by itself or through its package."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    shown = {name.split(".")[1] for name in re.findall(r"^::: (contrast_core\.[\w.]+)", text, flags=re.MULTILINE)}
    names = (ROOT / "tests" / "test_public_names.py").read_text(encoding="utf-8")
    public = set(re.findall(r'"(\w+)"', names.split("PUBLIC = {")[1].split("}")[0]))
    assert len(public) > 15
    assert public - shown == set()
