"""Watches a spec's files and reloads the orchestrator when they change; a spec with errors is refused."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from victor_dsl.compiler import Compilation
from victor_dsl.compiler.lint.retirement import RETIREMENT_CODES
from victor_dsl.errors import VictorError
from victor_dsl.language.boundary import internal_error, is_fault
from victor_dsl.runtime.orchestrator import Orchestrator

logger = logging.getLogger("victor_dsl")

LOOK_SECONDS = 1.0

CLOCK_STEP_NS = 50_000_000
"""File systems write times in coarse steps: a file may seem older by this than it is."""

Stamp = Mapping[str, tuple[int, int, int] | None]
"""Time, size and inode of each file; None for a missing one."""


class Watcher:
    """Reloads an orchestrator's spec when one of its files changes, or on request.

    `compile` compiles the spec again, in a thread. `refused` gets a compilation with errors; the running program then
    goes on.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        compile: Callable[[], Compilation],
        refused: Callable[[Compilation], None] | None = None,
    ) -> None:
        self._orchestrator = orchestrator
        self._compile = compile
        self._refused = refused or _log
        self._requested = asyncio.Event()
        self._stamp = _stamp(orchestrator.program.sources)

    def request(self) -> None:
        """Reloads soon, changed or not: what SIGHUP means."""
        self._requested.set()

    async def run(self, *, files: bool) -> None:
        """Reloads on request, and with `files` when one of them changes, until it is cancelled.

        An error, whatever it is, is logged and watching goes on.
        """
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS if files else None):
                    await self._requested.wait()
            except TimeoutError:
                await self.reload(if_changed=True)
            else:
                self._requested.clear()
                await self.reload()

    async def reload(self, *, if_changed: bool = False) -> bool:
        """Compiles the spec and runs it from now on, if it has no errors and opens; says whether it does.

        With `if_changed` it does so only if a file has changed since it was last compiled.
        """
        try:
            return await self._reload(if_changed)
        except VictorError as error:
            logger.warning("the new spec cannot be opened, the previous spec stays in force: %s", error)
        except BaseException as error:
            if not is_fault(error):
                raise
            logger.warning("the spec cannot be reloaded, the previous spec stays in force: %s", internal_error(error))
        return False

    async def _reload(self, if_changed: bool) -> bool:
        # Stamped before it is compiled: an edit that is saved meanwhile is found by the next look.
        before, begun_ns = await asyncio.to_thread(_stamp, self._stamp), time.time_ns()
        if if_changed and before == self._stamp:
            return False
        self._stamp = before
        compilation = await asyncio.to_thread(self._compile)
        program = compilation.program
        sources = compilation.files.names() if program is None else program.sources
        after = await asyncio.to_thread(_stamp, sources)
        self._stamp = {file: before.get(file, _unless_newer(after[file], begun_ns)) for file in sources}
        if program is None:
            self._stamp = {**before, **self._stamp}
            self._refused(compilation)
            return False
        log_retirements(compilation)
        await self._orchestrator.reload(program)
        logger.info("the spec is reloaded: plan %s", program.plan_for(None, {}).digest[:12])
        return True


@asynccontextmanager
async def watched(
    orchestrator: Orchestrator, compile: Callable[[], Compilation], *, files: bool = True
) -> AsyncIterator[Watcher]:
    """Watches the orchestrator's spec inside `async with`."""
    watcher = Watcher(orchestrator, compile)
    task = asyncio.create_task(watcher.run(files=files), name="watcher of the spec")
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


def log_retirements(compilation: Compilation) -> None:
    """Logs the models that their providers have retired, or will: a program that runs goes on with them."""
    for found in compilation.diagnostics:
        if found.code in RETIREMENT_CODES:
            logger.warning("%s:%d: %s; %s", found.span.file, found.span.line, found.message, found.hint)


def _stamp(files: Iterable[str]) -> Stamp:
    return {file: _identity(file) for file in files}


def _identity(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unless_newer(identity: tuple[int, int, int] | None, begun_ns: int) -> tuple[int, int, int] | None:
    """The identity of a file that the compilation met for the first time; None if it may have changed since it was read."""
    return None if identity is None or identity[0] > begun_ns - CLOCK_STEP_NS else identity


def _log(compilation: Compilation) -> None:
    errors = "; ".join(f"{d.span.file}:{d.span.line}:{d.span.column}: {d.message}" for d in compilation.errors)
    logger.warning("the new spec has errors, the previous spec stays in force: %s", errors)
