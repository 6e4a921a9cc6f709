"""A random key of this machine, in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp

from victor_dsl.regular_file import read_regular
from victor_dsl.storage.permissions import make_private_folder

BYTES = 32


def local_key(path: Path) -> bytes:
    """The key in the file, which is created if it is missing. Several processes get the same key. Raises OSError."""
    try:
        return _read(path)
    except FileNotFoundError:
        make_private_folder(path.parent)
    descriptor, new = mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(descriptor, "wb") as file:
            file.write(os.urandom(BYTES))
        os.link(new, path)
    except FileExistsError:  # another process was first
        pass
    finally:
        os.unlink(new)
    return _read(path)


def _read(path: Path) -> bytes:
    key, _ = read_regular(path, BYTES)
    if len(key) != BYTES:
        raise OSError(0, f"it is no key of {BYTES} bytes; remove it", str(path))
    return key
