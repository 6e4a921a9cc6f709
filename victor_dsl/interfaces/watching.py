"""Follows the files of a spec while it runs: a change makes a new program, and a faulty one leaves the old in force."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from victor_dsl.compiler import Compilation
from victor_dsl.compiler.lint.retirement import RETIREMENT_CODES
from victor_dsl.errors import ComponentError, SpecError, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.language.annotations import FunctionName, annotated_fields
from victor_dsl.language.boundary import internal_error, is_fault
from victor_dsl.language.importing import FolderModules
from victor_dsl.language.printing import in_function, routed_output
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.source.reader import STDIN, Files, FileVersion, Stamp, stamp

T = TypeVar("T")

logger = logging.getLogger("victor_dsl.reload")

LOOK_SECONDS = 1.0

SETTLE_SECONDS = 0.2
"""How long a changed file must stay as it is before it is read: an editor may still be writing it."""

MOST_WAITS = 25
"""How often such a file is waited for before the next look."""

SHOWN = 3
"""How many changed files are named."""

Compile = Callable[[Files], Compilation]
"""Compiles the spec with the files that are read already; it reads the others."""


class Watcher:
    """Gives an orchestrator a new program when a file of its spec has changed, or on request.

    Files whose texts the plans hold are always followed; the spec's own files and the Python modules of its folder only with
    `spec`, else they stay as they were when they were last compiled. A program with errors is refused, and so is one for which
    a file has lost its text. A change of one module imports all of the folder's anew, except those named in `kept`.
    """

    def __init__(
        self, orchestrator: Orchestrator, compile: Compile, *, spec: bool = True, kept: Collection[str] = ()
    ) -> None:
        self._orchestrator = orchestrator
        self._compile = compile
        self._spec = spec
        self._modules = FolderModules(orchestrator.program.directory, kept)
        self._sources: set[str] = set()  # the files of modules
        self._code = 0  # how often modules were imported anew
        self._stale: set[str] = set()  # the files that changed since
        self._requested = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._refused: str | None = None  # why, so that it is said once
        program = orchestrator.program
        self._seen = self._followed({**program.documents, **program.texts})
        self._follow_modules()

    def request(self) -> None:
        """Reloads the spec and all of its files soon, changed or not: what SIGHUP means."""
        self._requested.set()

    async def run(self) -> None:
        """Reloads on request, and when a file has changed, until it is cancelled.

        An error, whatever it is, is logged and watching goes on.
        """
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._requested.wait()
            except TimeoutError:
                await self.look()
            else:
                self._requested.clear()
                await self.reload()

    async def look(self) -> None:
        """Reloads if a file has changed, once nothing writes to it any more; skips a file that is written all the time."""
        self._follow_modules()
        now = await _in_thread(_stamps, self._seen)
        for _ in range(MOST_WAITS):
            if now == self._seen:
                return
            await asyncio.sleep(SETTLE_SECONDS)
            before, now = now, await _in_thread(_stamps, self._seen)
            if now == before:
                await self.reload(if_changed=True)
                return

    async def reload(self, *, if_changed: bool = False) -> bool:
        """Compiles the spec and runs it from now on, if it has no errors and opens; says whether it does.

        With `if_changed` it does so only if the content of a file has changed since it was last compiled.
        """
        async with self._reloading:
            seen = self._seen
            try:
                return await self._reload(if_changed)
            except VictorError as error:
                logger.warning("the new spec cannot be opened, the previous spec stays in force: %s", error)
            except BaseException as error:
                if not is_fault(error):
                    self._seen = seen  # the next look finds the change again
                    raise
                logger.warning(
                    "the spec cannot be reloaded, the previous spec stays in force: %s", internal_error(error)
                )
        return False

    async def _reload(self, if_changed: bool) -> bool:
        self._follow_modules()
        now = await _in_thread(_stamps, self._seen)
        if if_changed and now == self._seen:
            return False
        self._stale |= {file for file in self._sources if now.get(file) != self._seen.get(file)}
        self._seen = now  # also where compiling fails: not again until the next change
        before = self._orchestrator.program
        files = Files(before.documents if if_changed and not self._spec else None)
        files.code = self._code + bool(self._stale)
        compilation = await _in_thread(self._compile, files)
        program = compilation.program
        faults = [*_lost_texts(before, compilation), *_faults(compilation)]
        if program is None or faults:
            self._seen |= self._followed(compilation.sources)
            self._refuse("; ".join(faults))
            return False
        self._seen = self._followed({**program.documents, **program.texts})
        self._follow_modules()
        if if_changed and not self._stale and _contents(before) == _contents(program):
            if self._refused is not None:
                self._refused = None
                logger.info("the files of the spec are sound again")
            return False
        self._refused = None
        log_retirements(compilation)
        with ExitStack() as stack:
            if self._stale:
                try:
                    with routed_output(), in_function():
                        stack.enter_context(self._modules.anew())
                except ComponentError as error:
                    self._follow_modules(self._modules.named_by(error))
                    self._refuse(error.message)
                    return False
            await self._orchestrator.reload(program)
        self._code = files.code
        changed = _changed(before, program, self._stale)
        self._stale = set()
        logger.info("the spec is reloaded (%s): plan %s", changed, program.plan_for(None, {}).digest[:12])
        return True

    def _follow_modules(self, more: Collection[str] = ()) -> None:
        """Follows the files of the modules that are loaded by now, and more files."""
        if self._spec:
            self._sources.update(self._modules.files(), more)
            for file in self._sources - self._seen.keys():
                self._seen[file] = stamp(file)

    def _followed(self, files: Mapping[str, FileVersion]) -> dict[str, Stamp | None]:
        """The stamps of files when they were read, of those that this watcher follows."""
        ignored = {STDIN} if self._spec else {STDIN, *self._orchestrator.program.documents}
        return {name: version.stamp for name, version in files.items() if name not in ignored}

    def _refuse(self, message: str) -> None:
        if message != self._refused:
            self._refused = message
            logger.error("the new spec has errors, the previous spec stays in force: %s", message)
            self._orchestrator.refuse(SpecError(message))


@asynccontextmanager
async def watched(
    orchestrator: Orchestrator, compile: Compile, *, spec: bool = True, kept: Collection[str] = ()
) -> AsyncIterator[Watcher]:
    """Watches the orchestrator's files inside `async with`."""
    watcher = Watcher(orchestrator, compile, spec=spec, kept=kept)
    task = asyncio.create_task(watcher.run(), name="watcher of the spec")
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


