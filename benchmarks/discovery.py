"""What discovery costs: CPU seconds of the commands that list, against `import torch`, in fresh interpreters.

    python benchmarks/discovery.py

Goals: under 0.25 CPU s and under 8 % of `import torch`. Both sides are measured in this run, alternating; the table
shows the smallest of the repetitions, which is the least disturbed one.
"""

from __future__ import annotations

import resource
import subprocess
import sys

REPEATS = 7
COMMANDS = {
    "import torch": "import torch",
    "python alone": "pass",
    "contrast --help": "from contrast_core.cli import main; main(['--help'])",
    "contrast list": "from contrast_core.cli import main; main(['list'])",
    "contrast show graph/meow": "from contrast_core.cli import main; main(['show', 'graph/meow'])",
    "contrast show core/infonce": "from contrast_core.cli import main; main(['show', 'core/infonce'])",
    "contrast plugins": "from contrast_core.cli import main; main(['plugins'])",
    "contrast doctor": "from contrast_core.cli import main; main(['doctor'])",
}


def cpu_seconds(code: str) -> float:
    """User and system seconds of a fresh interpreter that runs the code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print the table."""
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(REPEATS):
        for name, code in COMMANDS.items():
            best[name] = min(best[name], cpu_seconds(code))
    torch = best["import torch"]
    print("| command | CPU s | share of `import torch` |\n|---|---:|---:|")
    for name, seconds in best.items():
        print(f"| `{name}` | {seconds:.3f} | {seconds / torch:.1%} |")


if __name__ == "__main__":
    main()
