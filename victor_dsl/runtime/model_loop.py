"""The model loop: a model answers or calls tools, and is called again with their results; fallbacks stand in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, evolve

from victor_dsl.errors import BudgetError, ComponentError, ModelError
from victor_dsl.language.boundary import internal_error, is_unforeseen
from victor_dsl.language.component import Clock
from victor_dsl.language.kinds import Model, ModelPool
from victor_dsl.runtime.context_window import Estimate
from victor_dsl.runtime.coordinators.analytics import error_data
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.middleware import Layer, chain
from victor_dsl.runtime.tool_calls import ToolCalls, incomplete_calls, shorter_result
from victor_dsl.values.message import Delta, Message, Reply, ToolCall
from victor_dsl.values.turn import Handler, Turn

NO_MORE_ROUNDS = "Error: no more tools can be called in this turn; answer with what is known."
NOT_ALONE = "Error: this tool is answered by the caller and was not called; call it again, without other tools."


class ModelLoop:
    """Answers a composed turn with a plan's models and tools; `context` makes it fit each model's window."""

    def __init__(
        self,
        models: Mapping[str, Model],
        context: ContextCoordinator,
        middleware: Sequence[Layer],
        tools: ToolCalls,
        clock: Clock,
        config: ConfigCoordinator,
    ) -> None:
        self._models = models
        self._pools = frozenset(name for name, model in models.items() if isinstance(model, ModelPool))
        self._context = context
        self._handler = chain(middleware, self._call)
        self._tools = tools
        self._clock = clock
        self._config = config

    async def answer(self, turn: Turn) -> Reply:
        """The final reply, with the usage of all model calls. Raises ModelError when no model answered.

        The model may call tools `max_tool_rounds` times. If it then still calls some, the results say that it cannot, and
        it has one more call to answer; `stop_reason` is `max_tool_rounds`. Calls of the caller's own tools end the turn.
        """
        trace, most_rounds = turn.trace, turn.settings.max_tool_rounds
        rounds = 0
        while True:
            reply, turn = await self._first_answer(turn)
            calls = reply.message.tool_calls
            if not calls:
                stop_reason = "max_tool_rounds" if rounds > most_rounds else reply.stop_reason
                return Reply(reply.message, trace.usage, stop_reason, reply.response_model, trace.model)
            offered = {tool.name: tool for tool in turn.tools}
            trace.used += tuple(call.name for call in calls if call.name in offered)
            if rounds > most_rounds:
                message = evolve(reply.message, tool_calls=(), content=reply.message.content or "")
                return Reply(message, trace.usage, "max_tool_rounds", reply.response_model, trace.model)
            callers = [call for call in calls if call.name in offered and offered[call.name].source is None]
            incomplete = incomplete_calls(reply)
            if len(callers) == len(calls) and not incomplete:
                return Reply(reply.message, trace.usage, "tool_calls", reply.response_model, trace.model)
            added = (reply.message, *await self._results(calls, callers, incomplete, turn, last=rounds == most_rounds))
            rounds += 1
            trace.exchange += added
            turn = await self._fit_results(turn.replace(messages=turn.messages + added))

    async def _results(
        self,
        calls: Sequence[ToolCall],
        callers: Sequence[ToolCall],
        incomplete: Mapping[ToolCall, str],
        turn: Turn,
        *,
        last: bool,
    ) -> tuple[Message, ...]:
        """A result for each call; `callers` are those that the caller would answer, if they were alone."""
        if last:
            return tuple(_result(call, NO_MORE_ROUNDS) for call in calls)
        refused = {call: f"Error: {incomplete[call]}" if call in incomplete else NOT_ALONE for call in callers}
        own = [call for call in calls if call not in refused]
        answered = iter(await self._tools.answer(own, turn, incomplete))
        return tuple(_result(call, refused[call]) if call in refused else next(answered) for call in calls)

    async def _fit_results(self, turn: Turn) -> Turn:
        """The turn made to fit its model; the results of the open exchange, which must stay, are cut where they are too long."""
        trace = turn.trace
        while True:
            try:
                return await self._context.fit(turn)
            except BudgetError:
                if (cut := shorter_result(turn.messages, trace.exchange)) is None:
                    raise
            long, short = cut
            trace.exchange = tuple(short if message is long else message for message in trace.exchange)
            turn = turn.replace(messages=tuple(short if message is long else message for message in turn.messages))

    async def _first_answer(self, turn: Turn) -> tuple[Reply, Turn]:
        """The reply of the first model that answers, and the turn as that model got it."""
        failures: list[ModelError] = []
        failed = ""
        for name in dict.fromkeys((turn.settings.model or "", *(turn.settings.fallbacks or ()))):
            attempt = turn
            if failures:
                if not self._may_stand_in(name, failed, failures[-1]):
                    continue
                try:
                    attempt = await self._context.fit(self._config.for_model(turn, name))
                except BudgetError:
                    continue  # its window is too small for this turn
                turn.record("error", error_data(failures[-1]))
            stream = _Stream(turn, self._clock)
            try:
                return await self._try(attempt, stream)
            except ModelError as error:
                if stream.first is not None:
                    raise
                failures.append(error)
                failed = name
        raise _all_failed(failures)

    async def _try(self, turn: Turn, stream: _Stream) -> tuple[Reply, Turn]:
        """The reply of the turn's model; if it refuses the turn as too long, its reply to a shorter one."""
        try:
            return await self._handler(stream.watch(turn)), turn
        except ModelError as error:
            shorter = None if stream.first is not None else await self._context.shorter(turn, error)
            if shorter is None:
                raise
            turn.record("error", error_data(error))
        return await self._handler(stream.watch(shorter)), shorter

    def _may_stand_in(self, name: str, failed: str, failure: ModelError) -> bool:
        if failure.kind == "context_length":
            window, larger = self._context.window(failed), self._context.window(name)
            return window is not None and larger is not None and larger > window
        return failure.kind in ModelError.STAND_IN

    async def _call(self, turn: Turn) -> Reply:
        """The innermost handler: one call of one model, or of members of a pool until one answers."""
        name = turn.settings.model or ""
        answer = self._models[name].answer
        if name not in self._pools:
            return await self._ask(name, None, answer, turn)
        try:
            reply = await answer(turn.replace(call_member=partial(self._ask, name)))
            _check(reply, f"models/{name}")
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            raise internal_error(error, f"models/{name}") from error
        return evolve(reply, model=name)

    async def _ask(self, name: str, member: str | None, answer: Handler, turn: Turn) -> Reply:
        """The reply of a model, or of a member of the pool `name`; the call is recorded."""
        node = f"models/{member or name}"
        if member is not None:
            turn = self._config.for_model(turn, name, member)
        window = self._context.model(turn)
        estimate = None if window is None else window.estimate(turn)
        called = {"model": name} if member is None else {"model": name, "member": member}
        stream = _Stream(turn, self._clock)
        started = self._clock.monotonic()
        try:
            reply = await answer(stream.watch(turn))
            _check(reply, node)
        except ModelError as error:
            error.node = error.node or node
            failure = {"error": error.kind, "status": error.status}
            turn.record("model_call", {**called, **self._timing(started, stream), **failure})
            raise
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            raise internal_error(error, node) from error
        trace = turn.trace
        trace.usage += reply.usage
        trace.model = name
        reply = evolve(reply, model=name)
        if window is not None and estimate is not None:
            window.learn(turn, estimate.size, reply.usage.input_tokens)
        tokens = _tokens(reply, estimate)
        about = {"response_model": reply.response_model, "stop_reason": reply.stop_reason, "error": None}
        turn.record("model_call", {**called, **self._timing(started, stream), **about, **tokens})
        turn.record("token_usage", {**called, **tokens})
        return reply

    def _timing(self, started: float, stream: _Stream) -> dict[str, Any]:
        """A call's times; `ttft_ms` is the time to the first piece, None where none was streamed."""
        return {
            "latency_ms": round((self._clock.monotonic() - started) * 1000, 3),
            "ttft_ms": None if stream.first is None else round((stream.first - started) * 1000, 3),
        }


