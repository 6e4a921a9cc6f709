"""Python processes that have imported Victor already, for the many tests that run commands and look at their output.

`server.py` imports everything once and waits. `python` and `victor` of the folder `Warm.bin` are `client.py`: they pass their
arguments, environment, folder and open files to the server, whose fork runs the command. Only the imports are shared: every
command has a process, an environment and an exit of its own. Its hash seed is the server's. Options of Python that the client
does not know, and systems without what it needs, get a plain Python.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Warm:
    """The folder `bin` with the two commands, for as long as the server runs."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        self._socket = folder / "socket"
        self._log = folder / "log"
        self.bin.mkdir()
        text = (HERE / "client.py").read_text(encoding="utf-8")
        self.python.write_text(f"#!{sys.executable} -ISB\n{text}", encoding="utf-8")
        self.python.chmod(0o755)
        (self.bin / "victor").symlink_to("python")

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the server, and waits until it has imported everything. It ends when its standard input is closed."""
        command = [sys.executable, "-P", str(HERE / "server.py"), str(self._socket), str(HERE.parent.parent)]
        with self._log.open("wb") as log:
            server = subprocess.Popen(command, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert server.stdout is not None
        with server.stdout as ready:
            assert ready.readline() == b"ready\n", self._log.read_text(encoding="utf-8")
        return server


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """The warm Python of this pytest worker."""
    folder = Path(tempfile.mkdtemp(prefix="victor-warm-"))  # a short path, as those of sockets must be
    try:
        found = Warm(folder)
        with found.start() as server:
            yield found
            assert server.stdin is not None
            server.stdin.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def warm_python(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the warm Python the one that a test, or a command in its process, starts as `sys.executable`."""
    monkeypatch.setattr(sys, "executable", str(warm.python))
