"""The calls of one run of a test: played from its recording, or asked and recorded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast, get_args

from attrs import define, field, frozen

from victor_dsl.errors import EXIT_SPEC, ModelError, ModelErrorKind, ToolError, VictorError
from victor_dsl.source.redaction import redacted
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.message import Content, Reply, ToolCall, Usage
from victor_dsl.values.settings import MODEL_SETTINGS
from victor_dsl.values.turn import Turn
from victor_dsl.workbench.spec_tests.checks import difference

Record = Mapping[str, Any]


class NotRecorded(VictorError):
    """An answer is needed that is not recorded."""

    code = "not-recorded"
    exit_code = EXIT_SPEC


class ChangedRequest(VictorError):
    """The request is not the one whose answer was recorded."""

    code = "changed-request"
    exit_code = EXIT_SPEC

    def __init__(self, difference: str) -> None:
        super().__init__("the request is not the one that was recorded")
        self.difference = difference


@frozen
class Asking:
    """Whether models are asked: `missing` where an answer is not recorded or its request has changed, `always` for every answer.

    With neither, recordings and models that need no network answer. `writes` says that new answers are recorded.
    """

    missing: bool = False
    always: bool = False

    @property
    def writes(self) -> bool:
        """Whether answers are recorded."""
        return self.missing

    @property
    def asks(self) -> bool:
        """Whether any model may be asked."""
        return self.missing or self.always


Ask = Callable[[Turn], Awaitable[Reply]]


@define(eq=False)
class Tape:
    """The calls of one run: played as long as requests are as recorded, else asked, where that is allowed.

    `calls` are those of this run, `problem` why the run has no answer. `latency_ms` is that of all calls that were played or
    asked, and `plays` says whether there were any. `tool_results` stand in for tools. `elsewhere` finds what is recorded for the
    first request where nothing is recorded for the test.
    """

    recorded: Sequence[Record]
    asking: Asking
    tool_results: Mapping[str, Any] = field(factory=dict)
    elsewhere: Callable[[Any], Sequence[Record]] | None = None
    calls: list[Record] = field(factory=list)
    problem: NotRecorded | ChangedRequest | None = None
    latency_ms: float = 0.0
    plays: bool = False
    _position: int = 0
    _left: bool = False
    _own: dict[str, Any] = field(factory=dict)
    _open: AsyncExitStack = field(factory=AsyncExitStack)

    async def own(self, node: str, build: Callable[[], Any]) -> Any:
        """This run's own object of a node: models that need no network count their answers."""
        if node not in self._own:
            built = build()
            entered = hasattr(built, "__aenter__")
            self._own[node] = await self._open.enter_async_context(built) if entered else built
        return self._own[node]

    async def close(self) -> None:
        """Closes the run's own objects."""
        await self._open.aclose()

    async def model(self, turn: Turn, model_id: str | None, ask: Ask | None, now: Callable[[], float]) -> Reply:
        """A model's answer. Raises the ModelError that was recorded, NotRecorded or ChangedRequest."""
        request = request_json(turn, model_id)
        self.plays = True
        if self.elsewhere is not None:
            self.recorded, self.elsewhere = self.elsewhere(request), None
        if not self._left and (record := self._next()) is not None:
            if record["request"] == request:
                return played(self._add(record))
            if not self.asking.missing:
                raise self._failed(ChangedRequest(_changes(record["request"], request)))
        if ask is None or not self.asking.asks:
            raise self._failed(NotRecorded("this answer is not recorded"))
        self._left = True
        started = now()
        try:
            reply = await ask(turn)
        except ModelError as error:
            self._add({"request": request, "error": _error_json(error), "latency_ms": _ms(now() - started)})
            raise
        self._add({"request": request, "response": _reply_json(reply), "latency_ms": _ms(now() - started)})
        return reply

    async def tool(self, call: ToolCall, ask: Callable[[], Awaitable[Content]], now: Callable[[], float]) -> Content:
        """A tool's result: the test's own, the recorded one, or that of the tool. Raises ToolError."""
        if call.name in self.tool_results:
            result = self.tool_results[call.name]
            return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
        if not self.plays:
            return await ask()
        if not self._left:
            record = next((one for one in self._tools() if _is_of(one, call)), None)
            if record is not None:
                return _result(self._add(record))
        if not self.asking.asks:
            raise self._failed(NotRecorded(f"the result of the tool '{call.name}' is not recorded"))
        started = now()
        about = {"tool": call.name, "id": call.id, "arguments": redacted(call.arguments)}
        try:
            result = await ask()
        except ToolError as error:
            self._add({**about, "error": redacted(error.message), "latency_ms": _ms(now() - started)})
            raise
        written = redacted(result) if isinstance(result, str) else _plain(result)
        self._add({**about, "result": written, "latency_ms": _ms(now() - started)})
        return result

    def records(self) -> list[Record]:
        """The calls of this run; the results of tools that ran at the same time in the order in which they were called."""
        order: dict[str, int] = {}
        for call in self.calls:
            for asked in call.get("response", {}).get("message", {}).get("tool_calls", ()):
                order.setdefault(asked["id"], len(order))
        made: list[Record] = []
        results: list[Record] = []
        for call in self.calls:
            if "tool" in call:
                results.append(call)
                continue
            made += sorted(results, key=lambda one: order.get(one["id"], len(order)))
            results = []
            made.append(call)
        return [*made, *sorted(results, key=lambda one: order.get(one["id"], len(order)))]

    def _next(self) -> Record | None:
        models = [record for record in self.recorded if "request" in record]
        self._position += 1
        return models[self._position - 1] if self._position <= len(models) else None

    def _tools(self) -> Iterator[Record]:
        return (record for record in self.recorded if "tool" in record and record not in self.calls)

    def _add(self, record: Record) -> Record:
        self.calls.append(record)
        self.latency_ms += record.get("latency_ms", 0.0)
        return record

    def _failed(self, problem: NotRecorded | ChangedRequest) -> NotRecorded | ChangedRequest:
        self.problem = self.problem or problem
        return problem


