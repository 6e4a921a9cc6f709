"""Answers of both sides to requests whose rendering changed: which tools they call, their texts, and how much the answers of one side differ.

A side answers up to the first text or tool calls: no tool is called, no session is written, nothing is exported or counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import combinations, product
from typing import Any, BinaryIO, NamedTuple

import orjson
from attrs import define, evolve, field

from victor_dsl.errors import ToolError
from victor_dsl.graph.plan import Program
from victor_dsl.language.component import Component, Context
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn
from victor_dsl.workbench.batch import Line, read_lines
from victor_dsl.workbench.plan.renderings import request_of

CONCURRENCY = 4
"""Requests that a side asks at a time."""

MOST_EXAMPLES = 10
"""Requests whose answers a report shows."""

_WITHOUT = frozenset({("middleware", "auth"), ("middleware", "rate_limit")})

Json = dict[str, Any]


class Outcome(NamedTuple):
    """What a model answered: its calls, each a name and arguments in one order of keys, its text, or the code of an error."""

    calls: tuple[tuple[str, str], ...] = ()
    text: str = ""
    error: str | None = None
    cost: float | None = None

    @property
    def decision(self) -> tuple[Any, ...]:
        """What must not differ by chance: the calls, and whether there is an error. Of two texts, both are an answer."""
        return (self.calls, self.error)


async def answer_lines(
    program: Program, stream: BinaryIO, numbers: AbstractSet[int], repeats: int, send: Callable[[Json], None]
) -> None:
    """Answers the lines of these numbers, each so many times, and sends each answer when it is there."""
    room = asyncio.Semaphore(CONCURRENCY)
    async with Orchestrator(program, registry=AskingRegistry()) as orchestrator, asyncio.TaskGroup() as group:

        async def ask(line: Line) -> None:
            async with room:
                answer = await orchestrator.answer(request_of(line))
            send({"answer": [line.number, line.id, *_outcome(answer)]})

        async for line in read_lines(stream):
            if line.number in numbers and line.error is None:
                for _ in range(repeats):
                    group.create_task(ask(line))


def _outcome(answer: Reply) -> Outcome:
    calls = answer.message.tool_calls
    return Outcome(
        tuple(sorted((call.name, _arguments(call.arguments)) for call in calls)),
        answer.text,
        None if answer.error is None else answer.error.code,
        answer.usage.cost_usd,
    )


def _arguments(text: str) -> str:
    try:
        return orjson.dumps(orjson.loads(text or "{}"), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONDecodeError:
        return text


@define
class Reruns:
    """The answers of both sides, compared."""

    repeats: int
    old: dict[int, list[Outcome]] = field(factory=dict)
    new: dict[int, list[Outcome]] = field(factory=dict)
    ids: dict[int, str | int] = field(factory=dict)

    def add(self, side: dict[int, list[Outcome]], message: Json) -> None:
        """Adds an answer that a side has sent."""
        number, id, calls, *rest = message["answer"]
        self.ids[number] = id
        side.setdefault(number, []).append(Outcome(tuple(map(tuple, calls)), *rest))

    def numbers(self) -> list[int]:
        """The lines that both sides have answered."""
        return [number for number in sorted(self.old) if number in self.new]

    def as_json(self) -> Json:
        """The comparison. `noise` is the share of pairs of old answers that decide differently, `differ` that of old with new ones.

        A request flips where most old answers decide alike, and most new ones otherwise.
        """
        numbers = self.numbers()
        noise = [a.decision != b.decision for n in numbers for a, b in combinations(self.old[n], 2)]
        differ = [a.decision != b.decision for n in numbers for a, b in product(self.old[n], self.new[n])]
        flips = [n for n in numbers if _usual(self.old[n]) != _usual(self.new[n])]
        lost, gained, arguments = Counter[str](), Counter[str](), Counter[str]()
        for number in flips:
            before, after = (dict(_usual(side[number])[0]) for side in (self.old, self.new))
            lost.update(before.keys() - after.keys())
            gained.update(after.keys() - before.keys())
            arguments.update(name for name in before.keys() & after.keys() if before[name] != after[name])
        same = sum({one.text for one in self.old[n]} == {one.text for one in self.new[n]} for n in numbers)
        return {
            "requests": len(numbers),
            "repeats": self.repeats,
            "flips": len(flips),
            "noise": _share(noise),
            "differ": _share(differ),
            "tool_calls": {"lost": dict(lost), "gained": dict(gained), "arguments": dict(arguments)},
            "texts": {"same": same, "differ": len(numbers) - same},
            "errors": {"old": _errors(self.old), "new": _errors(self.new)},
            "cost_usd": {"old": _cost(self.old), "new": _cost(self.new)},
            "examples": [
                {"id": self.ids[n], "line": n, "old": _shown(self.old[n]), "new": _shown(self.new[n])}
                for n in [*flips, *(n for n in numbers if n not in flips)][:MOST_EXAMPLES]
            ],
        }


def _usual(outcomes: Sequence[Outcome]) -> tuple[Any, ...]:
    """What most answers decide; of equals, the first."""
    return Counter(one.decision for one in outcomes).most_common(1)[0][0]


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None


def _errors(side: Mapping[int, Sequence[Outcome]]) -> int:
    return sum(one.error is not None for outcomes in side.values() for one in outcomes)


def _cost(side: Mapping[int, Sequence[Outcome]]) -> float | None:
    costs = [one.cost for outcomes in side.values() for one in outcomes if one.error is None]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _shown(outcomes: Sequence[Outcome]) -> Json:
    one = next((one for one in outcomes if one.decision == _usual(outcomes)), outcomes[0])
    return {"text": one.text, "tool_calls": [list(call) for call in one.calls], "error": one.error}


class AskingRegistry(Registry):
    """The components, with which a request is answered without consequences."""

    def find(self, kind: str, type: str) -> Component | None:
        """The component, or one around it."""
        found = super().find(kind, type)
        if found is None or (kind not in _AROUND and (kind, type) not in _WITHOUT):
            return found
        around: Callable[[Any], Any] = _Admits if kind == "middleware" else _AROUND[kind]
        return evolve(found, build=_built(found, around, opens=kind in {"tools", "sessions"}))


def _built(component: Component, around: Callable[[Any], Any], *, opens: bool) -> Callable[[Any, Context], Any]:
    @asynccontextmanager
    async def build(config: Any, context: Context) -> Any:
        async with AsyncExitStack() as stack:
            made = component.build(config, context) if opens else None
            if isinstance(made, AbstractAsyncContextManager):
                made = await stack.enter_async_context(made)
            yield around(made)

    return build


class _Offers:
    """A source whose tools are left to the caller: a call of them ends the turn."""

    def __init__(self, source: Any) -> None:
        self._source = source

    async def tools(self) -> Sequence[Tool]:
        """The definitions."""
        fixed = getattr(self._source, "fixed_tools", None)
        return _left(await self._source.tools() if fixed is None else fixed)

    async def tools_for(self, turn: Turn) -> Sequence[Tool]:
        """The definitions for a turn."""
        own = getattr(self._source, "tools_for", None)
        return await self.tools() if own is None else _left(await own(turn))

    async def call(self, *_: Any) -> str:
        """Never: the caller has the call."""
        raise ToolError("not called")


class _OffersAndSays(_Offers):
    """A source with a piece of the system prompt."""

    async def contribute(self, turn: Turn) -> str:
        """The piece."""
        return str(await self._source.contribute(turn))


def _offers(source: Any) -> _Offers:
    return _OffersAndSays(source) if hasattr(source, "contribute") else _Offers(source)


def _left(tools: Iterable[Tool]) -> list[Tool]:
    return [evolve(tool, source=None) for tool in tools]


class _ReadsOnly:
    """A session store that only reads."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def load(self, *arguments: Any, **named: Any) -> Sequence[Message]:
        """The history."""
        history: Sequence[Message] = await self._store.load(*arguments, **named)
        return history

    async def append(self, *_: Any, **__: Any) -> None:
        """Nothing is written."""


class _Exports:
    def __init__(self, _: Any) -> None: ...

    async def export(self, _: Any) -> None:
        """Nothing is exported."""


class _Admits:
    """Admits every request, as the tenant and the user that it names."""

    def __init__(self, _: Any) -> None: ...

    def wrap(self, handler: Handler) -> Handler:
        """The handler, with the caller known."""

        async def admit(turn: Turn) -> Reply:
            return await handler(turn.replace(tenant=turn.request.tenant, user=turn.request.user))

        return admit


_AROUND: Mapping[str, Callable[[Any], Any]] = {"tools": _offers, "sessions": _ReadsOnly, "exporters": _Exports}
