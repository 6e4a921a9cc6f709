"""Compares what a test expects with what its turn has."""

from __future__ import annotations

import difflib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from victor_dsl.errors import VictorError
from victor_dsl.language.spec_checks import (
    CallChecks,
    ErrorChecks,
    IndexChecks,
    ListChecks,
    NumberChecks,
    ReplyChecks,
    TextChecks,
    TokenChecks,
    ToolCallsChecks,
    ValueChecks,
    compiled,
    is_checks,
    listed,
)
from victor_dsl.language.spec_tests import Expectation
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.located import Path
from victor_dsl.source.redaction import redacted
from victor_dsl.values.message import Reply, ToolCall
from victor_dsl.values.outcome import Rendered

if TYPE_CHECKING:
    import jsonschema
    import referencing
    import referencing.exceptions
else:
    jsonschema, referencing = Lazy("jsonschema"), Lazy("referencing")

SEARCH_SECONDS = 1.0
"""How long searching a text for a pattern may take, in seconds of this process."""
SHOWN = 300
"""The most characters of a value that a failure shows."""
SHOWN_LINES = 40
"""The most lines of a difference that a failure shows."""


@frozen
class Mismatch:
    """An expectation that does not hold; `path` is below `expect`."""

    path: Path
    expected: str
    got: str


Found = Iterator[Mismatch]


def check_rendered(expect: Expectation, rendered: Rendered) -> Found:
    """What the rendered turn has otherwise. After an error it is compared with the expected error alone."""
    if rendered.error is not None or expect.error is not None:
        yield from check_error(expect, rendered.error)
        return
    last = rendered.messages[-1].text() if rendered.messages else ""
    for field, text in (("system", rendered.system), ("message", last), ("plan", rendered.plan)):
        if (expected := getattr(expect, field)) is not None:
            yield from _text(expected, text, (field,))
    written = [piece.name for piece in rendered.contributors if not piece.dropped and piece.tokens]
    for field, names in (("contributors", written), ("tools", rendered.tools), ("sent_tools", rendered.sent_tools)):
        if (wanted := getattr(expect, field)) is not None:
            if field != "contributors":
                yield from _known(wanted, {*rendered.listed_tools, *rendered.sent_tools}, (field,))
            yield from _list(wanted, list(names), (field,))
    if expect.kept is not None:
        yield from _list(expect.kept, list(rendered.kept), ("kept",))
    if expect.tokens is not None:
        yield from _tokens(expect.tokens, rendered.tokens.as_json())
    for name, value in (expect.settings or {}).items():
        yield from _value(value, rendered.settings.get(name), ("settings", name))
    if expect.model is not None and not expect.replied:
        yield from _text(expect.model, str(rendered.settings.get("model")), ("model",))


def check_reply(expect: Expectation, reply: Reply, latency_ms: float) -> Found:
    """What the reply has otherwise. After an error it is compared with the expected error alone."""
    if reply.error is not None or expect.error is not None:
        yield from check_error(expect, reply.error)
        return
    if expect.reply is not None:
        yield from _text(expect.reply, reply.text, ("reply",))
    if expect.tool_calls is not None:
        yield from _calls(expect.tool_calls, calls_of(reply))
    for field, text in (("stop_reason", reply.stop_reason), ("model", reply.model)):
        if (expected := getattr(expect, field)) is not None:
            yield from _text(expected, str(text), (field,))
    if expect.latency_ms is not None:
        yield from _number(expect.latency_ms, latency_ms, ("latency_ms",))
    if expect.cost_usd is not None:
        yield from _number(expect.cost_usd, reply.usage.cost_shown, ("cost_usd",))


def calls_of(reply: Reply) -> list[ToolCall]:
    """Every tool call of a turn, in its order, those that are left to the caller included."""
    return [call for message in (*reply.exchange, reply.message) for call in message.tool_calls]


def check_error(expect: Expectation, error: VictorError | None) -> Found:
    """Whether a turn fails as it should."""
    wanted = expect.error
    if wanted is None:
        if error is not None:
            yield Mismatch((), "a turn without an error", described(error))
    elif error is None:
        yield Mismatch(("error",), "a turn that fails", "no error")
    else:
        code = wanted if isinstance(wanted, str) else wanted.code
        if code is not None and code != error.to_dict()["code"]:
            path: Path = ("error",) if isinstance(wanted, str) else ("error", "code")
            yield Mismatch(path, f"the error {code}", described(error))
        if isinstance(wanted, ErrorChecks) and wanted.message is not None:
            yield from _text(wanted.message, str(error), ("error", "message"))


