"""A clean environment with the core alone, into which packages of others are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = {path.parent.name: path.parent for path in sorted(HERE.glob("*/*/pyproject.toml"))}
"""The folders of the foreign packages, the hostile ones and the others, by name."""
UV = Path(sys.executable).with_name("uv")

# They have tests of their own, which run where they are installed.
collect_ignore_glob = ["hostile/*", "packages/*"]

Done = subprocess.CompletedProcess[str]


class World:
    """A virtual environment in `folder` with contrast-core from its wheel, and nothing of this one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._bin = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        self._wheels: dict[Path, Path] = {}
        outer = ("CONTRAST_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "COV_")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith(outer)}
        self._environment |= {
            "PATH": os.pathsep.join([str(self._bin), os.environ.get("PATH", "")]),
            "CONTRAST_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        make = [UV, "venv", "--python", sys.executable] if UV.exists() else [sys.executable, "-m", "venv"]
        self._call([*make, folder / "env"], check=True)
        self._pip("install", self._wheel(ROOT / "core"))

    def install(self, names: Iterable[str]) -> None:
        """Install foreign packages from their wheels, with what they depend on."""
        self._pip("install", *(self._wheel(PACKAGES[name]) for name in names))

    def install_tools(self, *requirements: str) -> None:
        """Install what the packages' own tests need, for example "pytest"."""
        self._pip("install", *requirements)

    def uninstall(self, names: Iterable[str]) -> None:
        """Uninstall foreign packages."""
        projects = [tomllib.loads((PACKAGES[name] / "pyproject.toml").read_text("utf-8"))["project"] for name in names]
        self._pip("uninstall", *(project["name"] for project in projects))

    def contrast(self, *arguments: str, **environment: str) -> Done:
        """Run the command `contrast` in the world's folder."""
        return self._call([self._bin / "contrast", *arguments], **environment)

    def python(self, code: str, **environment: str) -> Done:
        """Run a piece of Python."""
        return self._call([self._bin / "python", "-c", code], **environment)

    def suite(self, name: str, *options: str) -> Done:
        """Run a package's own tests against the installed package: without its sources, and away from this project."""
        folder = self.folder / "suites" / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PACKAGES[name], folder, ignore=shutil.ignore_patterns("src", "__pycache__", ".*"))
        return self._call([self._bin / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options], folder)

    def files(self) -> set[str]:
        """What lies in the environment's site-packages, its top level."""
        found = self.python("import sysconfig; print(sysconfig.get_path('purelib'))")
        site = Path(found.stdout.strip())
        return {path.name for path in site.iterdir() if path.name != "__pycache__"}

    def _wheel(self, package: Path) -> Path:
        if package not in self._wheels:
            target = self.folder / "wheels" / package.name
            build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
            self._call(build, package, check=True)
            (self._wheels[package],) = target.glob("*.whl")
        return self._wheels[package]

    def _pip(self, job: str, *what: str | Path) -> None:
        links = [word for wheel in self._wheels.values() for word in ("--find-links", str(wheel.parent))]
        options = ["-c", str(ROOT / "constraints.txt"), *links] if job == "install" else []
        python = str(self._bin / "python")
        if UV.exists():
            # uv does not read pip's settings: folders of local wheels have to be passed on.
            found = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS")
            passed = {"UV_FIND_LINKS": found} if found else {}
            command = [str(UV), "pip", job, "--quiet", "--python", python, *options]
            self._call([*command, *what], check=True, **passed)
        else:
            agreed = ["--yes"] if job == "uninstall" else []
            self._call([python, "-m", "pip", job, "--quiet", *agreed, *options, *what], check=True)

    def _call(
        self, command: Iterable[str | Path], folder: Path | None = None, check: bool = False, **environment: str
    ) -> Done:
        words = [str(word) for word in command]
        given = {**self._environment, **environment}
        done = subprocess.run(
            words, cwd=folder or self.folder, env=given, capture_output=True, text=True, check=False, timeout=240
        )
        assert not (check and done.returncode), f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One for each process that tests. Whoever installs something uninstalls it at the end."""
    return World(tmp_path_factory.mktemp("world"))
