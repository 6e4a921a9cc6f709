"""Answers a model's tool calls: each within its time limit, its result cut to size, and its failure as an error for the model.

Sources of tools return text or parts, or raise; the rules for all of them are here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import evolve, frozen

from victor_dsl.errors import Refused, ToolError
from victor_dsl.graph.plan import Node
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.component import Clock
from victor_dsl.language.kinds import ToolSource
from victor_dsl.language.time_limit import renewable
from victor_dsl.nearest import suggest
from victor_dsl.runtime import deferred_tools
from victor_dsl.runtime.coordinators.tool_selection import allowed
from victor_dsl.runtime.middleware import Layer, chain
from victor_dsl.values.images import MOST_IMAGE_BYTES, is_image, text_part
from victor_dsl.values.message import (
    Content,
    Delta,
    Message,
    Part,
    Reply,
    ToolCall,
    ToolResult,
    without_lone_surrogates,
)
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN, MESSAGE_OVERHEAD, text_tokens
from victor_dsl.values.tool import api_tool_name
from victor_dsl.values.turn import Turn

MOST_ERROR_TOKENS = 500
"""The most tokens of an error that the model receives; its cause is at the beginning."""

MOST_IMAGES = 8
"""How many images of one result the model sees."""

LEAST_RESULT_TOKENS = 100
"""A shorter result is not cut to make a turn fit its model's window."""

_CUT_OFF = {
    "length": "by max_tokens or the context window",
    "content_filter": "by the provider's content filter",
    "error": "by an error of the provider",
}
"""The stop reasons of replies that ended before the model was done, each with what ended it."""


def incomplete_calls(reply: Reply) -> Mapping[ToolCall, str]:
    """The calls of a reply that must not run because the reply was cut off, each with the error for the model.

    Arguments that were cut off may be valid JSON all the same: none at all, or all but an optional one. So the last call
    never runs, and an earlier one only where its arguments were written.
    """
    if (cause := _CUT_OFF.get(reply.stop_reason)) is None:
        return {}
    error = f"your answer was cut off {cause}, so this call may be incomplete and was not made; make it again, shorter"
    calls = reply.message.tool_calls
    return {call: error for call in calls if call is calls[-1] or not call.arguments.strip()}


@frozen
class _Source:
    """A source of tools and the limits of its calls."""

    source: ToolSource
    timeout_seconds: float
    max_result_tokens: int


class ToolCalls:
    """The tools of a plan as the model calls them, each call through the middleware around tools."""

    def __init__(self, sources: Sequence[tuple[Node, ToolSource]], middleware: Sequence[Layer], clock: Clock) -> None:
        self._sources = {node.id: _source(node, source) for node, source in sources}
        self._handler = chain(middleware, self._call)
        self._clock = clock

    async def answer(
        self, calls: Sequence[ToolCall], turn: Turn, incomplete: Mapping[ToolCall, str]
    ) -> tuple[Message, ...]:
        """A tool message for each call, in the calls' order; the calls run concurrently. `incomplete` ones fail with their text."""
        if len(calls) == 1:
            return (await self._answer(calls[0], turn, incomplete),)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._answer(call, turn, incomplete)) for call in calls]
        except BaseExceptionGroup as failures:  # a failure of middleware ends the turn, as for a single call
            raise failures.exceptions[0] from failures
        return tuple(task.result() for task in tasks)

    def refuse(self, calls: Sequence[ToolCall], turn: Turn, text: str) -> tuple[Message, ...]:
        """A tool message with that text for each call, none of which is made."""
        now = self._clock.monotonic()
        return tuple(self._answered(call, turn, text, ToolError.code, now) for call in calls)

    async def _answer(self, call: ToolCall, turn: Turn, incomplete: Mapping[ToolCall, str]) -> Message:
        started = self._clock.monotonic()
        code = None
        try:
            if call in incomplete:
                raise ToolError(incomplete[call])
            if turn.deferred is not None and call.name == deferred_tools.FIND_TOOLS.name:
                content: Content = await deferred_tools.found(call, turn)
                return self._answered(call, turn, content, None, started)
            _check(call, turn)
            reply = await self._handler(turn.replace(call=call))
            content = reply.message.content or ""
        except (ToolError, Refused) as error:
            code = error.code
            content = _cut(without_lone_surrogates(f"Error: {error.message}"), MOST_ERROR_TOKENS)
        return self._answered(call, turn, content, code, started)

    def _answered(self, call: ToolCall, turn: Turn, content: Content, code: str | None, started: float) -> Message:
        """The tool message; the call is recorded."""
        latency_ms = round((self._clock.monotonic() - started) * 1000, 3)
        turn.record("tool_call", {**_about(call, turn), "ok": code is None, "error": code, "latency_ms": latency_ms})
        return Message("tool", content, tool_call_id=call.id, name=call.name)

    async def _call(self, turn: Turn) -> Reply:
        """The innermost handler: one call of one tool. A stream has its begin and its end."""
        call = turn.call
        assert call is not None
        if not turn.streaming:
            return await self._made(call, turn)
        await turn.emit(Delta(tool_call=call))
        started = self._clock.monotonic()

        async def end(*, ok: bool) -> None:
            latency_ms = round((self._clock.monotonic() - started) * 1000, 3)
            await turn.emit(Delta(tool_result=ToolResult(call.id, call.name, ok, latency_ms)))

        try:
            reply = await self._made(call, turn)
        except Exception:
            await end(ok=False)
            raise
        await end(ok=True)
        return reply

    async def _made(self, call: ToolCall, turn: Turn) -> Reply:
        tool = turn.callable_tools()[call.name]
        source = self._sources[tool.source or ""]
        limit = asyncio.timeout(source.timeout_seconds)
        try:
            async with limit:
                with renewable(limit, source.timeout_seconds):
                    content = await source.source.call(call, turn)
        except BaseException as error:
            if not is_fault(error):
                raise
            if limit.expired():  # whatever the tool made of being cancelled; any other TimeoutError is its own
                reason = f"the tool '{call.name}' exceeded its time limit of {source.timeout_seconds:g} s"
                raise ToolError(reason) from error
            if isinstance(error, ToolError):
                raise
            raise ToolError(f"the tool '{call.name}' failed: {describe(error)}") from error
        if isinstance(content, str):
            content = _cut(without_lone_surrogates(content), source.max_result_tokens)
        elif isinstance(content, tuple) and all(map(_is_part, content)):
            content = _bounded(content, source.max_result_tokens)
        else:
            raise ToolError(f"the tool '{call.name}' returned {type(content).__name__} instead of text or parts")
        return Reply(Message("tool", content, tool_call_id=call.id, name=call.name))


