"""Runs a program and ends all that descends from it, also when the process that started this one is killed. Linux only.

    python -I -S supervisor.py FD PROGRAM ARGUMENT…

A script of its own that imports nothing of the package, so that it starts fast. Being a "subreaper", it becomes the parent of
every descendant whose own parent ends, also of one that has left the process group or the session. FD is the read end of a pipe
that only the starting process holds open. `CLOSING` in it says that descendants are not to outlive the program, `KILL`
that all are to be killed; its end says that the starting process has ended: all get SIGTERM, and after a while SIGKILL.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CLOSING, KILL = b"c", b"k"

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_SECONDS = 2.0
KILLING_SECONDS = 5.0
PAUSE_SECONDS = 0.01
NOT_STARTED = 127
"""The exit code where the program cannot be started, as in shells."""


class Supervisor:
    """The program, its descendants, and the pipe to the starting process."""

    def __init__(self, control: int, command: list[str]) -> None:
        self._control = control
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(
                number, lambda *_: None
            )  # signals to the group are for the program; unlike SIG_IGN not inherited
        os.set_inheritable(control, False)
        self._closing = False
        self._status: int | None = None
        self._program = self._start(command)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # the pipes end when the program and its descendants close them
            os.dup2(nothing, stream)

    def run(self) -> int:
        """The status with which the program ended, once none of its descendants is left."""
        while self._reap():
            if self._closing and self._status is not None:
                self._kill()
                break
            ready, _, _ = select.select([self._control, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
            if self._control in ready:
                match os.read(self._control, 1):
                    case b"c":  # CLOSING
                        self._closing = True
                    case b"k":  # KILL
                        self._kill()
                        break
                    case _:
                        self._end()
                        break
        return self._status or 0

    def _start(self, command: list[str]) -> int:
        parent = os.getpid()
        program = os.fork()
        if program:
            return program
        try:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(NOT_STARTED)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606 -- the program that the spec names
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(NOT_STARTED)

    def _reap(self) -> bool:
        """Takes the exit codes of those that have ended. False where no descendant is left."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._program:
                    self._status = ended[1]
        except ChildProcessError:
            return False
        return True

    def _end(self) -> None:
        """Ends all descendants, and gives them a moment for it."""
        _signal_all(signal.SIGTERM)
        self._wait(GRACE_SECONDS, lambda: None)
        self._kill()

    def _kill(self) -> None:
        self._wait(KILLING_SECONDS, lambda: _signal_all(signal.SIGKILL))

    def _wait(self, seconds: float, act: Callable[[], None]) -> None:
        end = time.monotonic() + seconds
        while self._reap() and time.monotonic() < end:
            act()
            time.sleep(PAUSE_SECONDS)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _signal_all(number: signal.Signals) -> None:
    for pid in _descendants(os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _descendants(root: int) -> list[int]:
    """All descendants of a process, the nearest first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):  # it has just ended
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found[1:]


def main(arguments: list[str]) -> None:
    """Runs the program, and ends as it ended."""
    status = Supervisor(int(arguments[0]), arguments[1:]).run()
    if os.WIFSIGNALED(status):
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
