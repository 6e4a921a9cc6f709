"""A model that answers from a script: a list in the spec, or a recording of another model's answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from victor_dsl.components.offline_models import OfflineConfig, UsageEstimate, stream_words
from victor_dsl.components.prices import reported_usage
from victor_dsl.errors import ComponentError, ModelError, ModelErrorKind
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, Model
from victor_dsl.language.kinds import Model as LiveModel
from victor_dsl.values.message import Message, Reply, StopReason, ToolCall, Usage
from victor_dsl.values.turn import Turn

MAX_SESSIONS = 100_000
"""How many sessions' positions are stored; beyond that, the session that was silent longest starts again."""


def _text_as(field: str) -> Callable[[Any], Any]:
    """Reads a bare text as a map with that one field."""
    return lambda value: {field: value} if isinstance(value, str) else value


class Call(Model):
    """A tool call."""

    name: str = Field(min_length=1, description="The tool's name.", examples=["lookup_order"])
    arguments: dict[str, Any] | str = Field(
        default_factory=dict, description="The arguments, as a map or as the exact text that the model wrote."
    )
    id: str | None = Field(None, description="The call's id. The default is derived from the position in the script.")


class Failure(Model):
    """An error instead of an answer."""

    kind: ModelErrorKind = Field(description="The kind of error.")
    message: str = Field("the script says so", description="The error's message.")
    status: int | None = Field(None, ge=100, le=599, description="The HTTP status of the error.")
    retry_after_seconds: float | None = Field(None, ge=0, description="How long the caller should wait.")


class Tokens(Model):
    """The usage that an answer reports."""

    input_tokens: int | None = Field(None, ge=0, description="Tokens of input.")
    output_tokens: int | None = Field(None, ge=0, description="Tokens of output.")
    cached_tokens: int | None = Field(None, ge=0, description="Tokens of input that were read from a prompt cache.")
    cache_write_tokens: int | None = Field(
        None, ge=0, description="Tokens of input that were written to a prompt cache."
    )
    reasoning_tokens: int | None = Field(None, ge=0, description="Tokens of output that were spent on thoughts.")


class Step(Model):
    """One answer of the script."""

    content: str | None = Field(None, description="The answer's text.")
    tool_calls: list[Call] = Field(default_factory=list, description="The tools that the answer calls.")
    error: Annotated[Failure, BeforeValidator(_text_as("kind"), Failure | ModelErrorKind)] | None = Field(
        None,
        description="An error, as its kind or as a map. With `content`, the text is streamed before the error.",
    )
    delay_seconds: float = Field(0.0, ge=0, description="The delay before the answer, in seconds.")
    stop_reason: Literal["stop", "length", "tool_calls", "content_filter"] | None = Field(
        None, description="Why the answer ends. The default is `tool_calls` where there are any, else `stop`."
    )
    usage: Tokens | None = Field(None, description="The usage that the answer reports. The default is an estimate.")
    request: str | None = Field(
        None, description="Use the answer only for turns whose latest user message is this text."
    )


WrittenStep = Annotated[Step, BeforeValidator(_text_as("content"), str | Step)]
"""A step as people write it: a bare text is its content."""


class Config(OfflineConfig):
    """Answers from a script. Every session starts at the beginning.

    An answer with a `request` is used for that request only; the others follow in order.
    """

    replies: list[WrittenStep] | None = Field(
        None,
        min_length=1,
        description="The answers, in order: texts, or maps with tool calls, errors and delays.",
        examples=[["Hello!", {"tool_calls": [{"name": "lookup_order", "arguments": {"id": 7}}]}, "It is on its way."]],
    )
    path: Annotated[str | None, FilePath(included=True)] = Field(
        None,
        description=(
            "A recording in JSON Lines. A line is an assistant's message in the OpenAI chat format, `{request, reply}` "
            "with the text of the request and such a message, or a map as in `replies`."
        ),
        examples=["recordings/support.jsonl"],
    )
    end: Literal["repeat", "loop", "fail"] = Field(
        "repeat",
        description="The behaviour after the last answer: `repeat` it, start again (`loop`), or `fail`.",
    )

    @model_validator(mode="after")
    def _one_script(self) -> Self:
        if (self.replies is None) == (self.path is None):
            raise ValueError("a scripted model needs either `replies` or the `path` of a recording")
        return self


