"""Watches a spec's files, and puts what they say now into force: compiled first, swapped whole, refused if faulty."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from victor_dsl.compiler import Compilation
from victor_dsl.errors import VictorError
from victor_dsl.runtime.orchestrator import Orchestrator

logger = logging.getLogger("victor_dsl")

LOOK_SECONDS = 1.0

Stamp = Mapping[str, tuple[int, int, int] | None]


class Watcher:
    """Reloads an orchestrator's spec when one of its files changes, or when it is asked to.

    `compile` compiles the spec anew; it runs in a thread. `refused` hears of a compilation with faults: the program
    that runs then goes on.
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
        self._asked = asyncio.Event()
        self._stamp = _stamp(orchestrator.program.sources)

    def ask(self) -> None:
        """Reloads soon, changed or not: what SIGHUP means."""
        self._asked.set()

    async def run(self, *, files: bool) -> None:
        """Reloads when asked, and with `files` when one of them changes, until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS if files else None):
                    await self._asked.wait()
            except TimeoutError:
                if await asyncio.to_thread(_stamp, self._stamp) == self._stamp:
                    continue
            self._asked.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Compiles the spec and runs it from now on, if it is without a fault and can be opened; says whether it is."""
        stamp = await asyncio.to_thread(_stamp, self._stamp)
        compilation = await asyncio.to_thread(self._compile)
        if compilation.program is None:
            self._stamp = {**stamp, **_stamp(compilation.files.names())}
            self._refused(compilation)
            return False
        self._stamp = _stamp(compilation.program.sources)
        try:
            await self._orchestrator.reload(compilation.program)
        except VictorError as error:
            logger.warning("the new spec cannot be opened, the old one goes on: %s", error)
            return False
        logger.info("the spec is reloaded: plan %s", compilation.program.plan_for(None, {}).digest[:12])
        return True


@asynccontextmanager
async def watched(
    orchestrator: Orchestrator, compile: Callable[[], Compilation], *, files: bool = True
) -> AsyncIterator[Watcher]:
    """Has the orchestrator watched inside `async with`."""
    watcher = Watcher(orchestrator, compile)
    task = asyncio.create_task(watcher.run(files=files), name="watcher of the spec")
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


def _stamp(files: Iterable[str]) -> Stamp:
    return {file: _identity(file) for file in files}


def _identity(file: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _log(compilation: Compilation) -> None:
    told = "; ".join(f"{d.span.file}:{d.span.line}:{d.span.column}: {d.message}" for d in compilation.errors)
    logger.warning("the new spec has faults, the old one goes on: %s", told)