def described(error: VictorError) -> str:
    """An error in a failure."""
    return f"{error.to_dict()['code']}: {redacted(str(error))}"


def shown(value: Any) -> str:
    """A value as failures show it: without secrets, and cut."""
    text = redacted(value) if isinstance(value, str) else redacted(orjson.dumps(value, default=str).decode())
    quoted = f"'{text}'" if isinstance(value, str) else text
    return quoted if len(text) <= SHOWN else f"{quoted[:SHOWN]}… ({len(text):,} characters)"


def difference(before: str, after: str, names: tuple[str, str]) -> str:
    """The lines in which two texts differ, as a unified diff."""
    old, new = redacted(before).splitlines(), redacted(after).splitlines()
    lines = list(difflib.unified_diff(old, new, *names, n=1, lineterm=""))
    more = [f"… ({len(lines) - SHOWN_LINES} more lines)"] if len(lines) > SHOWN_LINES else []
    return "\n".join([*lines[:SHOWN_LINES], *more])


def _text(expected: str | TextChecks, text: str, path: Path) -> Found:
    if isinstance(expected, str):
        yield from _equal_text(expected, text, path)
        return
    if expected.equals is not None:
        yield from _equal_text(expected.equals, text, (*path, "equals"))
    for index, wanted in enumerate(listed(expected.contains)):
        if wanted not in text:
            yield Mismatch(
                _at(path, "contains", expected.contains, index), f"contains {shown(wanted)}", _nearest(wanted, text)
            )
    for index, unwanted in enumerate(listed(expected.not_contains)):
        if unwanted in text:
            below = _at(path, "not_contains", expected.not_contains, index)
            yield Mismatch(below, f"does not contain {shown(unwanted)}", _around(unwanted, text))
    if expected.matches is not None:
        yield from _matches(expected.matches, text, (*path, "matches"))
    if isinstance(expected, ReplyChecks) and expected.json_schema is not None:
        yield from _schema(expected.json_schema, text, (*path, "json_schema"))


def _equal_text(expected: str, text: str, path: Path) -> Found:
    if expected == text:
        return
    if "\n" in expected or "\n" in text:
        yield Mismatch(path, "the same text", difference(expected, text, ("expected", "got")))
    else:
        yield Mismatch(path, shown(expected), shown(text))


def _at(path: Path, check: str, written: Any, index: int) -> Path:
    return (*path, check, index) if isinstance(written, list) else (*path, check)


def _nearest(wanted: str, text: str) -> str:
    """A text that lacks what is wanted; of a long one, the line that is most like it."""
    if len(text) <= SHOWN:
        return shown(text) if text else "an empty text"
    lines = [line for line in text.splitlines() if line.strip()][:1_000]
    close = difflib.get_close_matches(wanted, [line[:SHOWN] for line in lines], 1, cutoff=0.3)
    return f"{len(text):,} characters without it" + (f"; the nearest line is {shown(close[0])}" if close else "")


def _around(unwanted: str, text: str) -> str:
    start = text.index(unwanted)
    before, after = max(0, start - 40), start + len(unwanted) + 40
    return shown(f"{'…' if before else ''}{text[before:after]}{'…' if after < len(text) else ''}")


def _matches(pattern: str, text: str, path: Path) -> Found:
    try:
        with _limited(SEARCH_SECONDS):
            found = compiled(pattern).search(text) is not None
    except TimeoutError:
        yield Mismatch(
            path, f"matches /{pattern}/", f"the search takes longer than {SEARCH_SECONDS:g} s; make the pattern simpler"
        )
        return
    if not found:
        yield Mismatch(path, f"matches /{pattern}/", shown(text))


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises TimeoutError after so many seconds of CPU time; outside of the main thread there is no limit.

    Regular expressions cannot be interrupted by another thread, but they look for signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _schema(schema: Mapping[str, Any], text: str, path: Path) -> Found:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as fault:
        yield Mismatch(path, "JSON", f"{shown(text)}, which is not JSON: {fault}")
        return
    known = isinstance(schema.get("$schema"), str)
    kind = jsonschema.validators.validator_for(schema if known else {}, default=jsonschema.Draft202012Validator)
    # An empty registry: a `$ref` to another document is a failure, never a download.
    validator = kind(schema, registry=referencing.Registry())
    try:
        with _limited(SEARCH_SECONDS):
            errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    except TimeoutError:
        problem = f"the check takes longer than {SEARCH_SECONDS:g} s; make the schema's patterns simpler"
        yield Mismatch(path, "JSON of this schema", problem)
        return
    except RecursionError:
        yield Mismatch(path, "JSON of this schema", "the schema refers to itself without an end")
        return
    except referencing.exceptions.Unresolvable as fault:
        problem = f"the schema refers to '{fault.ref}', which is not in it; other documents are not fetched"
        yield Mismatch(path, "JSON of this schema", problem)
        return
    for error in errors[:5]:
        where = "".join(f"/{step}" for step in error.absolute_path)
        yield Mismatch(path, "JSON of this schema", f"{where or 'the reply'}: {shown(error.message)[1:-1]}")


