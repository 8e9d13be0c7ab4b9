"""Starts processes that meet through a file."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def in_processes(tmp_path: Path) -> Callable[..., list[str]]:
    """in_processes(count, script, ...) runs a script of this folder as RENDEZVOUS RANK PROCESSES ...; gives output.

    It raises AssertionError with the errors, if a process failed.
    """

    def run(count: int, script: str, *arguments: str) -> list[str]:
        command = [sys.executable, str(HERE / script), str(tmp_path / "rendezvous")]
        started = [
            subprocess.Popen(
                [*command, str(rank), str(count), *(argument.format(rank=rank) for argument in arguments)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
            )
            for rank in range(count)
        ]  # fmt: skip
        try:
            ended = [process.communicate(timeout=200) for process in started]
        finally:
            for process in started:
                process.kill()
        assert not any(process.returncode for process in started), "\n".join(error[-2000:] for _, error in ended)
        return [output for output, _ in ended]

    return run


@pytest.fixture
def launched(tmp_path: Path) -> Callable[..., list[subprocess.Popen[str]]]:
    """launched(processes, arguments of contrast): the processes themselves, so that a test may kill them.

    `between` is called after the first one was started.
    """

    def start(
        count: int, arguments: Sequence[str], between: Callable[[], object] = lambda: None
    ) -> list[subprocess.Popen[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
        started = []
        for rank in range(count):
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "contrast_core", *arguments],
                    cwd=tmp_path, text=True, stderr=subprocess.PIPE,
                    env={**ENVIRONMENT, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                )
            )  # fmt: skip
            if rank == 0:
                between()
        return started

    return start


@pytest.fixture
def torchrun(tmp_path: Path) -> Callable[[int, Sequence[str]], subprocess.CompletedProcess[str]]:
    """torchrun(processes, arguments of contrast) -> what it did."""

    def start(count: int, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        return subprocess.run(
            [*command, "-m", "contrast_core", *arguments],
            capture_output=True, text=True, timeout=200, env=ENVIRONMENT, cwd=tmp_path, check=False,
        )  # fmt: skip

    return start
