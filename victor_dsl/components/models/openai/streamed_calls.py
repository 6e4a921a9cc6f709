"""The tool calls of an answer of the chat completions API, from the pieces that servers stream in many ways."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from attrs import define, field

from victor_dsl.components.api_tools import is_object, join_arguments, original_tool_name, read_index, unique_id
from victor_dsl.transport.json_values import Malformed, as_map, as_text, parse_json, write_json
from victor_dsl.values.chat_format import call_extra
from victor_dsl.values.message import ToolCall
from victor_dsl.values.settings import MOST_TOOL_CALLS
from victor_dsl.values.tool import api_tool_name
from victor_dsl.values.turn import Turn

_MARKS = re.compile(r'["\\{}]')
"""What decides where an object ends."""

_FLAT = ("name", "arguments")
"""The fields of a function that some servers write on the call itself."""


@define
class _Call:
    index: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(factory=list)
    extra: dict[str, Any] = field(factory=dict)
    is_whole: bool = False
    """Whether the arguments so far are a whole object."""
    _depth: int = 0
    _in_text: bool = False
    _escaped: bool = False
    _closed: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def add(self, piece: str) -> None:
        """Adds a piece of the arguments. They are parsed once, where their last brace closes, or long ones would take forever."""
        self.pieces.append(piece)
        if self._closed:
            self.is_whole = self.is_whole and not piece.strip()
            return
        position = int(self._escaped)
        self._escaped = False
        while mark := _MARKS.search(piece, position):
            position = mark.end()
            match mark[0]:
                case "\\":
                    self._escaped = position == len(piece)
                    position += 1
                case '"':
                    self._in_text = not self._in_text
                case brace if not self._in_text:
                    self._depth += 1 if brace == "{" else -1
                    self._closed = self._closed or self._depth <= 0
        if self._closed:
            self.is_whole = is_object(self.arguments)

    def continues(self, arguments: str) -> bool:
        """Whether the piece must belong to this call, because arguments begin with a brace and these have begun."""
        text = arguments.lstrip()
        return bool(text) and text[0] != "{" and bool(self.pieces) and not self.is_whole

    def is_before(self, arguments: str) -> bool:
        """Whether the piece begins the arguments of another call. Some servers repeat what they have written of this one."""
        return self.is_over(arguments) and self.arguments.strip() not in ("{}", arguments.strip())

    def is_over(self, arguments: str) -> bool:
        """Whether the arguments are complete, and the piece begins others."""
        return self.is_whole and arguments.lstrip().startswith("{")


class StreamedCalls:
    """Collects the calls of one answer. Every method raises Malformed.

    Servers give all calls one index, or none; an id to the first piece, to each, or to the last; and repeat a name.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._calls: list[_Call] = []
        self._is_full = False

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, call: dict[str, Any], position: int | None) -> None:
        """Adds a piece of a call, or a whole one with its `position` in the list of calls."""
        function = as_map(call.get("function"), "a tool call's function")
        if not function and call.get("name"):
            function = {key: call[key] for key in _FLAT if key in call}
            call = {key: value for key, value in call.items() if key not in _FLAT}
        index = read_index(call.get("index")) if position is None else position
        id = _id(call.get("id"))
        name = as_text(function.get("name"), "a tool call's name")
        arguments = _arguments(function)
        collected = self._find(index, id, name, arguments)
        if collected is None:
            return
        collected.id = collected.id or id
        if not collected.name:
            collected.name = name
        elif name != collected.name and not collected.pieces and not self._is_offered(collected.name):
            collected.name = name if name.startswith(collected.name) else collected.name + name
        if arguments:
            collected.add(arguments)
        for key, value in (call_extra(call) or {}).items():
            if value is not None:
                collected.extra[key] = value

    def are_complete(self) -> bool:
        """Whether each call has whole arguments."""
        return all(is_object(_repaired(call.pieces)) for call in self._calls)

    def complete(self, *, cut_off: bool) -> tuple[ToolCall, ...]:
        """The calls, in their order. Of an answer that was `cut_off`, the arguments are as they came."""
        calls: list[ToolCall] = []
        ids: set[str] = set()
        for number, call in enumerate(sorted(self._calls, key=lambda call: call.index)):
            if not call.name:
                raise Malformed("a tool call has no name")
            # No text means no arguments, unless the answer was cut off before them.
            arguments = call.arguments if cut_off else _repaired(call.pieces)
            arguments = join_arguments(arguments) or ("" if cut_off else "{}")
            # Some servers send no ids. The turn's length makes this one unique in its conversation.
            id = unique_id(call.id, f"call_{len(self._turn.messages)}_{number}", ids)
            name = original_tool_name(call.name, self._turn.tools)
            calls.append(ToolCall(id, name, arguments, call.extra or None))
        return tuple(calls)

    def _find(self, index: int | None, id: str, name: str, arguments: str) -> _Call | None:
        """The call to which a piece belongs: the latest with its index; the latest of all if it has none. None if it is one over
        the limit."""
        known = next((call for call in reversed(self._calls) if id and call.id == id), None)
        if known is not None and (
            not name or known.continues(arguments) or (index in (None, known.index) and not known.is_before(arguments))
        ):
            return known
        if self._is_full:
            return None
        same = [call for call in self._calls if index is None or call.index == index]
        if same and not self._is_other(same[-1], id, name, arguments):
            return same[-1]
        if len(self._calls) >= MOST_TOOL_CALLS:
            self._is_full = True
            return None
        if index is None:
            index = max((call.index for call in self._calls), default=-1) + 1
        self._calls.append(_Call(index))
        return self._calls[-1]

    def _is_other(self, last: _Call, id: str, name: str, arguments: str) -> bool:
        """Whether a piece begins another call than the last one with its index."""
        if last.continues(arguments):
            return False
        if id and last.id:
            return id != last.id or (bool(name) and last.is_before(arguments))
        if not name or not last.name:
            return False
        if last.is_over(arguments):
            return True
        return name != last.name and not id and not last.id and self._is_offered(last.name)

    def _is_offered(self, name: str) -> bool:
        return bool(name) and any(api_tool_name(tool.name) == name for tool in self._turn.tools)


def _id(id: Any) -> str:
    return str(id) if isinstance(id, int) and not isinstance(id, bool) else as_text(id, "a tool call's id")


def _arguments(function: dict[str, Any]) -> str:
    arguments = next(
        (function[key] for key in ("arguments", "parameters", "input") if function.get(key) is not None), None
    )
    if arguments == []:  # PHP's empty object
        return ""
    if isinstance(arguments, dict):
        return write_json(arguments)
    return as_text(arguments, "a tool call's arguments")


def _repaired(pieces: list[str]) -> str:
    """The pieces joined; or what they mean where servers repeat in each what came before, or encode the whole twice."""
    joined = "".join(pieces)
    if is_object(joined) or not joined:
        return joined
    written = parse_json(joined.encode("utf-8", "surrogatepass")) if joined.lstrip().startswith('"') else None
    if isinstance(written, str) and is_object(written):
        return written
    first, *rest = pieces
    if first.strip() == "{}" and is_object("".join(rest)):
        return _repaired(rest)
    repeats = all(piece.startswith(before) for before, piece in pairwise(pieces)) or pieces[-1] == "".join(pieces[:-1])
    return pieces[-1] if repeats and is_object(pieces[-1]) else joined
