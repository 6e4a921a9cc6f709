"""Builds nodes into live objects: each opened once however many plans hold it, closed when none does.

Every object has one owner task, which enters and leaves its context (MCP clients demand that one task does both).
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen

from victor_dsl.errors import ComponentError, SecretError, VictorError
from victor_dsl.graph.plan import Node, Program
from victor_dsl.language.component import Clock, Context
from victor_dsl.language.config import Config, Secret
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.nearest import suggest
from victor_dsl.runtime.boundary import describe, is_fault
from victor_dsl.storage.ending import to_the_end

CLOSING_SECONDS = 10.0
"""How long one object may take to close before its task is cancelled."""

Key = tuple[str, str]


@define(eq=False)
class _Live:
    """One live object, its owner, and how many hold it."""

    node: Node
    opened: asyncio.Future[Any]
    closing: asyncio.Event = field(factory=asyncio.Event)
    holders: int = 0
    task: asyncio.Task[None] = field(init=False)
    failure: BaseException | None = None


@frozen(eq=False)
class Held:
    """Live objects by node id, held open until they are released."""

    objects: Mapping[str, Any]
    lives: tuple[_Live, ...]


class LiveObjects:
    """The live objects of a process. Equal (node id, fingerprint) is one object over all plans and reloads.

    `program` gives newly opened nodes their folder, state and environment.
    """

    def __init__(
        self,
        program: Program,
        registry: Registry,
        clock: Clock,
        random: Random,
        report: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        self.program = program
        self._registry = registry
        self._clock = clock
        self._random = random
        self._report = report
        self._lives: dict[Key, _Live] = {}
        self._kept: defaultdict[str, dict[str, Any]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._lives)

    def kept(self, node: str) -> dict[str, Any]:
        """The state of a node's id that outlives its live objects (`Context.kept`)."""
        return self._kept[node]

    async def open(self, nodes: Iterable[Node]) -> Held:
        """Holds the nodes' objects, opening those that are not open yet, in the order given.

        What a node needs comes before it. Raises ComponentError or SecretError, and then holds nothing.
        """
        nodes = tuple(nodes)
        configs = {node.id: node.config for node in nodes}
        held: list[_Live] = []
        objects: dict[str, Any] = {}
        try:
            for node in nodes:
                live = await self._hold(node, objects, configs)
                held.append(live)
                objects[node.id] = await asyncio.shield(live.opened)
        except BaseException:
            await to_the_end(self._let_go(held))
            raise
        return Held(objects, tuple(held))

    async def release(self, held: Held) -> None:
        """Lets go of the objects; those that nobody holds any more are closed, in reverse order of opening.

        All are closed whatever happens to one; failures are reported, not raised.
        """
        await to_the_end(self._let_go(held.lives))

    async def _hold(self, node: Node, objects: Mapping[str, Any], configs: Mapping[str, Config]) -> _Live:
        key = (node.id, node.fingerprint)
        while (live := self._lives.get(key)) is not None and live.closing.is_set():
            await asyncio.wait([live.task])
        if live is None:
            live = self._lives[key] = _Live(node, asyncio.get_running_loop().create_future())
            needs = {need: objects[need] for need in node.needs}
            theirs = {need: configs[need] for need in node.needs}
            live.task = asyncio.create_task(self._own(live, needs, theirs), name=f"owner of {node.id}")
        live.holders += 1
        return live

    async def _let_go(self, lives: Iterable[_Live]) -> None:
        for live in reversed(tuple(lives)):
            live.holders -= 1
            if live.holders:
                continue
            live.closing.set()
            if not live.opened.done():
                live.task.cancel()
            await self._end(live)

    async def _end(self, live: _Live) -> None:
        _, late = await asyncio.wait([live.task], timeout=CLOSING_SECONDS)
        if late:
            live.task.cancel()
            await asyncio.wait([live.task], timeout=CLOSING_SECONDS)
            live.failure = ComponentError(f"did not close within {CLOSING_SECONDS:g} s", node=live.node.id)
        if live.failure is not None:
            self._report(live.node.id, describe(live.failure), {"code": "closing"})

    async def _own(self, live: _Live, needs: Mapping[str, Any], configs: Mapping[str, Config]) -> None:
        try:
            built = self._build(live.node, needs, configs)
            if isinstance(built, AbstractAsyncContextManager):
                async with built as opened:
                    live.opened.set_result(_promised(opened, live.node))
                    await live.closing.wait()
            else:
                live.opened.set_result(_promised(built, live.node))
                await live.closing.wait()
        except BaseException as error:
            if not is_fault(error):
                raise
            if live.opened.done():
                live.failure = error
            else:
                live.opened.set_exception(_placed(error, live.node))
                live.opened.exception()  # seen, also where the one who waited has been cancelled
        finally:
            if not live.opened.done():
                live.opened.cancel()
            self._lives.pop((live.node.id, live.node.fingerprint), None)

    def _build(self, node: Node, needs: Mapping[str, Any], configs: Mapping[str, Config]) -> Any:
        component = self._registry.find(node.kind, node.type)
        if component is None:
            raise ComponentError(f"{node.kind} has no '{node.type}'")
        context = Context(
            node=node.id,
            directory=self.program.directory,
            state=self.program.state,
            needs=needs,
            configs=configs,
            secret=partial(self._secret, node),
            clock=self._clock,
            random=self._random,
            report=partial(self._report, node.id),
            place=node.place,
            environment=self.program.environment,
            kept=self.kept(node.id),
        )
        return component.build(node.config, context)

    def _secret(self, node: Node, secret: Secret) -> str:
        text = find_secret(self.program.environment, node, secret)
        if secret.source == "file" and is_open_to_others(secret):
            message = f"others than its owner may read the secret in {secret.name}; try chmod go-r"
            self._report(node.id, message, {"file": secret.name})
        return text


