"""Tools, their calls and their results as model APIs accept them: names, schemas, arguments and ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from victor_dsl.errors import RequestError
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import suggest
from victor_dsl.transport.json_values import as_count, join_surrogates, parse_json
from victor_dsl.values.tool import Tool, api_tool_name, flat_schema
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.transport import http
else:
    http = Lazy("victor_dsl.transport.http")

MAX_CACHED_TOOLS = 4096
"""How many tool definitions are cached as JSON; beyond that, the cache starts again."""

TOOL_CHOICES = ("auto", "none", "required")


class ToolDefinitions:
    """Tool definitions in an API's format, as JSON that is written once for each tool."""

    def __init__(self, write: Callable[[Tool], Mapping[str, Any]]) -> None:
        self._write = write
        self._written: dict[int, tuple[Tool, orjson.Fragment]] = {}

    def of(self, tools: Iterable[Tool]) -> list[orjson.Fragment]:
        """The definitions of the tools, in their order."""
        return [self._definition(tool) for tool in tools]

    def _definition(self, tool: Tool) -> orjson.Fragment:
        # By identity, since comparing a tool's parameters costs more than writing them. The entry keeps the tool alive,
        # so no other tool gets its id.
        entry = self._written.get(id(tool))
        if entry is None:
            if len(self._written) >= MAX_CACHED_TOOLS:
                self._written.clear()
            entry = tool, orjson.Fragment(http.encode(self._write(tool)))
            self._written[id(tool)] = entry
        return entry[1]


def join_arguments(arguments: str) -> str:
    """A tool call's arguments with surrogate pairs joined, also where JSON writes them as escapes."""
    if "\\ud" in arguments.lower():
        try:
            orjson.loads(arguments)
        except orjson.JSONDecodeError:
            value = parse_json(arguments.encode("utf-8", "surrogatepass"))
            if isinstance(value, dict):
                return http.encode(value).decode()
    return join_surrogates(arguments)


def object_schema(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's parameters as a schema of an object that is not combined of others at its top, as APIs require of all tools."""
    parameters = flat_schema(parameters)
    if parameters.get("type") == "object" and isinstance(parameters.get("properties"), Mapping):
        return parameters
    written = {key: value for key, value in parameters.items() if value is not None}
    return {"type": "object", "properties": {}, **written, **({"type": "object"} if "type" in written else {})}


def original_tool_name(name: str, tools: tuple[Tool, ...]) -> str:
    """The name of the tool that was sent as `name`; `name` itself where it was sent unchanged."""
    for tool in tools:
        if tool.name != name and api_tool_name(tool.name) == name:
            return tool.name
    return name


def chosen_tool(turn: Turn) -> str | None:
    """The turn's `tool_choice`: one of `TOOL_CHOICES`, or the name under which the tool is sent; None where none is sent.

    Raises RequestError.
    """
    choice = turn.settings.tool_choice
    if choice is None or choice in TOOL_CHOICES:
        return choice if turn.tools else None
    names = [tool.name for tool in turn.tools]
    if choice not in names:
        hint = suggest(choice, names, what="tools") if names else "no tool is offered"
        raise RequestError(f"settings.tool_choice: no tool named '{choice}' is offered in this turn", hint=hint)
    return api_tool_name(choice)


def read_index(index: Any) -> int | None:
    """An index, which some servers write as text or with a fraction; None where there is none."""
    if isinstance(index, str) and index.isascii() and index.isdigit():
        return as_count(int(index[:15]))
    return as_count(int(index)) if isinstance(index, float) and index.is_integer() else as_count(index)


def is_object(arguments: str) -> bool:
    """Whether a call's arguments are a whole JSON object."""
    return isinstance(parse_json(arguments.encode("utf-8", "surrogatepass")), dict)


def unique_id(id: str, otherwise: str, ids: set[str]) -> str:
    """The id of a call among the other `ids` of its answer, to which it is added. Some servers send none, or one twice."""
    unique, number = id or otherwise, 1
    while unique in ids:
        number += 1
        unique = f"{id or otherwise}_{number}"
    ids.add(unique)
    return unique


def object_arguments(arguments: str) -> str:
    """A call's arguments as a JSON object, which many servers require also of earlier calls that were not valid."""
    if isinstance(parse_json(arguments.encode("utf-8", "replace")), dict):
        return arguments
    return orjson.dumps({"arguments": join_surrogates(arguments)} if arguments.strip() else {}).decode()


class CallIds:
    """Makes the ids of tool calls unique. A result belongs to the first call with its id that has none.

    `clean` writes an id as the API accepts it.
    """

    def __init__(self, clean: Callable[[str], str] = str) -> None:
        self._clean = clean
        self._open: dict[str, list[str]] = {}
        self._used: set[str] = set()

    def of_call(self, id: str) -> str:
        """The id under which the call is sent."""
        unique = unique_id(self._clean(id), "call", self._used)
        self._open.setdefault(id, []).append(unique)
        return unique

    def of_result(self, id: str) -> str:
        """The id of the call that a result belongs to."""
        unanswered = self._open.get(id)
        if not unanswered:
            return self._clean(id) or "call"
        return unanswered.pop(0) if len(unanswered) > 1 else unanswered[0]

    def next_answer(self) -> None:
        """A new answer of the model begins: results that follow belong to its calls, not to earlier ones."""
        self._open.clear()
