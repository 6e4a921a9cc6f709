"""What the benchmarks share: CPU of commands in interleaved rounds, medians, tables, and the machine they ran on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def cpu_ms(command: Sequence[str], *, expected: int = 0) -> float:
    """The CPU time of a command, user and system, in milliseconds. Raises where it exits otherwise than expected."""
    quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)]
    pid = os.posix_spawn(command[0], list(command), {**os.environ, "NO_COLOR": "1"}, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != expected:
        raise SystemExit(f"{' '.join(command)}: exit {code}, expected {expected}")
    return (used.ru_utime + used.ru_stime) * 1000


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Each command's median CPU in milliseconds. All run once in every round, so that what slows the machine slows
    them alike; a first round, which fills caches, does not count."""
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            cpu[name].append(cpu_ms(command))
    return {name: median(times[1:]) for name, times in cpu.items()}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(*packages: str) -> str:
    """The machine and the versions that the figures hold for."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; {versions}"
    )


def python_with_pip() -> str:
    """A Python that has pip: as for `./dev`, it need not be this one. Raises SystemExit where there is none."""
    candidates = [sys.executable, getattr(sys, "_base_executable", None), *map(shutil.which, ("python3", "python"))]
    for candidate in candidates:
        asked = candidate and subprocess.run([candidate, "-c", "import pip"], capture_output=True, check=False)
        if candidate and asked and asked.returncode == 0:
            return candidate
    raise SystemExit("no Python with pip is found")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