def _number(expected: float | NumberChecks, number: float | None, path: Path) -> Found:
    if number is None:
        yield Mismatch(path, "a number", "none is known")
    elif isinstance(expected, int | float):
        if number != expected:
            yield Mismatch(path, f"{expected:g}", _figure(number))
    else:
        for check, wanted in _bounds(expected):
            if not _BOUNDS[check][1](number, wanted):
                yield Mismatch((*path, check), f"{_BOUNDS[check][0]}{wanted:g}", _figure(number))


_BOUNDS: Mapping[str, tuple[str, Any]] = {
    "equals": ("", lambda number, wanted: number == wanted),
    "at_least": ("at least ", lambda number, wanted: number >= wanted),
    "at_most": ("at most ", lambda number, wanted: number <= wanted),
    "more_than": ("more than ", lambda number, wanted: number > wanted),
    "less_than": ("less than ", lambda number, wanted: number < wanted),
}


def _bounds(checks: NumberChecks | ValueChecks) -> Iterator[tuple[str, float]]:
    return ((check, wanted) for check in _BOUNDS if (wanted := getattr(checks, check)) is not None)


def _figure(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.6g}"


def _tokens(expected: int | TokenChecks, tokens: Mapping[str, int | None]) -> Found:
    if isinstance(expected, int):
        yield from _number(expected, tokens["total"], ("tokens",))
        return
    yield from _number(expected, tokens["total"], ("tokens",))
    for part in ("system", "messages", "tools"):
        if (wanted := getattr(expected, part)) is not None:
            yield from _number(wanted, tokens[part], ("tokens", part))


def _known(expected: list[str] | ListChecks, known: set[str], path: Path) -> Found:
    """Names of tools that there are not: one that is misspelt would never be among those that are not wanted."""
    for name in listed(expected.not_contains) if isinstance(expected, ListChecks) else ():
        if name not in known and nearest(name, sorted(known)) is not None:
            yield Mismatch(
                (*path, "not_contains"),
                "the name of a tool",
                f"no tool is named '{name}'; {suggest(name, sorted(known))}",
            )


def _list(expected: list[Any] | ListChecks | IndexChecks, items: list[Any], path: Path) -> Found:
    if isinstance(expected, list):
        if expected != items:
            yield Mismatch(path, shown(expected), shown(items))
        return
    if expected.equals is not None and expected.equals != items:
        yield Mismatch((*path, "equals"), shown(expected.equals), shown(items))
    for index, wanted in enumerate(listed(expected.contains)):
        if wanted not in items:
            yield Mismatch(_at(path, "contains", expected.contains, index), f"contains {shown(wanted)}", shown(items))
    for index, unwanted in enumerate(listed(expected.not_contains)):
        if unwanted in items:
            below = _at(path, "not_contains", expected.not_contains, index)
            yield Mismatch(below, f"does not contain {shown(unwanted)}", shown(items))
    first = listed(getattr(expected, "first", None))
    if first and items[: len(first)] != first:
        yield Mismatch((*path, "first"), f"begins with {shown(first)}", shown(items))
    if expected.count is not None:
        yield from _number(expected.count, len(items), (*path, "count"))