def is_open_to_others(secret: Secret) -> bool:
    """Whether the group, or everybody, may read the file that a secret is in."""
    mode = Path(secret.path or secret.name).stat().st_mode
    return os.name == "posix" and bool(mode & (stat.S_IRGRP | stat.S_IROTH))


def find_secret(environment: Mapping[str, str], node: Node, secret: Secret) -> str:
    """The secret's text. Raises SecretError, which names the variable or file and the place that asks for it."""
    if secret.source == "env":
        text = environment.get(secret.name, "")
        if not text:
            state = "is empty" if secret.name in environment else "is not set"
            raise SecretError(f"{node.place}: the environment variable {secret.name} {state}", node=node.id)
        return text
    try:
        text = Path(secret.path or secret.name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SecretError(f"{node.place}: cannot read the secret in {secret.name}: {reason}", node=node.id) from error
    if not text:
        raise SecretError(f"{node.place}: the file {secret.name}, which should hold a secret, is empty", node=node.id)
    return text


def _promised(opened: Any, node: Node) -> Any:
    """The object itself. Raises ComponentError where it lacks a method of its kind: it would do nothing, unnoticed."""
    protocol = KINDS[node.kind].protocol
    promised = [name for name in {**vars(protocol), **protocol.__annotations__} if not name.startswith("_")]
    missing = [name for name in promised if not hasattr(opened, name)]
    if missing:
        what = f"the object that '{node.type}' builds ({type(opened).__name__})"
        near = suggest(missing[0], [name for name in dir(opened) if not name.startswith("_")])
        raise ComponentError(f"{what} has no `{missing[0]}`, which every {protocol.__name__} has; {near}")
    return opened


def _placed(error: BaseException, node: Node) -> Exception:
    """The error as one that a person can act on: which node, where it was written."""
    if isinstance(error, SecretError):
        return error
    hint = getattr(error, "hint", None)
    if isinstance(error, ModuleNotFoundError):
        hint = f"install the package that has '{error.name}'"
    reason = error.message if isinstance(error, VictorError) else describe(error)
    placed = ComponentError(f"{node.place}: cannot be opened: {reason}", node=node.id, hint=hint)
    placed.__cause__ = error
    return placed
