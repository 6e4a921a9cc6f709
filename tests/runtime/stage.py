"""Live objects that a test makes itself, put behind a real spec: items of `type: given` are what the test gives."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from attrs import define, field

from victor_dsl.compiler import compile_spec
from victor_dsl.graph.plan import Program
from victor_dsl.language.component import Component, Context
from victor_dsl.language.config import Config, Secret
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.event import Event
from victor_dsl.values.message import Message, Reply, ToolCall, Usage
from victor_dsl.values.settings import Layer
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn

HEAD = "victor: 1\nname: stage\n"


@cache
def _given_config(kind: str) -> type[Config]:
    """The Config of `type: given` in a kind; building a pydantic class is slow."""
    fields = {"__doc__": "What the test gives.", "__annotations__": {"key": Secret | None}, "key": None}
    config = type("Given", (KINDS[kind].config,), fields)
    assert issubclass(config, Config)
    return config


def given_component(kind: str, objects: Mapping[str, Any]) -> Component:
    """A component of a kind whose live objects are the test's, by node id; one that is callable is built by a call."""

    def build(config: Any, context: Context) -> Any:
        thing = objects[context.node]
        return thing(config, context) if callable(thing) else thing

    return Component(KINDS[kind], "given", _given_config(kind), build, "{type: given}")


@define
class Stage:
    """A spec in a folder, and the live objects of its given items."""

    folder: Path
    objects: dict[str, Any] = field(factory=dict)

    @property
    def registry(self) -> Registry:
        return Registry([given_component(kind, self.objects) for kind in KINDS], entry_points=False)

    def program(self, spec: str, environment: Mapping[str, str] | None = None) -> Program:
        path = self.folder / "victor.yml"
        path.write_text(HEAD + textwrap.dedent(spec), encoding="utf-8")
        compilation = compile_spec(str(path), environment=environment or {}, registry=self.registry)
        assert compilation.program is not None, [d.message for d in compilation.diagnostics]
        return compilation.program

    def orchestrator(self, spec: str, environment: Mapping[str, str] | None = None, **options: Any) -> Orchestrator:
        return Orchestrator(self.program(spec, environment), registry=self.registry, **options)


@define
class Spy:
    """An exporter that keeps what it is given."""

    events: list[Event] = field(factory=list)

    async def export(self, events: Sequence[Event]) -> None:
        self.events += events

    def of(self, type: str) -> list[Event]:
        return [event for event in self.events if event.type == type]

    def data(self, type: str) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.of(type)]


@define
class Says:
    """A model that gives one reply after another: a text, calls, a Reply, or an error to raise."""

    replies: list[Any]
    turns: list[Turn] = field(factory=list)
    usage: Usage = Usage(10, 5, 0.5)

    async def answer(self, turn: Turn) -> Reply:
        self.turns.append(turn)
        reply = self.replies[min(len(self.turns), len(self.replies)) - 1]
        if callable(reply):
            reply = await reply(turn)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Reply):
            return reply
        message = Message("assistant", reply) if isinstance(reply, str) else Message("assistant", None, tuple(reply))
        return Reply(message, self.usage, "tool_calls" if message.tool_calls else "stop")


@define
class Toolbox:
    """A tool source; each function is a tool."""

    functions: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]]
    node: str = "tools/given"
    called: list[ToolCall] = field(factory=list)
    listed: list[Tool] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.listed = [Tool(name, f"does {name}", source=self.node) for name in self.functions]

    async def tools(self) -> Sequence[Tool]:
        return self.listed

    async def call(self, call: ToolCall, turn: Turn) -> str:
        self.called.append(call)
        return await self.functions[call.name](turn.vars)  # type: ignore[no-any-return] # some give no text


@define
class Layers:
    """A provider that gives what it is told to, again and again, or raises it."""

    gives: Any

    async def read(self, turn: Turn) -> Layer:
        given = self.gives(turn) if callable(self.gives) else self.gives
        if isinstance(given, BaseException):
            raise given
        return given  # type: ignore[no-any-return] # some give no layer


@define
class Notes:
    """A middleware that notes when it is entered and left."""

    name: str
    notes: list[str]

    def wrap(self, handler: Handler) -> Handler:
        async def wrapped(turn: Turn) -> Reply:
            self.notes.append(f"{self.name} in")
            reply = await handler(turn)
            self.notes.append(f"{self.name} out")
            return reply

        return wrapped


@define
class Piece:
    """A contributor that gives a text, or raises."""

    text: Any

    async def contribute(self, turn: Turn) -> str:
        if isinstance(self.text, BaseException):
            raise self.text
        return self.text  # type: ignore[no-any-return] # some give no text


@define
class Gate:
    """A place where a task waits until the test opens it; `reached` says that it is there."""

    reached: asyncio.Event = field(factory=asyncio.Event)
    opened: asyncio.Event = field(factory=asyncio.Event)

    async def pass_through(self) -> None:
        self.reached.set()
        await self.opened.wait()


@define
class HandClock:
    """A clock that the test moves; sleepers wake when it has moved far enough."""

    time: float = 1_700_000_000.0
    sleepers: list[tuple[float, asyncio.Future[None]]] = field(factory=list)

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.time + seconds, waiting))
        await waiting

    def move(self, seconds: float) -> None:
        self.time += seconds
        for due, waiting in self.sleepers:
            if due <= self.time and not waiting.done():
                waiting.set_result(None)


async def settle() -> None:
    """Lets every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


def call(name: str, arguments: str = "{}", id: str = "c1") -> ToolCall:
    return ToolCall(id, name, arguments)
