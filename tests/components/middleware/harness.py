"""One middleware alone, around a handler of the test's: `async with harness("timeout", folder, seconds=1) as guard`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from tests.components.context import StillClock, surroundings
from victor_dsl.errors import LimitReached
from victor_dsl.language.registry import Registry
from victor_dsl.values.message import Delta, Message, Reply, Usage
from victor_dsl.values.request import API_KEY, Request
from victor_dsl.values.settings import Layer, Limits, Settings
from victor_dsl.values.turn import Handler, Turn

KEY = "vk_of-acme-and-ann-0123456789"
LAYERS = (Layer("spec"),)
"""A turn with layers is settled: it was admitted."""

Answer = Callable[[Turn], Awaitable[Reply]]


def hashed(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def a_turn(text: str = "hi", *, key: str | None = None, limits: Limits | None = None, **changes: Any) -> Turn:
    """A turn with one message, settled; `key` is what its request came with."""
    metadata = {} if key is None else {API_KEY: key}
    request = Request(message=text, session=changes.get("session"), metadata=metadata)
    values: dict[str, Any] = {"id": "t1", "session": "s1", "messages": (Message("user", text),), **changes}
    settings = Settings(model="main", limits=limits or Limits())
    return Turn(settings=settings, layers=LAYERS, metadata=metadata, request=request, **values)


def asking(turn: Turn, **changes: Any) -> Turn:
    """The turn with a request that says something else."""
    return turn.replace(request=evolve(turn.request, **changes))


def a_reply(text: str = "hello", usage: Usage | None = None) -> Reply:
    return Reply(Message("assistant", text), usage or Usage(10, 5))


@define
class Heard:
    """What was streamed."""

    pieces: list[str] = field(factory=list)

    async def emit(self, delta: Delta) -> None:
        self.pieces.append(delta.text)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@define
class Guard:
    """A middleware around the test's handler; `reached` are the turns that came through."""

    live: Any
    clock: StillClock
    reports: list[tuple[str, Mapping[str, Any]]]
    answer: Answer | None = None
    reached: list[Turn] = field(factory=list)
    handler: Handler = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.handler = self.live.wrap(self._inner)

    async def _inner(self, turn: Turn) -> Reply:
        self.reached.append(turn)
        return a_reply() if self.answer is None else await self.answer(turn)

    async def __call__(self, turn: Turn) -> Reply:
        return await self.handler(turn)


@asynccontextmanager
async def harness(
    type: str,
    folder: Path,
    answer: Answer | None = None,
    *,
    needs: Mapping[str, Any] | None = None,
    memory: dict[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[Guard]:
    """A middleware of that type, opened, around `answer`."""
    component = Registry(entry_points=False).find("middleware", type)
    assert component is not None
    around = surroundings(folder, f"middleware/{type}", needs=needs)
    context = evolve(around.context, memory={} if memory is None else memory)
    built = component.build(component.config.model_validate(config), context)
    if hasattr(built, "__aenter__"):
        async with built as live:
            yield Guard(live, around.clock, around.reports, answer)
    else:
        yield Guard(built, around.clock, around.reports, answer)


async def passed(guard: Guard, turn: Turn, times: int) -> int:
    """How many of that many turns, one after the other, are not over a limit."""
    before = len(guard.reached)
    for _ in range(times):
        try:
            await guard(turn)
        except LimitReached:
            continue
    return len(guard.reached) - before