def request_json(turn: Turn, model_id: str | None) -> dict[str, Any]:
    """The canonical request of a model call: what the model component gets, without what is not set."""
    settings = turn.settings.model_dump(mode="json", exclude_none=True)
    request = {
        "model": turn.settings.model,
        "model_id": model_id,
        "settings": {name: settings[name] for name in MODEL_SETTINGS if name in settings},
        "system": turn.system,
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in turn.tools
        ],
        "messages": [message.as_json() for message in turn.messages],
    }
    return cast("dict[str, Any]", _plain({key: value for key, value in request.items() if value not in (None, {}, [])}))


def _plain(value: Any) -> Any:
    """The value as JSON has it, without what looks like a secret."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _reply_json(reply: Reply) -> dict[str, Any]:
    written = {
        "message": _plain(reply.message.as_json()),
        "stop_reason": reply.stop_reason,
        "response_model": reply.response_model,
        "usage": {name: count for name, count in reply.usage.as_json().items() if count is not None},
    }
    return {key: value for key, value in written.items() if value is not None}


def played(record: Record) -> Reply:
    """The answer of a record. Raises the recorded ModelError."""
    if "error" in record:
        error = record["error"]
        kind = error.get("kind")
        known: ModelErrorKind = kind if kind in get_args(ModelErrorKind) else "bad_response"
        raise ModelError(str(error.get("message")), kind=known, status=error.get("status"))
    response = record["response"]
    return Reply(
        restore_message(response["message"]),
        Usage(**response.get("usage", {})),
        response.get("stop_reason", "stop"),
        response.get("response_model"),
    )


def _error_json(error: ModelError) -> dict[str, Any]:
    about = {"kind": error.kind, "message": redacted(error.message), "status": error.status}
    return {key: value for key, value in about.items() if value is not None}


def _is_of(record: Record, call: ToolCall) -> bool:
    return bool(
        record["tool"] == call.name and record["id"] == call.id and record["arguments"] == redacted(call.arguments)
    )


def _result(record: Record) -> Content:
    if "error" in record:
        raise ToolError(record["error"])
    result = record["result"]
    return result if isinstance(result, str) else tuple(result)


def _changes(recorded: Any, present: Any) -> str:
    """What differs between two requests, a line of a text on a line of its own."""
    return difference(_lines(recorded), _lines(present), ("recorded", "now"))


def _lines(request: Any) -> str:
    return json.dumps(request, indent=1, ensure_ascii=False).replace("\\n", "\n")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
