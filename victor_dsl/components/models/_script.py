"""The live `scripted` model, and how it reads a recording."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from victor_dsl.components.models._estimate import Estimate
from victor_dsl.components.models._steps import Failure, Step
from victor_dsl.components.models._words import say
from victor_dsl.errors import ComponentError, ModelError
from victor_dsl.language.component import Context
from victor_dsl.values.message import Message, Reply, StopReason, ToolCall, Usage
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.models.scripted import Config

SESSIONS = 100_000
"""How many sessions' places are kept; beyond that, the one that was silent longest begins anew."""

Place = tuple[str | None, str, str | None]


class Scripted:
    """Answers from a script. Each session has its own place in it, and one more for each `request` that it meets."""

    def __init__(self, steps: Iterable[Step], config: Config, context: Context) -> None:
        self._steps: dict[str | None, list[Step]] = {}
        for step in steps:
            self._steps.setdefault(step.request, []).append(step)
        self._end = config.end
        self._context = context
        self._price = config.price()
        self._estimate = Estimate(config)
        self._places: OrderedDict[Place, int] = OrderedDict()

    async def answer(self, turn: Turn) -> Reply:
        """The next answer of the session's script. Raises the ModelError that the script asks for."""
        request = turn.latest_user_text()
        key = request if request in self._steps else None
        step, number = self._next((turn.tenant, turn.session, key))
        if step.delay_seconds:
            await self._context.clock.sleep(step.delay_seconds)
        if step.content and turn.streaming:
            await say(step.content, turn)
        if step.error is not None:
            raise self._failure(step.error)
        calls = tuple(
            ToolCall(call.id or f"call_{number}_{index}", call.name, _text(call.arguments))
            for index, call in enumerate(step.tool_calls)
        )
        message = Message("assistant", step.content if step.content or calls else "", calls)
        stop: StopReason = step.stop_reason or ("tool_calls" if calls else "stop")
        return Reply(message, self._usage(step, turn, message), stop)

    def _next(self, place: Place) -> tuple[Step, int]:
        steps = self._steps.get(place[2], [])
        number = self._places.pop(place, 0)
        self._places[place] = number + 1
        if len(self._places) > SESSIONS:
            self._places.popitem(last=False)
        if number < len(steps):
            return steps[number], number
        if not steps or self._end == "fail":
            what = "the script has ended" if steps else "the script has no answer to this request"
            raise ModelError(
                what, kind="bad_request", node=self._context.node, hint="add to `replies`, or change `end`"
            )
        return (steps[-1] if self._end == "repeat" else steps[number % len(steps)]), number

    def _failure(self, failure: Failure) -> ModelError:
        return ModelError(
            failure.message,
            kind=failure.kind,
            node=self._context.node,
            status=failure.status,
            retry_after_s=failure.retry_after_seconds,
        )

    def _usage(self, step: Step, turn: Turn, message: Message) -> Usage:
        told = step.usage
        if told is None:
            return self._estimate.usage(turn, message)
        cost = None
        if self._price is not None and told.input_tokens is not None and told.output_tokens is not None:
            cost = (told.input_tokens * self._price[0] + told.output_tokens * self._price[1]) / 1_000_000
        return Usage(told.input_tokens, told.output_tokens, cost, told.cached_tokens)


@asynccontextmanager
async def scripted(config: Config, context: Context) -> AsyncIterator[Scripted]:
    """The live model. Raises ComponentError for a recording that cannot be read."""
    steps = (config.replies or []) if config.path is None else read(Path(config.path), context.node)
    yield Scripted(steps, config, context)


def read(path: Path, node: str) -> list[Step]:
    """The steps of a recording. Raises ComponentError with the file and line at fault."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ComponentError(f"the recording {path} cannot be read: {error.strerror}", node=node) from error
    steps = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                steps.append(Step.model_validate(_step(orjson.loads(line))))
            except orjson.JSONDecodeError as error:
                raise ComponentError(f"{path}:{number}: not JSON: {error}", node=node) from error
            except (ValidationError, LookupError, TypeError, AttributeError) as error:
                raise ComponentError(f"{path}:{number}: {_why(error)}", node=node) from error
    if not steps:
        raise ComponentError(f"the recording {path} is empty", node=node)
    return steps


def _step(line: Any) -> dict[str, Any]:
    """A line as the fields of a Step."""
    if "reply" in line:
        return {**_step(line["reply"]), "request": line.get("request")}
    step = {key: value for key, value in line.items() if key not in ("role", "refusal") and value is not None}
    calls = step.get("tool_calls", [])
    step["tool_calls"] = [{"id": call.get("id"), **call["function"]} if "function" in call else call for call in calls]
    return step


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return "not an assistant's message, nor {request, reply}"


def _text(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
