"""Make the parts of the documentation that come from elsewhere.

The README's plugin table, catalogue.md, systems.md, commands.md, checks and scenes, the pages of objectives/ and the
interfaces shown on pages of concepts/ and howto/ come from the code; measured tables come, as the benchmarks wrote
them, from docs/evidence into the pages that show them.

python docs/generate.py            write them
python docs/generate.py --check    exit code 1 if one of them is not up to date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from making import checks, objectives, systems
from making.interfaces import with_interfaces

from contrast_core import catalogue
from contrast_core.cli import parser
from contrast_core.describe import describe
from contrast_core.registry import Registry, discover
from contrast_core.spec import KINDS

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- plugins: made by docs/generate.py -->", "<!-- end of plugins -->"
TABLE = re.compile(r"<!-- table (\S+) -->\n.*?<!-- end of table -->", re.DOTALL)
SHOWING = (
    "docs/evidence.md",
    "docs/evidence-customcontrast.md",
    "docs/evidence-cocosoda.md",
    "docs/evidence-mclrec.md",
    "docs/evidence-coconut.md",
    "docs/evidence-beclr.md",
    "docs/evidence-sepclr.md",
    "docs/evidence-continual.md",
    "docs/performance.md",
    "docs/behaviour.md",
    "docs/scaling.md",
    "plugins/code/README.md",
    "plugins/diffusion/README.md",
    "plugins/graph/README.md",
    "plugins/recommendation/README.md",
    "plugins/speech/README.md",
    "plugins/fewshot/README.md",
    "plugins/medical/README.md",
)
EXPLAINING = sorted(page for folder in ("concepts", "howto") for page in (ROOT / "docs" / folder).glob("*.md"))
CHECKS = ROOT / "docs" / "authoring" / "checks.md"
PAGES = ROOT / "docs" / "objectives"
NAVIGATION = re.compile(r"(# objectives: made by docs/generate.py\n).*?( *# end of objectives)", re.DOTALL)


def plugin_table() -> str:
    """The first-party plugins as markdown rows."""
    rows = ["| plugin | what for | published systems | status |", "|---|---|---|---|"]
    for entry in catalogue.entries():
        name = f"`{entry['distribution']}`"
        rows.append(f"| {name} | {entry['summary']} | {', '.join(entry['systems'])} | {entry['status']} |")
    return "\n".join(rows)


def readme() -> str:
    """README.md with a fresh table."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{plugin_table()}\n{END}{rest.split(END)[1]}"


def with_tables(page: Path) -> str:
    """A page with its measured tables as they stand in docs/evidence."""

    def fresh(found: re.Match[str]) -> str:
        table = (ROOT / "docs" / "evidence" / f"{found[1]}.md").read_text(encoding="utf-8").strip()
        return f"<!-- table {found[1]} -->\n{table}\n<!-- end of table -->"

    return TABLE.sub(fresh, page.read_text(encoding="utf-8"))


def objective_pages(registry: Registry) -> dict[Path, str]:
    """A page for each objective, their table, and mkdocs.yml that lists them."""
    components = registry.of_kind("objective")
    if said := [sentence for component in components for sentence in objectives.problems(component)]:
        sys.exit("\n".join(said))
    made = {PAGES / f"{objectives.page_name(each)}.md": objectives.page(each, PAGES) for each in components}
    entries = "".join(f"          - {each.name}: objectives/{objectives.page_name(each)}.md\n" for each in components)
    site = ROOT / "mkdocs.yml"
    listed = NAVIGATION.sub(lambda found: found[1] + entries + found[2], site.read_text(encoding="utf-8"))
    return {**made, PAGES / "index.md": objectives.index(components), site: listed}


def catalogue_page(registry: Registry) -> str:
    """Every registered component with its arguments, and every recipe."""
    lines = ["# Catalogue", "", "Made from the code; `contrast show NAME` prints more of each.", ""]
    lines += ["## recipes", "", "| recipe | what |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(recipe.summary)} |" for name, recipe in sorted(registry.recipes.items())]
    for kind in KINDS:
        lines += ["", f"## {kind}", ""]
        for component in registry.of_kind(kind):
            lines += [f"### {component.name}", "", component.summary, ""]
            if component.paper:
                lines += [f"Paper: {component.paper}", ""]
            arguments = describe(component).arguments
            if arguments:
                lines += ["| argument | type | default |", "|---|---|---|"]
                lines += [f"| `{a.name}` | `{_cell(a.annotation)}` | {_default(a.default)} |" for a in arguments] + [""]
    return "\n".join(lines).rstrip() + "\n"


def commands_page() -> str:
    """The help of every command."""
    top = parser()
    lines = ["# Commands", "", "Made from the command line's own grammar.", ""]
    lines += ["```text", top.format_help().rstrip(), "```"]
    choices = next(a.choices for a in top._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in choices.items():
        lines += ["", f"## contrast {name}", "", "```text", command.format_help().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(text: str) -> str:
    return f"`{_cell(text)}`" if text else "required"


def main() -> None:
    """Write or check all made files."""
    # A planned plugin may be there already, half written.
    available = (entry["domain"] for entry in catalogue.entries() if entry["status"] == "available")
    registry = discover(allowed=",".join(available))
    made = {
        ROOT / "README.md": readme(),
        ROOT / "docs" / "catalogue.md": catalogue_page(registry),
        ROOT / "docs" / "systems.md": systems.page(catalogue.entries(), registry),
        ROOT / "docs" / "commands.md": commands_page(),
        CHECKS: checks.with_tables(CHECKS.read_text(encoding="utf-8")),
        **objective_pages(registry),
        **{ROOT / page: with_tables(ROOT / page) for page in SHOWING},
        **{page: with_interfaces(page.read_text(encoding="utf-8")) for page in EXPLAINING},
    }
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    left = [path for path in sorted(PAGES.glob("*.md")) if path not in made]
    if "--check" in sys.argv[1:]:
        said = [f"{path.relative_to(ROOT)} is out of date: python docs/generate.py" for path in [*stale, *left]]
        sys.exit("\n".join(said) or None)
    for path in left:
        path.unlink()
    PAGES.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(made[path], encoding="utf-8")


if __name__ == "__main__":
    main()