def _calls(expected: list[str | CallChecks] | ToolCallsChecks, calls: list[ToolCall]) -> Found:
    path: Path = ("tool_calls",)
    made = ", ".join(f"{call.name}({call.arguments})" for call in calls) or "no call"
    if isinstance(expected, list):
        yield from _all_calls(expected, calls, path)
        return
    if expected.equals is not None:
        yield from _all_calls(expected.equals, calls, (*path, "equals"))
    for index, wanted in enumerate(listed(expected.contains)):
        if not any(_is_call(wanted, call) for call in calls):
            yield Mismatch(
                _at(path, "contains", expected.contains, index), f"the call {_call(wanted)}", shown(made)[1:-1]
            )
    if expected.in_order is not None:
        rest = iter(calls)
        for index, wanted in enumerate(expected.in_order):
            if not any(_is_call(wanted, call) for call in rest):
                yield Mismatch((*path, "in_order", index), f"then the call {_call(wanted)}", made)
                break
    for index, name in enumerate(listed(expected.not_contains)):
        if any(call.name == name for call in calls):
            yield Mismatch(_at(path, "not_contains", expected.not_contains, index), f"no call of {name}", made)
    if expected.count is not None:
        yield from _number(expected.count, len(calls), (*path, "count"))


def _all_calls(expected: Sequence[str | CallChecks], calls: list[ToolCall], path: Path) -> Found:
    made = [f"{call.name}({call.arguments})" for call in calls]
    if len(expected) != len(calls):
        wanted = "no call" if not expected else f"{len(expected)} calls: {', '.join(map(_call, expected))}"
        yield Mismatch(path, wanted, ", ".join(made) or "no call")
        return
    for index, (one, call) in enumerate(zip(expected, calls, strict=True)):
        if not _is_call(one, call):
            yield Mismatch((*path, index), f"the call {_call(one)}", made[index])


def _call(expected: str | CallChecks) -> str:
    if isinstance(expected, str):
        return expected
    return expected.name if expected.arguments is None else f"{expected.name} with {shown(expected.arguments)}"


def _is_call(expected: str | CallChecks, call: ToolCall) -> bool:
    if isinstance(expected, str):
        return call.name == expected
    if call.name != expected.name:
        return False
    if expected.arguments is None:
        return True
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        return False
    return next(_value(expected.arguments, arguments, ()), None) is None


def _value(expected: Any, value: Any, path: Path) -> Found:
    """Any value: one that is equal, a map that has the expected keys, or checks."""
    if is_checks(expected):
        yield from _checked(ValueChecks.model_validate(expected), value, path)
    elif isinstance(expected, Mapping) and expected and isinstance(value, Mapping):
        for key, inner in expected.items():
            if key in value:
                yield from _value(inner, value[key], (*path, key))
            else:
                yield Mismatch((*path, key), shown(inner), f"there is no '{key}'")
    elif isinstance(expected, list) and isinstance(value, list | tuple) and len(expected) == len(value):
        for index, (one, other) in enumerate(zip(expected, value, strict=True)):
            yield from _value(one, other, (*path, index))
    elif not _same(expected, value):
        yield Mismatch(path, shown(expected), shown(value))


def _same(expected: Any, value: Any) -> bool:
    if isinstance(expected, bool) != isinstance(value, bool):
        return False
    return bool(expected == (list(value) if isinstance(value, tuple) else value))


def _checked(checks: ValueChecks, value: Any, path: Path) -> Found:
    if "equals" in checks.model_fields_set and not _same(checks.equals, value):
        yield Mismatch((*path, "equals"), shown(checks.equals), shown(value))
    for check, wanted in _bounds(checks):
        if check == "equals":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not _BOUNDS[check][1](value, wanted):
            yield Mismatch((*path, check), f"{_BOUNDS[check][0]}{wanted:g}", shown(value))
    holder = value if isinstance(value, str | list | tuple) else ()
    for index, wanted in enumerate(listed(checks.contains)):
        if not _holds(holder, wanted):
            yield Mismatch(_at(path, "contains", checks.contains, index), f"contains {shown(wanted)}", shown(value))
    if checks.not_contains is not None and not isinstance(value, str | list | tuple):
        yield Mismatch((*path, "not_contains"), "a text or a list", shown(value))
    for index, unwanted in enumerate(listed(checks.not_contains)):
        if _holds(holder, unwanted):
            below = _at(path, "not_contains", checks.not_contains, index)
            yield Mismatch(below, f"does not contain {shown(unwanted)}", shown(value))
    if checks.matches is not None:
        yield from _matches(checks.matches, value if isinstance(value, str) else "", (*path, "matches"))


def _holds(holder: Any, item: Any) -> bool:
    return (not isinstance(holder, str) or isinstance(item, str)) and item in holder
