"""The command `contrast`. Parsing and listing never import torch; commands that need it import it when called."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from contrast_core import __version__
from contrast_core.errors import ContrastError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line's grammar; the documentation is generated from it."""
    top = argparse.ArgumentParser(prog="contrast", description="Contrastive learning from exchangeable parts.")
    top.add_argument("--version", action="version", version=f"contrast {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    one = commands.add_parser("list", help="what is registered: recipes and components of all installed plugins")
    one.add_argument("kind", nargs="?", help="one kind only: data, view, encoder, ... or recipe")

    one = commands.add_parser("show", help="one component or recipe: arguments, defaults, equation, paper")
    one.add_argument("name", help="full or short name; kind:name where several kinds share it")

    one = commands.add_parser("plugins", help="the installed plugins, and why a broken one does not work")
    one.add_argument("--json", action="store_true", help="machine-readable")

    commands.add_parser("doctor", help="look for what is wrong with this installation; exit code 1 if something is")

    one = commands.add_parser("check", help="what every user of a plugin's components may rely on, checked")
    one.add_argument("what", metavar="DISTRIBUTION_OR_PATH", help="an installed plugin, or the folder of its project")
    one.add_argument("--only", action="append", default=[], metavar="CHECK", help="this check alone (may be repeated)")
    one.add_argument(
        "--component", action="append", default=[], metavar="NAME", help="this component alone (may be repeated)"
    )
    one.add_argument("--json", action="store_true", help="machine-readable")

    _add_new(commands.add_parser("new", help="write a plugin package of your own to start from"))

    one = commands.add_parser("run", help="train a recipe, evaluate it, write its report")
    one.add_argument("recipe", nargs="?", help="a registered name (graph/meow) or the path of a TOML file")
    one.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: the first free runs/NAME)")
    one.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run, exactly")
    one.add_argument("--open", action="store_true", help="open the report in a browser at the end")
    _add_settings(one)

    one = commands.add_parser(
        "sweep", help="run a recipe once for each value of a setting, and compare the runs on a page"
    )
    one.add_argument("recipe", help="a registered name or the path of a TOML file")
    one.add_argument(
        "--set-each", required=True, metavar="KEY=V1,V2,...", dest="each",
        help="the setting that is varied, e.g. --set-each objective.contrast.temperature=0.07,0.2,0.5",
    )  # fmt: skip
    one.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the folder of all runs (default: runs/NAME-by-KEY); runs are kept there",
    )
    one.add_argument("--open", action="store_true", help="open the page in a browser at the end")
    _add_settings(one)

    one = commands.add_parser("evaluate", help="evaluate the trained model of a run again")
    one.add_argument("run", type=Path, metavar="RUN")
    _add_settings(one)

    one = commands.add_parser("report", help="write report.html of a run again")
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("--open", action="store_true", help="open it in a browser")

    one = commands.add_parser("embed", help="embed every item of the run's data set, or of another one")
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".safetensors, .npz or .csv")
    _add_settings(one)

    one = commands.add_parser("export", help="write the trained encoder of a run for other programs")
    one.add_argument("run", type=Path, metavar="RUN")
    one.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="a new folder, or a file .onnx")
    one.add_argument(
        "--format", choices=("folder", "onnx", "sentence-transformers"),
        help="folder: safetensors and JSON; by default by the ending",
    )  # fmt: skip
    _add_settings(one)
    return top


def _add_new(command: argparse.ArgumentParser) -> None:
    command.add_argument("distribution", metavar="contrast-NAME", help="its name, in lower-case letters and digits")
    command.add_argument(
        "--in",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        dest="folder",
        help="an existing folder, in which its own is made (default: .)",
    )
    command.add_argument("--author", default="", metavar="NAME", help="for the licence and the metadata")
    command.add_argument(
        "--licence",
        choices=("MIT", "Apache-2.0", "BSD-3-Clause", "none"),
        default="MIT",
        help="none reserves all rights (default: MIT)",
    )
    command.add_argument("--description", default="", metavar="LINE", help="what the package is, in one line")


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="a setting stronger than the recipe, e.g. --set training.epochs=20 (may be repeated)",
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends with one sentence on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that has no Greek letters shows a question mark instead of a traceback.
            stream.reconfigure(errors="replace")
    try:
        try:
            code = _command(parser().parse_args(arguments))
        finally:
            # Here and not at exit, so that a reader that is gone is noticed here.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; at exit Python flushes once more, into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except ContrastError as error:
        code = _say(str(error), EXIT_BAD_INPUT)
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        code = _say(f"{place}{error.strerror}.", EXIT_BAD_INPUT)
    except KeyboardInterrupt as interruption:
        code = _say(str(interruption) or "interrupted.", EXIT_INTERRUPTED)
    sys.exit(code)


def _command(given: argparse.Namespace) -> int:
    code: int
    if given.command in ("list", "show", "plugins", "doctor"):
        from contrast_core.cli import look

        code = getattr(look, given.command.replace("list", "list_"))(given)
    elif given.command == "new":
        from contrast_core.cli import make

        code = make.new(given)
    elif given.command == "export":
        from contrast_core.cli import share

        code = share.export(given)
    elif given.command == "check":
        from contrast_core.cli.check import check

        code = check(given)
    else:
        from contrast_core.cli import work

        code = getattr(work, given.command)(given)
    return code


def _say(sentence: str, code: int) -> int:
    print(f"contrast: {' '.join(sentence.split())}", file=sys.stderr)
    return code
