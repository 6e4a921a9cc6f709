"""Answers a composed turn: the model, its tools, the model again, and the models that stand in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve

from victor_dsl.errors import BudgetError, ComponentError, ModelError, VictorError
from victor_dsl.language.component import Clock
from victor_dsl.language.kinds import Model
from victor_dsl.runtime.boundary import component_error, is_fault
from victor_dsl.runtime.coordinators.analytics import error_data
from victor_dsl.runtime.middleware import Layer, chain
from victor_dsl.runtime.tool_calls import ToolCalls
from victor_dsl.runtime.windows import Estimated, Windows
from victor_dsl.values.message import Delta, Message, Reply, ToolCall
from victor_dsl.values.turn import Emit, Turn

NO_MORE_ROUNDS = "Error: no more tools can be called in this turn; answer with what is known."
NOT_ALONE = "Error: this tool is answered by the caller and was not called; call it again, without other tools."


@define
class _Stream:
    """Whether and when a model's first piece went out."""

    emit: Emit
    clock: Clock
    first: float | None = None

    async def pass_on(self, delta: Delta) -> None:
        if self.first is None:
            self.first = self.clock.monotonic()
        await self.emit(delta)


class Answering:
    """A plan's models and tools; `windows` makes turns fit the models."""

    def __init__(
        self,
        models: Mapping[str, Model],
        windows: Windows,
        middleware: Sequence[Layer],
        tools: ToolCalls,
        clock: Clock,
    ) -> None:
        self._models = models
        self._windows = windows
        self._handler = chain(middleware, self._call)
        self._tools = tools
        self._clock = clock

    async def answer(self, turn: Turn) -> Reply:
        """The final reply, with the usage of all model calls. Raises ModelError when no model answered.

        The model may call tools `max_tool_rounds` times. When it then still wants one it is told that it cannot, and
        has one more call to answer; `stop_reason` is `max_tool_rounds`. Calls of the caller's own tools end the turn.
        """
        trace = turn.trace
        rounds = 0
        while True:
            reply, turn = await self._ask(turn)
            calls = reply.message.tool_calls
            if calls:
                offered = {tool.name for tool in turn.tools}
                trace.used += tuple(call.name for call in calls if call.name in offered)
            if rounds > turn.settings.max_tool_rounds:
                return Reply(_without_calls(reply.message), trace.usage, "max_tool_rounds", reply.model)
            theirs = _callers(calls, turn)
            if not calls or len(theirs) == len(calls):
                return Reply(reply.message, trace.usage, "tool_calls" if calls else reply.stop_reason, reply.model)
            results = await self._results(calls, theirs, turn, last=rounds == turn.settings.max_tool_rounds)
            rounds += 1
            added = (reply.message, *results)
            trace.exchange += added
            turn = await self._windows.fit(turn.replace(messages=turn.messages + added))

    async def _results(
        self, calls: Sequence[ToolCall], theirs: Sequence[ToolCall], turn: Turn, *, last: bool
    ) -> tuple[Message, ...]:
        if last:
            return tuple(_result(call, NO_MORE_ROUNDS) for call in calls)
        if not theirs:
            return await self._tools.answer(calls, turn)
        own = [call for call in calls if call not in theirs]
        answered = iter(await self._tools.answer(own, turn))
        return tuple(_result(call, NOT_ALONE) if call in theirs else next(answered) for call in calls)

    async def _ask(self, turn: Turn) -> tuple[Reply, Turn]:
        """The reply of the first model that answers, and the turn as it was put to that one."""
        failures: list[ModelError] = []
        failed = ""
        for name in dict.fromkeys((turn.settings.model or "", *(turn.settings.fallbacks or ()))):
            asked = turn
            if failures:
                if not self._may_stand_in(name, failed, failures[-1]):
                    continue
                try:
                    asked = await self._windows.fit(turn.replace(settings=evolve(turn.settings, model=name)))
                except BudgetError:
                    continue  # its window is too small for this turn
                turn.record("error", error_data(failures[-1]))
            stream = _Stream(turn.emit, self._clock)
            try:
                return await self._put(asked, stream)
            except ModelError as error:
                if stream.first is not None:
                    raise
                failures.append(error)
                failed = name
        raise _all_failed(failures)

    async def _put(self, turn: Turn, stream: _Stream) -> tuple[Reply, Turn]:
        """The reply of the turn's model; where that refuses the turn as too long, once more to a shorter one."""
        try:
            return await self._handler(turn.replace(emit=stream.pass_on) if turn.streaming else turn), turn
        except ModelError as error:
            shorter = None if stream.first is not None else await self._windows.shorter(turn, error)
            if shorter is None:
                raise
            turn.record("error", error_data(error))
        return await self._handler(shorter.replace(emit=stream.pass_on) if turn.streaming else shorter), shorter

    def _may_stand_in(self, name: str, failed: str, failure: ModelError) -> bool:
        if failure.kind == "context_length":
            ours, theirs = self._windows.of(failed), self._windows.of(name)
            return ours is not None and theirs is not None and theirs > ours
        return failure.transient or failure.kind == "authentication"

    async def _call(self, turn: Turn) -> Reply:
        """The innermost handler: one call of one model."""
        name = turn.settings.model or ""
        counted = self._windows.model(turn)
        estimated = None if counted is None else counted.estimate(turn)
        started = self._clock.monotonic()
        stream = _Stream(turn.emit, self._clock)
        try:
            reply = await self._models[name].answer(turn.replace(emit=stream.pass_on) if turn.streaming else turn)
            if not isinstance(reply, Reply):
                raise ComponentError(f"the model gave {type(reply).__name__} instead of a reply", node=f"models/{name}")
            if not reply.message.tool_calls and not reply.message.content and reply.stop_reason != "content_filter":
                raise ModelError("gave an empty answer", kind="bad_response", node=f"models/{name}")
        except ModelError as error:
            error.node = error.node or f"models/{name}"
            turn.record(
                "model_call", {**self._timing(name, started, stream.first), "error": error.kind, "status": error.status}
            )
            raise
        except BaseException as error:
            if isinstance(error, VictorError) or not is_fault(error):
                raise
            raise component_error(error, f"models/{name}") from error
        usage, trace = reply.usage, turn.trace
        trace.usage += usage
        trace.model = name
        if counted is not None and estimated is not None:
            counted.learn(turn, estimated.size, usage.input_tokens)
        tokens = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cost_usd": usage.cost_shown,
            **_estimate(estimated, usage.input_tokens),
        }
        about = {"response_model": reply.model, "stop_reason": reply.stop_reason, "error": None}
        turn.record("model_call", {**self._timing(name, started, stream.first), **about, **tokens})
        turn.record("token_usage", {"model": name, **tokens})
        return reply

    def _timing(self, model: str, started: float, first: float | None) -> dict[str, Any]:
        """The model and its times; `ttft_ms` is the time to the first piece, where one was streamed."""
        return {
            "model": model,
            "latency_ms": round((self._clock.monotonic() - started) * 1000, 3),
            "ttft_ms": None if first is None else round((first - started) * 1000, 3),
        }


def _estimate(estimated: Estimated | None, reported: int | None) -> dict[str, Any]:
    """What was expected of a call's input tokens, and how far that was off."""
    if estimated is None:
        return {}
    return {"estimated_tokens": estimated.tokens, "estimate_error": estimated.error(reported)}


def _callers(calls: Sequence[ToolCall], turn: Turn) -> list[ToolCall]:
    """The calls of tools that came with the request, which the caller answers."""
    if not calls or not turn.request.tools:
        return []
    theirs = {tool.name for tool in turn.tools if tool.source is None}
    return [call for call in calls if call.name in theirs]


def _result(call: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=call.id, name=call.name)


def _without_calls(message: Message) -> Message:
    return evolve(message, tool_calls=(), content=message.content or "") if message.tool_calls else message


def _all_failed(failures: Sequence[ModelError]) -> ModelError:
    first = failures[0]
    if len(failures) == 1:
        return first
    told = "; ".join(str(failure) for failure in failures)
    combined = ModelError(f"no model answered: {told}", kind=first.kind, status=first.status)
    combined.__cause__ = first
    return combined
