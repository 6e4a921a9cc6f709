"""Live nodes: each is built once for all plans that use it, and closed when none uses it any more."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

from attrs import frozen

from victor_dsl.errors import ComponentError, ModelError, SecretError, VictorError
from victor_dsl.graph.plan import Node, Program
from victor_dsl.language.annotations import Secret
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.component import Clock, Context
from victor_dsl.language.config import Config, ExporterConfig
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.nearest import suggest
from victor_dsl.regular_file import read_regular
from victor_dsl.runtime.delivery.late_exporter import LateExporter
from victor_dsl.runtime.lease import Lease, Leases
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.permissions import EXPOSED, exposure
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Turn

MOST_SECRET_BYTES = 1024 * 1024
"""Of a file that holds a secret."""

CLOSING_SECONDS = 10.0
"""How long one object may take to close before its task is cancelled."""

Key = tuple[str, str]
"""A node's id and fingerprint."""

Report = Callable[[str, str, Mapping[str, Any]], None]
"""Takes a node's id, a message and the data of an event."""


def ignore(node: str, message: str, data: Mapping[str, Any]) -> None:
    """Discards a report."""


@frozen
class SystemClock:
    """The machine's time. A turn asks for it some twenty times, so the functions of `time` are the methods."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Waits."""
        return asyncio.sleep(seconds)


@frozen
class Waiting:
    """A node that opens or closes, since the time `since` of the clock's `monotonic`."""

    verb: Literal["opening", "closing"]
    node: Node
    since: float


@frozen
class _Opened:
    node: Node
    lease: Lease[Any]


class LiveNodes:
    """The live objects of a process. Nodes with equal (id, fingerprint) are one object over all plans and reloads."""

    def __init__(
        self,
        registry: Registry | None = None,
        report: Report = ignore,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        answering: bool = True,
    ) -> None:
        """With `answering=False` no model is opened, so no secret of a model is needed; each call of one is refused."""
        self._registry = registry or Registry()
        self._answering = answering
        self._clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter
        self._report = report
        self._leases = Leases[Any](self._open, closing_s=CLOSING_SECONDS, failed=self._failed)
        self._states: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._waiting: dict[Key, Waiting] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def state(self, node: str) -> dict[str, Any]:
        """The state of a node's id that outlives its live objects (`Context.memory`)."""
        return self._states[node]

    @asynccontextmanager
    async def open(self, nodes: Iterable[Node], program: Program) -> AsyncIterator[Mapping[str, Any]]:
        """The nodes' live objects by id, open inside `async with`.

        They open at the same time, each after the nodes that it needs, which must come before it in `nodes`. A node that is
        built here gets the program's folder, state and environment. Raises the first ComponentError or SecretError, after
        closing what it opened. Nodes close at the same time, too, each after those that need it; an error of one is reported,
        and does not keep the others open.
        """
        opened: dict[str, _Opened] = {}
        try:
            await self._take(nodes, program, opened)
            yield {id: part.lease.resource for id, part in opened.items()}
        finally:
            await to_the_end(self._release(opened))

    def waiting(self) -> list[Waiting]:
        """What opens or closes at the moment, the longest first."""
        return list(self._waiting.values())

    async def _take(self, nodes: Iterable[Node], program: Program, opened: dict[str, _Opened]) -> None:
        """Adds the nodes to `opened`, in an order in which each comes after those that it needs."""
        tasks: dict[str, asyncio.Task[None]] = {}

        async def take(node: Node) -> None:
            if node.needs:
                await asyncio.wait([tasks[need] for need in node.needs])
            needs = {need: opened[need].lease.resource for need in node.needs if need in opened}
            if len(needs) < len(node.needs):
                return  # one of them has failed, and ends the group
            configs = {need: opened[need].node.config for need in node.needs}
            lease = await self._leases.take((node.id, node.fingerprint), node, program, needs, configs)
            opened[node.id] = _Opened(node, lease)

        try:
            async with asyncio.TaskGroup() as group:
                # Tools first: they start processes, which then run while modules are imported here.
                for node in sorted(nodes, key=lambda node: node.kind != "tools" or bool(node.needs)):
                    tasks[node.id] = group.create_task(take(node))
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__

    async def _release(self, opened: Mapping[str, _Opened]) -> None:
        users: defaultdict[str, list[asyncio.Task[None]]] = defaultdict(list)

        async def release(part: _Opened) -> None:
            if theirs := users[part.node.id]:
                await asyncio.wait(theirs)
            await self._leases.release(part.lease)

        async with asyncio.TaskGroup() as group:
            for part in reversed(list(opened.values())):
                task = group.create_task(release(part))
                for need in part.node.needs:
                    users[need].append(task)

    @asynccontextmanager
    async def _open(
        self, key: Key, node: Node, program: Program, needs: Mapping[str, Any], configs: Mapping[str, Config]
    ) -> AsyncIterator[Any]:
        opened = False
        self._waiting[key] = Waiting("opening", node, self._clock.monotonic())
        try:
            built = self._build_whole(node, program, needs, configs)
            if isinstance(built, AbstractAsyncContextManager):
                async with built as live:
                    _check(live, node)
                    opened = True
                    del self._waiting[key]
                    yield live
                    self._waiting[key] = Waiting("closing", node, self._clock.monotonic())
            else:
                _check(built, node)
                del self._waiting[key]
                yield built
        except BaseException as error:
            if opened or not is_fault(error):
                raise
            raise _placed(error, node) from error
        finally:
            self._waiting.pop(key, None)

    def _build_whole(
        self, node: Node, program: Program, needs: Mapping[str, Any], configs: Mapping[str, Config]
    ) -> Any:
        """What `_build` returns; for an exporter that the spec can do without, one that may be opened later."""
        build = partial(self._build, node, program, needs, configs)
        if isinstance(node.config, ExporterConfig) and not node.config.required:
            return self._now_or_later(node, build)
        return build()

    @asynccontextmanager
    async def _now_or_later(self, node: Node, build: Callable[[], Any]) -> AsyncIterator[Any]:
        """The exporter; where it cannot be opened now, one that stands in for it and tries again."""
        async with AsyncExitStack() as stack:
            try:
                live = await stack.enter_async_context(_entered(build))
            except BaseException as error:
                if not is_fault(error) or isinstance(error, SecretError | ImportError):
                    raise
                reason = str(error) if isinstance(error, VictorError) else describe(error)
                message = f"cannot be opened, and is tried again: {reason.removeprefix(f'{node.id}: ')}"
                self._report(node.id, message, {"code": "opening"})
                live = LateExporter(partial(_entered, build))
                stack.push_async_callback(live.close)
            yield live

    def _build(self, node: Node, program: Program, needs: Mapping[str, Any], configs: Mapping[str, Config]) -> Any:
        if node.kind == "models" and not self._answering:
            return _ClosedModel(node.id)
        component = self._registry.find(node.kind, node.type)
        if component is None:
            raise ComponentError(f"{node.kind} has no '{node.type}'")
        context = Context(
            node=node.id,
            directory=program.directory,
            state=program.state,
            needs=needs,
            configs=configs,
            secret=partial(self.secret, node, program),
            clock=self._clock,
            random=self._random,
            report=partial(self._report, node.id),
            place=node.place,
            texts=node.texts,
            files=node.files,
            environment=program.environment,
            memory=self.state(node.id),
        )
        return component.build(node.config, context)

    def _failed(self, key: Key, error: BaseException) -> None:
        self._report(key[0], describe(error), {"code": "closing"})

    def secret(self, node: Node, program: Program, secret: Secret) -> str:
        """The text of a secret that a node's Config names. Raises SecretError."""
        if program.untrusted:
            raise SecretError(f"{node.places}: an untrusted spec has no secrets", node=node.id)
        text = find_secret(program.environment, node, secret)
        if secret.source == "file":
            problem = exposure(Path(secret.path or secret.name), secret.name, private=True)
            if problem is not None:
                self._report(node.id, problem, {"code": EXPOSED, "file": secret.name})
        return text


