"""Files that other users of the machine can read or write, though they should not."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

EXPOSED = "exposed_file"
"""The code of reports about them."""

READ = stat.S_IRGRP | stat.S_IROTH
WRITE = stat.S_IWGRP | stat.S_IWOTH


def exposure(path: Path, shown: str, *, private: bool) -> str | None:
    """What users other than the owner can do with a file or folder, and the command that mends it; None if nothing is wrong.

    They should never write it, and not read it if it is `private`. A folder of private files is not itself private. Raises
    OSError.
    """
    if os.name != "posix":
        return None
    mode = path.stat().st_mode
    can = [verb for verb, bits in (("read", READ if private else 0), ("write", WRITE)) if mode & bits]
    if not can:
        return None
    change = "600" if private else "go-w"
    return f"users other than its owner can {' and '.join(can)} '{shown}'; run: chmod {change} {shlex.quote(shown)}"


def make_private_folder(path: Path) -> None:
    """Creates a folder and those above it where they are missing, each for its owner only. Raises OSError."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
