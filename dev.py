"""Set up the environment and run the project's jobs with any Python >= 3.11; standard library only.

python3 dev.py setup | demo | test | lint | docs | bench
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
PACKAGES = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def run(*command: object, **environment: str) -> None:
    """Run a command in the root, echoing it; a failure ends the script with its exit code."""
    words = [str(word) for word in command]
    print("+", " ".join(words).replace(str(ROOT) + os.sep, ""), flush=True)
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def fingerprint() -> str:
    """A digest of every file that decides what is installed."""
    files = [ROOT / "constraints.txt", ROOT / "pyproject.toml", *(p / "pyproject.toml" for p in PACKAGES)]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def setup() -> None:
    """Create .venv with all packages (editable) and the development tools; a no-op while nothing changed."""
    stamp = ENVIRONMENT / "contrast-stamp"
    if stamp.exists() and stamp.read_text() == fingerprint():
        return
    import tomllib  # not at the top: an older Python shall get the sentence below, not a traceback

    run(sys.executable, "-m", "venv", "--clear", ENVIRONMENT)
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    packages = [word for package in PACKAGES for word in ("-e", str(package))]
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    for wanted in (packages + groups["dev"], ["--no-deps", *groups["alone"]]):
        if not quickly(wanted):
            run(*pip, "install", "-c", "constraints.txt", *wanted)
    without_native_torchaudio()
    stamp.write_text(fingerprint())


def without_native_torchaudio() -> None:
    """Move torchaudio's native libraries away where they can't be loaded: they want CUDA, and this torch has none.

    torchaudio then runs without them. transformers imports torchaudio wherever it is installed, and would fail.
    """
    ask = (
        "import importlib.util as u, torch; s = u.find_spec('torchaudio'); "
        "print(torch.version.cuda or '', s and s.origin)"
    )
    asked = subprocess.run([PYTHON, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=False)
    cuda, _, origin = asked.stdout.strip("\n").partition(" ")
    if asked.returncode or cuda or not origin or origin == "None":
        return
    tried = subprocess.run([PYTHON, "-c", "import torchaudio"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tried.returncode and "OSError" in tried.stderr:
        for library in Path(origin).parent.glob("lib/*.so"):
            print("+ moving away", library.name, "which needs CUDA", flush=True)
            library.rename(library.with_suffix(".so.needs-cuda"))


def quickly(wanted: list[str]) -> bool:
    """Install with uv, which takes seconds; False if it can't be had or can't install, for pip to try."""
    if subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "uv"], cwd=ROOT, check=False).returncode:
        return False
    # uv does not read pip's settings: folders of local wheels have to be passed on.
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS")
    environment = {**os.environ, **({"UV_FIND_LINKS": links} if links else {})}
    command = [str(BIN / "uv"), "pip", "install", "--python", str(PYTHON), "-c", "constraints.txt", *wanted]
    print("+", *command[:3], "...", flush=True)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def demo() -> None:
    """Train and evaluate MEOW on the graph of the installed libraries; ends in a report."""
    run(BIN / "contrast", "run", "graph/meow", "--open", *sys.argv[2:])


def test() -> None:
    """Run every suite; the slow evidence lives in benchmarks."""
    run(PYTHON, "-m", "pytest", "-n", "2", *sys.argv[2:], OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")


def lint() -> None:
    """Style, types and import contracts."""
    run(BIN / "ruff", "check", ".")
    run(BIN / "ruff", "format", "--check", ".")
    run(BIN / "mypy")
    run(BIN / "lint-imports")


def docs() -> None:
    """Build the documentation site; a warning is an error."""
    run(BIN / "mkdocs", "build", "--strict")


def bench() -> None:
    """Run the benchmarks; each prints a table with both sides measured in the same run."""
    for script in [
        *sorted(ROOT.glob("benchmarks/*.py")),
        *sorted(ROOT.glob("plugins/*/benchmarks/speed*.py")),
    ]:
        run(PYTHON, script)


JOBS = {"setup": setup, "demo": demo, "test": test, "lint": lint, "docs": docs, "bench": bench}

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - the one file that an older Python may meet
        sys.exit("contrast needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")
    if len(sys.argv) < 2 or sys.argv[1] not in JOBS:
        sys.exit(__doc__)
    setup()
    JOBS[sys.argv[1]]()
