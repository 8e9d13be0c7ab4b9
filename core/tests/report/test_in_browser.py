"""The report in a real browser: it opens from the disk, asks for nothing, fits, and answers the pointer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from contrast_core.report import write_report
from contrast_core.report.sweep import Swept, write_sweep

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
def report(folder: Path) -> str:
    """The address of the toy run's report."""
    return write_report(folder).resolve().as_uri()


@pytest.fixture(scope="module")
def sweep(folder: Path) -> str:
    """The address of the page of a sweep over eight values with long names, one of which failed."""
    values = [f"core/some-encoder-{k}" for k in range(8)]
    runs = [Swept(value, folder, "There was no memory left." if value.endswith("3") else "") for value in values]
    return write_sweep(folder.parent, "encoder.use", runs)[0].resolve().as_uri()


OVERLAPPING = """
() => [...document.querySelectorAll("figure.chart > svg")].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], k) => boxes.slice(k + 1).filter(([b, q]) =>
    p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3
  ).map(([b]) => a + " | " + b));
})
"""


@pytest.mark.parametrize("width", [400, 1400])
def test_no_words_of_a_chart_cover_others(browser: Any, report: str, sweep: str, width: int) -> None:
    """Ticks, labels at the ends of lines and names of reference lines."""
    for address in (report, sweep):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(address)
        assert page.evaluate(OVERLAPPING) == []
        page.close()


@pytest.mark.parametrize("width", [400, 1400])
def test_a_sweep_opens_without_errors_and_fits(browser: Any, sweep: str, width: int) -> None:
    """It asks for nothing and is no wider than the window."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(sweep)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title().endswith(", by use")
    assert (said, asked) == ([], [sweep])
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_it_opens_without_errors_and_fits(browser: Any, report: str, scheme: str, width: int) -> None:
    """No error, no request but the file, no harm from names, no sideways scrolling of the page."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title().startswith("Toy </script>")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
    assert light == (scheme == "light")
    assert said == []
    assert asked == [report]
    page.close()


def test_the_pointer_shows_the_name_and_the_legend_a_class(browser: Any, report: str) -> None:
    """Over a point stand its name and class, as text; a pressed class stands alone until pressed again."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(report)
    tip = page.locator(".tip")
    assert tip.is_hidden()
    mark = page.locator(".frame .mark").nth(11)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert tip.inner_text().startswith(mark.get_attribute("data-name").split("<")[0])
    page.mouse.move(2, 2)
    assert tip.is_hidden()

    entry = page.locator(".legend button").first
    entry.focus()
    page.keyboard.press("Enter")
    assert entry.get_attribute("aria-pressed") == "true"
    assert page.locator(".frame .mark.dim").count() == 60
    page.keyboard.press("Enter")
    assert page.locator(".frame .mark.dim").count() == 0
    page.close()


CONTRAST = """
() => {
  const luminance = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map((c) => c / 255).map(
      (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
  };
  const found = [];
  const look = (selector, property, least) => {
    for (const node of document.querySelectorAll(selector))
      found.push([ratio(getComputedStyle(node)[property], behind(node)), least, node.outerHTML.slice(0, 60)]);
  };
  look("p, h1, h2, h3, dt, dd, th, td, small, li, figcaption, .status", "color", 4.5);
  look(".tick, .value", "fill", 4.5);
  look("polyline.line", "stroke", 3);
  look(".legend .mark:not(.other)", "fill", 3);
  return found.filter(([seen, least]) => seen < least).map(String);
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out(browser: Any, report: str, sweep: str, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for text, 3 to 1 for lines and marks."""
    for address in (report, sweep):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address)
        assert page.evaluate(CONTRAST) == []
        page.close()