def imported_by_others(program: Program) -> set[str]:
    """The modules that are loaded before a program opens, without those of its functions: they belong to whoever opens it."""
    functions = {
        str(getattr(node.config, name)).partition(":")[0]
        for node in program.plan_for(None, {}).nodes
        for name, annotation in annotated_fields(type(node.config)).items()
        if isinstance(annotation, FunctionName)
    }
    return set(sys.modules) - functions


def log_retirements(compilation: Compilation) -> None:
    """Logs the models that their providers have retired, or will: a program that runs goes on with them."""
    for found in compilation.diagnostics:
        if found.code in RETIREMENT_CODES:
            logger.warning("%s:%d: %s; %s", found.span.file, found.span.line, found.message, found.hint)


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """The function's result, from a thread. A caller that is cancelled waits for its end, so that no file is left open."""
    work = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _stamps(files: dict[str, Stamp | None]) -> dict[str, Stamp | None]:
    return {file: stamp(file) for file in files}


def _contents(program: Program) -> dict[str, bytes | None]:
    return {name: version.data for name, version in {**program.documents, **program.texts}.items()}


def _changed(before: Program, now: Program, modules: Collection[str]) -> str:
    """The names of the files that differ, for people."""
    old, new = _contents(before), _contents(now)
    differ = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    names = sorted(map(os.path.relpath, differ.union(modules)))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "its files are the same"


def _lost_texts(before: Program, compilation: Compilation) -> Iterator[str]:
    """The files that had text before and have none now: they may be in the middle of being saved."""
    for name, version in compilation.sources.items():
        if version.has_text or name not in before.texts or not before.texts[name].has_text:
            continue
        if version.data is not None:
            yield f"{os.path.relpath(name)}: the file is empty"
        elif compilation.program is not None:  # or an error says so
            yield f"{os.path.relpath(name)}: there is no such file"


def _faults(compilation: Compilation) -> Iterator[str]:
    for d in compilation.errors:
        yield f"{d.span.file}:{d.span.line}:{d.span.column}: {d.message}"
