"""One answer of a model: the attempts by the first model and its fallbacks, each made to fit and recorded with what it used."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve

from victor_dsl.errors import BudgetError, ComponentError, ModelError, VictorError
from victor_dsl.language.boundary import internal_error, is_unforeseen
from victor_dsl.language.component import Clock
from victor_dsl.language.config import ModelConfig
from victor_dsl.language.kinds import Model, ModelPool
from victor_dsl.runtime import deferred_tools
from victor_dsl.runtime.context_window import Estimate
from victor_dsl.runtime.coordinators.analytics import error_data
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.middleware import Layer, chain
from victor_dsl.runtime.streaming import Attempt, note_reached
from victor_dsl.runtime.tool_calls import shorter_result
from victor_dsl.values.message import NO_USAGE, Reply, Usage
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.turn import Handler, Turn

TOOLS_IGNORED = "the model counts far fewer tokens than the tools have: its server seems to drop them, as a chat template without tools does"

logger = logging.getLogger("victor_dsl")


class ModelCalls:
    """Asks a plan's models, which have their Configs under the same names. `context` makes a turn fit a model's window."""

    def __init__(
        self,
        models: Mapping[str, Model],
        configs: Mapping[str, ModelConfig],
        context: ContextCoordinator,
        middleware: Sequence[Layer],
        clock: Clock,
        config: ConfigCoordinator,
    ) -> None:
        self._models = models
        self._prices = {name: one.price() for name, one in configs.items()}
        self._telemetry = {name: one.telemetry() for name, one in configs.items()}
        self._loading = frozenset(name for name, one in configs.items() if one.loads_tools())
        self._most_tools = {name: one.most_tools() for name, one in configs.items()}
        self._pools = frozenset(name for name, model in models.items() if isinstance(model, ModelPool))
        self._context = context
        self._handler = chain(middleware, self._call)
        self._clock = clock
        self._config = config

    async def fit(self, turn: Turn) -> Turn:
        """The turn as it goes to the first of its models whose window can hold it.

        Raises the BudgetError of the model with the largest window where none can.
        """
        first = turn.settings.model
        try:
            return await self._context.fit(turn)
        except BudgetError as error:
            errors = {first: error}
        for name in turn.settings.fallbacks or ():
            try:
                fitted = await self._context.fit(self._config.for_model(turn, name))
            except BudgetError as error:
                errors[name] = error
                continue
            turn.record("error", error_data(errors[first]))
            return fitted
        try:
            return await self.fit_results(turn)
        except BudgetError as error:
            errors[first] = error
            largest = max(errors, key=lambda name: self._context.window(name) or 0)
            raise errors[largest] from None

    async def fit_results(self, turn: Turn) -> Turn:
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

    async def answer(self, turn: Turn) -> tuple[Reply, Turn]:
        """The reply of the first model that answers, and the turn as that model got it. Raises ModelError."""
        failures: list[ModelError] = []
        failed = ""
        names = tuple(dict.fromkeys((turn.settings.model or "", *(turn.settings.fallbacks or ()))))
        for name in names:
            sent = turn
            if failures:
                if not self._may_stand_in(name, failed, failures[-1], turn):
                    continue
                fitted = await self._fit_other(turn, name)
                if fitted is None:
                    continue  # its window is too small for this turn
                sent = fitted
                turn.record("error", error_data(failures[-1]))
            try:
                if name != names[-1]:
                    sent = sent.replace(fallback_left=True)
                return await self._answer_by(sent)
            except ModelError as error:
                failures.append(error)
                failed = name
                if not turn.may_try_again:
                    break
        raise _all_failed(failures)

    async def _answer_by(self, turn: Turn) -> tuple[Reply, Turn]:
        """The reply of the turn's model; if it refuses the turn as too long, its reply to a shorter one."""
        try:
            return await self._ask_through_middleware(turn), turn
        except ModelError as error:
            shorter = await self._shorter(turn, error) if turn.may_try_again else None
            if shorter is None:
                raise
            turn.record("error", error_data(error))
        return await self._ask_through_middleware(shorter), shorter

    async def _ask_through_middleware(self, turn: Turn) -> Reply:
        return await self._handler(turn.replace(emit=partial(note_reached, turn)) if turn.streaming else turn)

    async def _shorter(self, turn: Turn, error: ModelError) -> Turn | None:
        """The turn made shorter after its model refused it as too long; None where that is not possible."""
        if not self._context.learn_refusal(turn, error):
            return None
        try:
            fitted = await self.fit_results(turn.replace(compaction=None))
        except BudgetError:
            return None
        return None if fitted.messages is turn.messages else fitted

    async def _fit_other(self, turn: Turn, name: str) -> Turn | None:
        """The turn as it goes to another model; None where that model's window cannot hold it."""
        try:
            return await self.fit_results(self._config.for_model(turn, name))
        except BudgetError:
            return None

    def _may_stand_in(self, name: str, failed: str, failure: ModelError, turn: Turn) -> bool:
        if failure.kind == "context_length":
            window, other = self._context.window(failed), self._context.window(name)
            if window is None or other is None or other > window:
                return True
            # The first may count more tokens, or know its window wrongly.
            return other == window and failure.counted is None
        return failure.kind in ModelError.STAND_IN or failure.kind in (turn.settings.fallbacks_on or ())

    async def _call(self, turn: Turn) -> Reply:
        """The innermost handler: one call of one model, or of members of a pool until one answers."""
        name = turn.settings.model or ""
        answer = self._models[name].answer
        if name not in self._pools:
            return await self._ask(name, None, answer, turn)
        try:
            reply = await answer(turn.replace(call_member=partial(self._ask, name)))
            _check(reply, f"models/{name}", turn)
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            raise internal_error(error, f"models/{name}") from error
        return evolve(reply, model=name)

    async def _ask(self, name: str, member: str | None, answer: Handler, turn: Turn) -> Reply:
        """The reply of a model, or of a member of the pool `name`. However the call ends, it is recorded with its usage."""
        node, trace = f"models/{member or name}", turn.trace
        if member is not None:
            turn = self._config.for_model(turn, name, member)
        window = self._context.model(turn)
        estimate = None if window is None else window.estimate(turn)
        called = {"model": name} if member is None else {"model": name, "member": member}
        trace.model = name
        attempt = Attempt(turn, self._clock)
        started = self._clock.monotonic()
        reply: Reply | None = None
        try:
            reply = await self._answer_of(member or name, answer, attempt.watched().with_examples())
            _check(reply, node, turn)
            await attempt.end(reply)
        except BaseException as error:
            failure: BaseException = internal_error(error, node) if is_unforeseen(error) else error
            reported = [getattr(source, "usage", None) for source in (error, reply)]  # a cancellation may have it too
            usage = next((usage for usage in reported if isinstance(usage, Usage)), NO_USAGE)
            self._record_failure(called, attempt, started, failure, usage, estimate)
            if isinstance(failure, ModelError):
                failure.node = failure.node or node
                if failure.in_tool_call and trace.streamed.text and turn.settings.broken_stream == "continue":
                    trace.streamed.stuck = True
            if failure is error:
                raise
            raise failure from error
        trace.usage += reply.usage
        if window is not None and estimate is not None:
            window.learn(turn, estimate.size, reply.usage.input_tokens)
            if window.ignores_tools(turn, reply.usage.input_tokens):
                turn.record("error", ComponentError(TOOLS_IGNORED, node=node).to_dict())
                logger.warning("%s: %s", node, TOOLS_IGNORED)
        usage, estimated = reply.usage, _estimated(reply.usage, estimate)
        tokens = usage.tokens_json()
        data = {
            **called,
            **self._telemetry.get(member or name, {}),
            **self._timing(started, attempt),
            "response_model": reply.response_model,
            "stop_reason": reply.stop_reason,
            "error": None,
            **tokens,
            "cost_usd": usage.cost_shown,
            **estimated,
        }
        if window is not None and window.was_full(reply, turn.settings.max_tokens):
            data["window_full"] = True
        turn.record("model_call", data)
        turn.record("token_usage", {**called, **tokens, **estimated})
        return Reply(reply.message, usage, reply.stop_reason, reply.response_model, name)

    async def _answer_of(self, name: str, answer: Handler, turn: Turn) -> Reply:
        """The model's answer; deferred tools go to it as its provider can load them, and come back under their own names."""
        if turn.deferred is None:
            if (most := self._most_tools.get(name)) is not None and len(turn.tools) > most:
                raise ModelError(
                    f"{len(turn.tools)} tools are offered, but the model accepts {most}",
                    kind="bad_request",
                    hint="set `k` and `most` in `tool_selection`, so that the best ones are offered, or use its type `deferred`",
                )
            return await answer(turn)
        if name in self._loading:
            reply = await answer(deferred_tools.for_loading(turn))
            if isinstance(reply, Reply):
                deferred_tools.loaded(reply.message.tool_calls, turn)
            return reply
        reply = await answer(deferred_tools.for_search(turn))
        return deferred_tools.with_real_calls(reply) if isinstance(reply, Reply) else reply

    def _record_failure(
        self,
        called: Mapping[str, str],
        attempt: Attempt,
        started: float,
        error: BaseException,
        reported: Usage,
        estimate: Estimate | None,
    ) -> None:
        turn = attempt.turn
        cancelled = not isinstance(error, VictorError)
        begun = attempt.written or reported != NO_USAGE or cancelled
        name = called.get("member", called["model"])
        usage = self._completed(name, reported, attempt, estimate) if begun else None
        about = self._telemetry.get(name, {})
        data = {**called, **about, **self._timing(started, attempt), "error": _word(error)}
        if isinstance(error, ModelError):
            data["status"] = error.status
        if usage is not None:
            turn.trace.usage += usage
            turn.record("token_usage", {**called, **usage.tokens_json()})
            data |= usage.as_json()
        turn.record("model_call", data)

    def _completed(self, name: str, usage: Usage, attempt: Attempt, estimate: Estimate | None) -> Usage:
        """What a failed call used: as reported, else estimated."""
        if usage.output_tokens is None:
            usage = evolve(usage, output_tokens=text_tokens("".join(attempt.written)), estimated=True)
        if usage.input_tokens is None and estimate is not None:
            usage = evolve(usage, input_tokens=estimate.tokens, estimated=True)
        if usage.cost_usd is None and usage.input_tokens is not None and (price := self._prices.get(name)) is not None:
            cost = (usage.input_tokens * price[0] + (usage.output_tokens or 0) * price[1]) / 1_000_000
            usage = evolve(usage, cost_usd=cost, estimated=True)
        return usage

    def _timing(self, started: float, attempt: Attempt) -> dict[str, Any]:
        """A call's times; `ttft_ms` is the time to the first text or thought, None where nothing was streamed."""
        return {
            "latency_ms": round((self._clock.monotonic() - started) * 1000, 3),
            "ttft_ms": None if attempt.first is None else round((attempt.first - started) * 1000, 3),
        }


