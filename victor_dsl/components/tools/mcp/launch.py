"""Starts and ends the process of an MCP server. It does without the SDK, so that a server can start while the SDK is imported.

On Linux `supervisor.py` stands between this process and the server.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, frozen

from victor_dsl.components.tools.mcp import supervisor
from victor_dsl.storage.ending import to_the_end

GRACE_SECONDS = 2.0
"""How long a server may take to end after its input is closed, and again after SIGTERM."""

CHUNK_BYTES = 64 * 1024

INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""The variables that every program needs, as the SDK lists them."""


@frozen
class Started:
    """A server; `control` is the pipe to its supervisor, where it has one."""

    process: Process
    control: int | None

    def tell(self, what: bytes) -> None:
        """Writes to the supervisor."""
        if self.control is not None:
            with suppress(OSError):  # it has ended
                os.write(self.control, what)


@define(eq=False)
class Launch:
    """How a server is started. Of this process's environment it gets only the few variables that every program needs."""

    command: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    _early: Started | None = None

    async def start_early(self) -> None:
        """Starts the server that the next `start` returns; where it cannot be started, `start` says so."""
        with suppress(OSError):
            self._early = await self._start()

    async def start(self) -> Started:
        """Starts the server. Raises OSError."""
        early, self._early = self._early, None
        return early or await self._start()

    async def close(self) -> None:
        """Ends a server that was started early for nothing."""
        early, self._early = self._early, None
        if early is not None:
            await to_the_end(stop(early))

    async def _start(self) -> Started:
        environment = {**_inherited(), **self.environment}
        supervised = sys.platform == "linux" and Path(sys.executable).name.startswith(("python", "pypy"))
        command, read, write = list(self.command), None, None
        try:
            if supervised:
                _check_program(command[0], self.directory, environment)
                read, write = os.pipe()
                command = [sys.executable, "-I", "-S", supervisor.__file__, str(read), *command]
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=self.directory,
                env=environment,
                start_new_session=True,
                pass_fds=() if read is None else (read,),
            )
        except BaseException:
            if write is not None:
                os.close(write)
            raise
        finally:
            if read is not None:
                os.close(read)
        return Started(process, write)


async def stop(started: Started) -> None:
    """Ends the server and all that it started, by ever stronger means: its input is closed, then SIGTERM, then SIGKILL."""
    process = started.process
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    started.tell(supervisor.CLOSING)
    if not await _ended(process):
        _signal(process, signal.SIGTERM)
        await _ended(process)
    if started.control is None or process.returncode is not None:
        _signal(process, signal.SIGKILL)  # in any case: the server may have ended and left children behind
    else:
        started.tell(supervisor.KILL)
    await _ended(process)
    if started.control is not None:
        os.close(started.control)
    # A process that left the group may keep a pipe open for ever; the transport is closed all the same.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 -- asyncio offers no other way
    await asyncio.sleep(0)


def _inherited() -> dict[str, str]:
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {name: value for name, value in found.items() if not value.startswith("()")}  # an exported shell function


def _check_program(program: str, directory: str, environment: Mapping[str, str]) -> None:
    """Raises the OSError that starting the program would raise."""
    path = str(Path(directory, program)) if os.sep in program else program
    if shutil.which(path, path=environment.get("PATH")) is None:
        number = errno.EACCES if os.sep in program and Path(path).exists() else errno.ENOENT
        raise OSError(number, os.strerror(number), program)


async def _ended(process: Process) -> bool:
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await asyncio.gather(process.wait(), _drained(process))
    except TimeoutError:
        return False
    return True


async def _drained(process: Process) -> None:
    """Reads what the server still prints: it may not end before its output is read."""
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        while await stream.read(CHUNK_BYTES):
            pass


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