def shorter_result(messages: Sequence[Message], exchange: Sequence[Message]) -> tuple[Message, Message] | None:
    """The longest result of an open exchange, and the same cut to half its length; None where all are short."""
    present = {id(message) for message in messages}
    results = [message for message in exchange if message.role == "tool" and id(message) in present]
    longest = max(results, key=lambda message: message.tokens, default=None)
    if longest is None or longest.tokens < LEAST_RESULT_TOKENS:
        return None
    if not longest.is_text():  # images cannot be cut: the text alone is most often short enough
        return longest, evolve(longest, content=f"{longest.text()}\n[images are left out: there is no room for them]")
    return longest, evolve(longest, content=_cut(longest.text(), longest.tokens // 2))


def _source(node: Node, source: ToolSource) -> _Source:
    config: Any = node.config
    return _Source(source, config.timeout_seconds, config.max_result_tokens)


def _check(call: ToolCall, turn: Turn) -> None:
    """Raises ToolError for a call that must not reach a tool."""
    if call.name != deferred_tools.CALL_TOOL.name and not allowed(call.name, turn.settings.limits):
        raise ToolError(f"the tool '{call.name}' is not allowed")
    offered = turn.callable_tools()
    if turn.deferred is not None and (call.name in offered or call.name == deferred_tools.CALL_TOOL.name):
        deferred_tools.check(call, turn)
    if call.name not in offered:
        raise ToolError(f"there is no tool '{call.name}'; {suggest(call.name, map(api_tool_name, offered))}")
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError as error:
        raise ToolError(f"the arguments of '{call.name}' are not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ToolError(f"the arguments of '{call.name}' are not a JSON object")


def _about(call: ToolCall, turn: Turn) -> Mapping[str, Any]:
    """The tool that was called, and its rank in the turn's selection; None where it was offered for an earlier message.

    An unknown tool is recorded without its name, which may be anything.
    """
    selected = () if turn.selection is None else turn.selection.offered
    rank = selected.index(call.name) if call.name in selected else None
    tool = turn.callable_tools().get(call.name) or next((tool for tool in turn.tools if tool.name == call.name), None)
    if tool is not None:
        return {"tool": tool.name, "source": tool.source, "rank": rank, "price_usd": tool.cost_usd}
    return {"tool": None, "source": None, "rank": None, "price_usd": None}


def _cut(text: str, most_tokens: int) -> str:
    """The text, or its beginning with a last line that says so."""
    if text_tokens(text) <= most_tokens:
        return text
    return f"{text[: most_tokens * CHARACTERS_PER_TOKEN]}\n[cut: only the first {most_tokens:,} tokens are shown]"


def _bounded(parts: tuple[Part, ...], most_tokens: int) -> Content:
    """The parts within the limit, in their order: texts are cut, and the number of images that are left out is added."""
    bounded: list[Part] = []
    left_out: Counter[str] = Counter()
    room, images = most_tokens, 0
    for part in parts:
        tokens = Message("tool", (part,)).tokens - MESSAGE_OVERHEAD
        if not is_image(part):
            if room > 0:
                bounded.append(text_part(_cut(without_lone_surrogates(part["text"]), room)))
        elif (reason := _too_much(part, tokens, room, images)) is not None:
            left_out[reason] += 1
            continue
        else:
            images += 1
            bounded.append(part)
        room -= tokens
    bounded += [text_part(f"[images that are left out: {number}; {reason}]") for reason, number in left_out.items()]
    return tuple(bounded) if images else "\n".join(part["text"] for part in bounded)


def _too_much(part: Part, tokens: int, room: int, images: int) -> str | None:
    """Why an image is left out; None where it is shown."""
    if images == MOST_IMAGES:
        return f"only the first {MOST_IMAGES} are shown"
    if len(part["image_url"]["url"]) > MOST_IMAGE_BYTES * 4 // 3 + 100:
        return f"more than {MOST_IMAGE_BYTES:,} bytes"
    return "the tool's max_result_tokens are used up" if tokens > room else None


def _is_part(part: object) -> bool:
    """Whether the part is one that a result may have: text, or an image that is written into it."""
    if not isinstance(part, Mapping):
        return False
    return is_image(part) or (part.get("type") == "text" and isinstance(part.get("text"), str))