def _check(reply: Reply, node: str, turn: Turn) -> None:
    """Raises ModelError for an answer with nothing in it; after a tool's result that may be all there is to say."""
    if not isinstance(reply, Reply):
        raise ComponentError(f"the model returned {type(reply).__name__} instead of a Reply", node=node)
    if not isinstance(reply.usage, Usage):
        raise ComponentError(f"the model's Reply has {type(reply.usage).__name__} instead of a Usage", node=node)
    refuses = reply.stop_reason == "content_filter"
    if refuses and turn.fallback_left and turn.may_try_again and "content_filter" in (turn.settings.fallbacks_on or ()):
        raise ModelError("the provider refused the content", kind="content_filter", node=node, usage=reply.usage)
    if reply.message.tool_calls or reply.message.content or refuses:
        return
    if reply.stop_reason != "stop" or not turn.messages or turn.messages[-1].role != "tool":
        raise ModelError("returned an empty answer", kind="bad_response", node=node, usage=reply.usage)


def _word(error: BaseException) -> str:
    """What went wrong, for events."""
    if isinstance(error, ModelError):
        return error.kind
    return error.code if isinstance(error, VictorError) else "cancelled"


def _estimated(usage: Usage, estimate: Estimate | None) -> dict[str, Any]:
    """The input that was expected, and how far that was off; nothing where none was expected."""
    if estimate is None:
        return {}
    return {"estimated_tokens": estimate.tokens, "estimate_error": estimate.error(usage.input_tokens)}


def _all_failed(failures: Sequence[ModelError]) -> ModelError:
    first = failures[0]
    if len(failures) == 1:
        return first
    reasons = "; ".join(str(failure) for failure in failures)
    waits = [failure.retry_after_s for failure in failures if failure.retry_after_s is not None]
    combined = ModelError(
        f"no model answered: {reasons}", kind=first.kind, status=first.status, retry_after_s=min(waits, default=None)
    )
    combined.__cause__ = first
    return combined