@define
class _Stream:
    """Notes when a model's first piece goes out."""

    turn: Turn
    clock: Clock
    first: float | None = None

    def watch(self, turn: Turn) -> Turn:
        """The turn with an `emit` that is watched, where anyone listens."""
        return turn.replace(emit=self._emit) if turn.streaming else turn

    async def _emit(self, delta: Delta) -> None:
        if self.first is None:
            self.first = self.clock.monotonic()
        await self.turn.emit(delta)


def _check(reply: Reply, node: str) -> None:
    if not isinstance(reply, Reply):
        raise ComponentError(f"the model returned {type(reply).__name__} instead of a Reply", node=node)
    if not reply.message.tool_calls and not reply.message.content and reply.stop_reason != "content_filter":
        raise ModelError("returned an empty answer", kind="bad_response", node=node)


def _tokens(reply: Reply, estimate: Estimate | None) -> dict[str, Any]:
    """What a call used, and where it was estimated, the estimate's error."""
    usage = reply.usage
    tokens = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_shown,
    }
    if estimate is not None:
        tokens["estimated_tokens"] = estimate.tokens
        tokens["estimate_error"] = estimate.error(usage.input_tokens)
    return tokens


def _result(call: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=call.id, name=call.name)


def _all_failed(failures: Sequence[ModelError]) -> ModelError:
    first = failures[0]
    if len(failures) == 1:
        return first
    reasons = "; ".join(str(failure) for failure in failures)
    combined = ModelError(f"no model answered: {reasons}", kind=first.kind, status=first.status)
    combined.__cause__ = first
    return combined