@asynccontextmanager
async def _entered(build: Callable[[], Any]) -> AsyncIterator[Any]:
    """The live object that `build` returns, or that the context manager which it returns makes."""
    built = build()
    if isinstance(built, AbstractAsyncContextManager):
        async with built as live:
            yield live
    else:
        yield built


@frozen
class _ClosedModel:
    """A model where requests are only rendered: a component may need it, and cannot call it."""

    node: str

    async def answer(self, turn: Turn) -> Reply:  # noqa: ARG002 - the protocol's
        raise ModelError("no model is called while a request is rendered", kind="bad_request", node=self.node)


def find_secret(environment: Mapping[str, str], node: Node, secret: Secret) -> str:
    """The secret's text. Raises SecretError, which names the variable or file and the place that asks for it."""
    if secret.source == "env":
        text = environment.get(secret.name, "")
        if not text:
            state = "is empty" if secret.name in environment else "is not set"
            raise SecretError(f"{node.places}: the environment variable {secret.name} {state}", node=node.id)
        return text
    try:
        data, _ = read_regular(secret.path or secret.name, MOST_SECRET_BYTES)
        if len(data) > MOST_SECRET_BYTES:
            raise OSError(None, f"it is larger than {MOST_SECRET_BYTES:,} bytes")
        text = data.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SecretError(f"{node.places}: cannot read the secret in {secret.name}: {reason}", node=node.id) from error
    if not text:
        raise SecretError(f"{node.places}: the file {secret.name}, which should hold a secret, is empty", node=node.id)
    return text


def _check(live: Any, node: Node) -> None:
    """Raises ComponentError where a live object lacks a method of its kind."""
    protocol = KINDS[node.kind].protocol
    promised = [name for name in {**vars(protocol), **protocol.__annotations__} if not name.startswith("_")]
    missing = [name for name in promised if not hasattr(live, name)]
    if missing:
        what = f"the object that '{node.type}' builds ({type(live).__name__})"
        names = [name for name in dir(live) if not name.startswith("_")]
        method = "the method " if callable(vars(protocol).get(missing[0])) else ""
        message = f"{what} lacks {method}`{missing[0]}`, which every {protocol.__name__} has"
        raise ComponentError(f"{message}; {suggest(missing[0], names)}" if names else message)


def _placed(error: BaseException, node: Node) -> Exception:
    """The error with the node and the line of the spec, so that a person can act on it."""
    if isinstance(error, SecretError):
        return error
    hint = getattr(error, "hint", None)
    if isinstance(error, ModuleNotFoundError):
        hint = f"install the package that has '{error.name}'"
    reason = error.message if isinstance(error, VictorError) else describe(error)
    placed = ComponentError(f"{node.places}: cannot be opened: {reason}", node=node.id, hint=hint)
    placed.__cause__ = error
    return placed
