"""The model loop: a model answers or calls tools, and is called again with their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve

from victor_dsl.runtime.model_calls import ModelCalls
from victor_dsl.runtime.tool_calls import ToolCalls, incomplete_calls
from victor_dsl.values.message import Message, Reply, ToolCall
from victor_dsl.values.settings import MOST_TOOL_CALLS
from victor_dsl.values.turn import Turn

NO_MORE_ROUNDS = "Error: no more tools can be called in this turn; answer with what is known."
TOO_MANY_CALLS = (
    "Error: not run: only the first {most} calls of one answer are made; make this one again if it is still needed."
)
NOT_ALONE = "Error: this tool is answered by the caller and was not called; call it again, without other tools."
UNKNOWN_RESULT = "Error: the turn failed before this tool's result was known."


class ModelLoop:
    """Answers a composed turn with a plan's models and tools."""

    def __init__(self, models: ModelCalls, tools: ToolCalls) -> None:
        self._models = models
        self._tools = tools

    async def answer(self, turn: Turn) -> Reply:
        """The final reply, with the usage of all model calls. Raises ModelError when no model answered.

        The model may call tools `max_tool_rounds` times, `max_tool_calls` of them at a time; the request after the last round forbids them. If the model then
        still calls some, the results say that it cannot, and it has one more call to answer; `stop_reason` is
        `max_tool_rounds`. Calls of the caller's own tools end the turn. `tool_choice` holds for the first answer.
        """
        trace, most_rounds = turn.trace, turn.settings.max_tool_rounds
        streamed = trace.streamed
        rounds = 0
        while True:
            reply, turn = await self._models.answer(_with_tool_choice(turn, rounds))
            streamed.end_answer()
            if len(reply.message.tool_calls) > MOST_TOOL_CALLS:  # of a component that does not limit them itself
                few = reply.message.tool_calls[:MOST_TOOL_CALLS]
                reply = evolve(reply, message=evolve(reply.message, tool_calls=few, extra=None))
            calls = reply.message.tool_calls
            if not calls:
                if rounds == 0 and reply.usage is trace.usage:  # as in most turns
                    return reply
                stop_reason = "max_tool_rounds" if rounds > most_rounds else reply.stop_reason
                return evolve(reply, usage=trace.usage, stop_reason=stop_reason)
            offered = turn.callable_tools()
            trace.used += tuple(call.name for call in calls if call.name in offered)
            if rounds > most_rounds:
                message = evolve(reply.message, tool_calls=(), content=reply.message.content or "")
                return evolve(reply, message=message, usage=trace.usage, stop_reason="max_tool_rounds")
            callers = [call for call in calls if call.name in offered and offered[call.name].source is None]
            if turn.deferred is not None:
                callers = [call for call in callers if call.name in trace.found_tools]
            incomplete = incomplete_calls(reply)
            if len(callers) == len(calls) and not incomplete:
                return evolve(reply, usage=trace.usage, stop_reason="tool_calls")
            try:
                results = await self._results(calls, callers, incomplete, turn, last=rounds == most_rounds)
            except BaseException:
                trace.exchange += (reply.message, *(_result(call, UNKNOWN_RESULT) for call in calls))
                raise
            added = (reply.message, *results)
            rounds += 1
            trace.exchange += added
            turn = await self._models.fit_results(turn.replace(messages=turn.messages + added))

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
        turn.trace.ran_tools = turn.trace.ran_tools or bool(own)
        most = turn.settings.max_tool_calls
        answers = await self._tools.answer(own[:most], turn, incomplete)
        answered = iter((*answers, *self._tools.refuse(own[most:], turn, TOO_MANY_CALLS.format(most=most))))
        return tuple(_result(call, refused[call]) if call in refused else next(answered) for call in calls)


def _with_tool_choice(turn: Turn, rounds: int) -> Turn:
    """The turn with the `tool_choice` of its next request: the setting for the first answer to the user, then the model's own choice.

    After the last round it is `none`, unless the caller has tools too, which no limit of rounds counts.
    """
    settings = turn.settings
    first = rounds == 0 and (turn.is_first_answer or "tool_choice" in turn.request.settings)
    choice = settings.tool_choice if first else None
    if choice is None and rounds >= settings.max_tool_rounds and turn.tools:
        choice = None if any(tool.source is None for tool in turn.callable_tools().values()) else "none"
    return turn if choice == settings.tool_choice else turn.replace(settings=settings.replace(tool_choice=choice))


def _result(call: ToolCall, text: str) -> Message:
    return Message("tool", text, tool_call_id=call.id, name=call.name)