OFFLINE = True
EXAMPLE = "{type: scripted, replies: [Hello!, {error: rate_limited}, It is on its way.]}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[LiveModel]:
    """The model. A recording is parsed when it is entered."""
    return _open(config, context)


@asynccontextmanager
async def _open(config: Config, context: Context) -> AsyncIterator[Scripted]:
    steps = (config.replies or []) if config.path is None else read_recording(config.path, context)
    yield Scripted(steps, config, context)


class Scripted:
    """Answers from a script. Each session has its own position in it, and another one for each `request`."""

    def __init__(self, steps: Iterable[Step], config: Config, context: Context) -> None:
        self._steps: dict[str | None, list[Step]] = {}
        for step in steps:
            self._steps.setdefault(step.request, []).append(step)
        self._end = config.end
        self._context = context
        self._estimate = UsageEstimate(config)
        self._positions: OrderedDict[tuple[Hashable, str | None], int] = OrderedDict()

    async def answer(self, turn: Turn) -> Reply:
        """The next answer of the session's script. Raises the ModelError that the script contains."""
        text = turn.latest_user_text()
        step, number = self._next(turn, text if text in self._steps else None)
        if step.delay_seconds:
            await self._context.clock.sleep(step.delay_seconds)
        if step.content:
            await stream_words(step.content, turn)
        if step.error is not None:
            raise self._failure(step.error)
        calls = tuple(
            ToolCall(call.id or f"call_{number}_{index}", call.name, _arguments(call))
            for index, call in enumerate(step.tool_calls)
        )
        message = Message("assistant", step.content if step.content or calls else "", calls)
        stop: StopReason = step.stop_reason or ("tool_calls" if calls else "stop")
        return Reply(message, self._usage(step, turn, message), stop)

    def _next(self, turn: Turn, request: str | None) -> tuple[Step, int]:
        """The step at the session's position, and its number. Moves the position on."""
        steps = self._steps.get(request, [])
        key = (turn.session_key, request)
        number = self._positions.pop(key, 0)
        self._positions[key] = number + 1
        if len(self._positions) > MAX_SESSIONS:
            self._positions.popitem(last=False)
        if number < len(steps):
            return steps[number], number
        if not steps or self._end == "fail":
            what = "the script has ended" if steps else "the script has no answer to this request"
            raise ModelError(
                what, kind="bad_request", node=self._context.node, hint="extend `replies`, or change `end`"
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
        usage = step.usage
        if usage is None:
            return self._estimate.usage(turn, message)
        return reported_usage(
            self._estimate.prices,
            input=usage.input_tokens,
            output=usage.output_tokens,
            cached=usage.cached_tokens,
            written=usage.cache_write_tokens,
            reasoning=usage.reasoning_tokens,
        )


def _arguments(call: Call) -> str:
    return call.arguments if isinstance(call.arguments, str) else orjson.dumps(call.arguments).decode()


def read_recording(path: str, context: Context) -> list[Step]:
    """The steps of a recording. Raises ComponentError with the file and line."""
    node, steps = context.node, []
    for number, line in enumerate(context.files[path].splitlines(), start=1):
        if line.strip():
            try:
                steps.append(Step.model_validate(_step_fields(orjson.loads(line))))
            except orjson.JSONDecodeError as error:
                raise ComponentError(f"{path}:{number}: not JSON: {error}", node=node) from error
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                field = ".".join(map(str, first["loc"]))
                raise ComponentError(f"{path}:{number}: {field}: {first['msg']}", node=node) from error
            except (LookupError, TypeError, AttributeError) as error:
                what = "neither an assistant's message nor {request, reply}"
                raise ComponentError(f"{path}:{number}: {what}", node=node) from error
    if not steps:
        raise ComponentError(f"the recording {path} is empty", node=node)
    return steps


def _step_fields(line: Any) -> dict[str, Any]:
    """A line of a recording as the fields of a Step."""
    if "reply" in line:
        return {**_step_fields(line["reply"]), "request": line.get("request")}
    step = {key: value for key, value in line.items() if key not in ("role", "refusal") and value is not None}
    calls = step.get("tool_calls", [])
    step["tool_calls"] = [{"id": call.get("id"), **call["function"]} if "function" in call else call for call in calls]
    return step
