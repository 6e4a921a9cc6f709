"""A small file system that tests fill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[bool]:
    """Mounts a file system of that size in memory; yields false where this process may not mount."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=False)


def fill(path: Path, leave: int) -> Path:
    """Fills a file system, but for so many bytes, with one file."""
    filler = path / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(path)
        rest = free.f_bavail * free.f_frsize - leave
        while rest > 0:
            rest -= file.write(b"x" * min(rest, 1 << 20))
    return filler
