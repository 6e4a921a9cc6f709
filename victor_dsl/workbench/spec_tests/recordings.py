"""Recordings: what models and tools answered to a test, so that it runs again without them.

A recording is a file of JSON Lines beside the spec. A line is one call, of a model or of a tool, in the order of the tests:

    {"test": "it knows its orders", "call": 1, "request": {"model": "main", …}, "response": {"message": {…}, …}}
    {"test": "it knows its orders", "call": 2, "tool": "lookup_order", "id": "call_1", "arguments": "{…}", "result": "…"}

`spec`, the last key, tells specs of one name apart: each reads its own lines, and leaves those of other specs that exist as they are.
`repeat` is there from a test's second repeat on. Requests are what the model component gets, without keys, and without
what looks like one in a text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from attrs import define, field, frozen

from victor_dsl.errors import EXIT_SPEC, ModelError, ModelErrorKind, ToolError, VictorError
from victor_dsl.regular_file import read_regular
from victor_dsl.source.redaction import redacted
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.message import Content, Reply, ToolCall, Usage
from victor_dsl.values.settings import MODEL_SETTINGS
from victor_dsl.values.turn import Turn
from victor_dsl.workbench.spec_tests.checks import difference

FOLDER = "recordings"
MOST_BYTES = 256 << 20
"""The largest recording that is read."""

Record = Mapping[str, Any]
Key = tuple[str, int]
"""A test's name and the number of its repeat, from 1."""


class BadRecording(VictorError):
    """A file of recordings cannot be read."""

    code = "bad-recording"
    exit_code = EXIT_SPEC


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


@define
class Recordings:
    """The recordings of a spec's tests. `used` are those that a test of this run needed, `new` those that it recorded.

    `spec` is the spec's file, and `names` are its tests; `others` are the lines of other specs. `moved` are recordings of tests
    that are gone, each with the test of another name that asks the same.
    """

    path: Path
    spec: str = ""
    names: frozenset[str] = frozenset()
    records: dict[Key, list[Record]] = field(factory=dict)
    used: set[Key] = field(factory=set)
    new: dict[Key, list[Record]] = field(factory=dict)
    others: list[str] = field(factory=list)
    moved: dict[Key, Key] = field(factory=dict)

    @classmethod
    def read(cls, path: Path, spec: str = "", names: Iterable[str] = ()) -> Recordings:
        """The recordings of a file, none where there is no such file. Raises BadRecording at the line at fault."""
        own = cls(path, spec, frozenset(names))
        try:
            data, _ = read_regular(str(path), MOST_BYTES)
        except FileNotFoundError:
            return own
        except OSError as error:
            raise BadRecording(f"cannot read '{path}': {error.strerror or error}") from error
        if len(data) > MOST_BYTES:
            raise BadRecording(f"'{path}' has more than {MOST_BYTES:,} bytes")
        for number, text in enumerate(data.split(b"\n"), start=1):
            if text.strip():
                key, record, of = _read(text, f"{path}:{number}")
                if of not in (None, own.written_spec) and (path.parent / str(of)).is_file():
                    own.others.append(text.decode() + "\n")
                else:
                    own.records.setdefault(key, []).append(record)
        return own

    @property
    def written_spec(self) -> str | None:
        """The spec as lines name it: relative to the folder of recordings."""
        if not self.spec:
            return None
        return os.path.relpath(os.path.realpath(self.spec), os.path.realpath(self.path.parent)).replace(
            os.path.sep, "/"
        )

    def tape(self, key: Key, asking: Asking) -> Tape:
        """What plays and records the calls of one run of a test."""
        self.used.add(key)
        if asking.always:
            return Tape((), asking)
        calls = tuple(self.records.get(key, ()))
        return Tape(calls, asking, elsewhere=None if calls else partial(self._of_a_renamed_test, key))

    def _of_a_renamed_test(self, key: Key, request: Any) -> Sequence[Record]:
        """The recording of a test that is gone and asked the same; none where there are several."""
        found = [
            other
            for other, calls in self.records.items()
            if other[0] not in self.names and other[1] == key[1] and other not in self.moved and _asks(calls, request)
        ]
        if not self.names or len(found) != 1:
            return ()
        self.moved[found[0]] = key
        return self.records[found[0]]

    def keep(self, key: Key, calls: Sequence[Record]) -> None:
        """Records the calls of a run that came to its end."""
        if calls:
            self.new[key] = list(calls)

    def unused(self, names: set[str]) -> list[Key]:
        """Recordings that no test needs. `names` are the tests that were run; those of others that exist are needed."""
        return [key for key in self.records if key not in {*self.used, *self.moved} and key[0] in names]

    def write(self, names: Sequence[str], *, unneeded: Sequence[Key]) -> bool:
        """Writes the file, in the order of the tests; whether anything changed. What others wrote meanwhile stays."""
        now = Recordings.read(self.path, self.spec)
        gone = {*unneeded, *(old for old, key in self.moved.items() if key in self.new)}
        kept = {key: calls for key, calls in {**now.records, **self.new}.items() if key not in gone}
        order = {name: place for place, name in enumerate(names)}
        lines = [
            _line(self.written_spec, key, number, call)
            for key in sorted(kept, key=lambda key: (order.get(key[0], len(order)), key))
            for number, call in enumerate(kept[key], start=1)
        ]
        text = "".join([*lines, *now.others])
        before = self.path.read_text("utf-8") if self.path.exists() else ""
        if text == before:
            return False
        if not text:
            self.path.unlink()
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path)
        return True


def _asks(calls: Sequence[Record], request: Any) -> bool:
    """Whether a recording begins with the request."""
    return next((call["request"] == request for call in calls if "request" in call), False)


def _read(text: bytes, place: str) -> tuple[Key, Record, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "resolve the conflict, or delete the file and record anew with --record"
        raise BadRecording(f"{place}: not JSON", hint=hint) from error
    repeat = record.get("repeat", 1) if _is_call(record) else None
    if not isinstance(repeat, int):
        raise BadRecording(f"{place}: not the record of a call", hint="delete the line, and record anew with --record")
    call = {k: v for k, v in record.items() if k not in ("spec", "test", "repeat", "call")}
    return (record["test"], repeat), call, record.get("spec")


def _is_call(record: Any) -> bool:
    """Whether a line has what its answer is played from."""
    if not isinstance(record, dict) or not isinstance(record.get("test"), str):
        return False
    if not isinstance(record.get("latency_ms", 0.0), int | float):
        return False
    if "tool" in record:
        texts = all(isinstance(record.get(key), str) for key in ("tool", "id", "arguments"))
        return texts and isinstance(record["error"] if "error" in record else record.get("result"), str | list)
    if not isinstance(record.get("request"), dict):
        return False
    if "error" in record:
        return isinstance(record["error"], dict)
    try:
        _played(record)
    except (AttributeError, KeyError, TypeError, ValueError, VictorError):
        return False
    return True


def _line(spec: str | None, key: Key, number: int, call: Record) -> str:
    name, repeat = key
    of = {"spec": spec} if spec is not None else {}
    about: dict[str, Any] = {"test": name, **({"repeat": repeat} if repeat > 1 else {}), "call": number}
    return json.dumps({**about, **call, **of}, ensure_ascii=False) + "\n"


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
                return _played(self._add(record))
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


def _played(record: Record) -> Reply:
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
