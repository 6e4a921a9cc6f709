"""Deferred tools: the model finds a tool's definition when it needs it, so the beginning of its requests never changes.

A model whose provider can load tools late gets them as such. Any other model gets two small tools instead: `find_tools`
returns definitions as its result, and `call_tool` calls a tool by its name. Only this module knows of the second: everything
else sees the real tool's name and arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson
from attrs import evolve

from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.transport.json_values import parse_json
from victor_dsl.values.message import Message, Reply, ToolCall
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import DeferredTools, FindTools, Turn

SOURCE = "tool_selection"

FIND_TOOLS = Tool(
    "find_tools",
    "Finds tools by what they do, and returns their definitions. Search for what the task needs before you say that it cannot "
    "be done. A tool that was found once can be called for the rest of the conversation.",
    {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What the tool should do, in a few words."}},
        "required": ["query"],
    },
    source=SOURCE,
)
CALL_TOOL = Tool(
    "call_tool",
    "Calls a tool that find_tools has returned.",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "The tool's name."},
            "arguments": {"type": "object", "description": "The tool's arguments, by its definition."},
        },
        "required": ["name", "arguments"],
    },
    source=SOURCE,
)

MOST_DEFINITION_TOKENS = 6_000
"""How long the definitions of one search may be in all; the first one is always returned."""

MOST_NAMES = 50
"""How many names a search that finds nothing lists."""


def defer(turn: Turn, tools: tuple[Tool, ...], find: FindTools) -> Turn:
    """The turn with these tools deferred. Raises ComponentError where one has a reserved name."""
    names = {tool.name for tool in tools}
    for reserved in (FIND_TOOLS.name, CALL_TOOL.name):
        if reserved in names:
            raise ComponentError(
                f"with deferred tools no tool can have the name '{reserved}'",
                node=SOURCE,
                hint="give the tool another name",
            )
    turn.trace.found_tools.update(name for name in _found(turn.messages) if name in names)
    return turn.replace(tools=(FIND_TOOLS, CALL_TOOL) if tools else (), deferred=DeferredTools(tools, find))


def for_loading(turn: Turn) -> Turn:
    """The turn as it goes to a model whose provider loads the deferred tools itself."""
    return _without_named_choice(turn.replace(tools=()))


def for_search(turn: Turn) -> Turn:
    """The turn as it goes to a model that has `find_tools` and `call_tool` alone."""
    messages = tuple([_as_sent(message) for message in turn.messages])
    return _without_named_choice(turn.replace(messages=messages)).replace(deferred=None)


def with_real_calls(reply: Reply) -> Reply:
    """The reply with each call of `call_tool` as a call of the tool that it names."""
    calls = reply.message.tool_calls
    if not any(call.name == CALL_TOOL.name for call in calls):
        return reply
    return evolve(reply, message=evolve(reply.message, tool_calls=tuple(map(_real, calls))))


def check(call: ToolCall, turn: Turn) -> None:
    """Raises ToolError for a call of a deferred tool that was not found in this session."""
    if call.name == CALL_TOOL.name:
        raise ToolError("call_tool needs the `name` of a tool, as text, and its `arguments`, as an object")
    if call.name not in turn.trace.found_tools:
        raise ToolError(
            f"{_not_found(call.name)}; search for it with find_tools first, and then call it as its definition says"
        )


async def found(call: ToolCall, turn: Turn) -> str:
    """The result of `find_tools`: one definition on each line. Raises ToolError."""
    deferred = turn.deferred
    arguments = parse_json((call.arguments or "{}").encode("utf-8", "replace"))
    query = arguments.get("query") if isinstance(arguments, dict) else None
    if deferred is None or not isinstance(query, str) or not query.strip():
        raise ToolError("find_tools needs a `query`, as text")
    tools = await deferred.find(query, turn)
    lines: list[str] = []
    room = MOST_DEFINITION_TOKENS
    for tool in tools:
        line = orjson.dumps(
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        ).decode()
        room -= text_tokens(line)
        if room < 0 and lines:
            break
        lines.append(line)
        turn.trace.found_tools.add(tool.name)
    if not lines:
        names = [tool.name for tool in deferred.tools[:MOST_NAMES]]
        return f"No tool matches. Search in other words; some of the tools are: {', '.join(names)}"
    return "\n".join(["These tools match; call one with call_tool:", *lines])


def _found(messages: Iterable[Message]) -> Iterable[str]:
    """The names of the tools that were found in a conversation, or called without being refused."""
    names: Mapping[str, str] = {}
    for message in messages:
        if message.role == "assistant":
            names = {call.id: call.name for call in message.tool_calls}
        if message.role != "tool":
            continue
        name = names.get(message.tool_call_id or "", message.name)
        if name != FIND_TOOLS.name:
            if name is not None and not message.text().startswith(f"Error: {_not_found(name)}"):
                yield name
        else:
            for line in message.text().splitlines():
                definition = parse_json(line.encode("utf-8", "replace")) if line.startswith("{") else None
                if isinstance(definition, dict) and isinstance(definition.get("name"), str):
                    yield definition["name"]


def _not_found(name: str) -> str:
    return f"the tool '{name}' was not found in this conversation yet"


def _as_sent(message: Message) -> Message:
    """The message with its calls, and the name of its result, as those of `call_tool`."""
    if message.role == "tool" and message.name not in (None, FIND_TOOLS.name):
        return evolve(message, name=CALL_TOOL.name)
    if any(call.name != FIND_TOOLS.name for call in message.tool_calls):
        return evolve(message, tool_calls=tuple(map(_sent, message.tool_calls)))
    return message


def _sent(call: ToolCall) -> ToolCall:
    if call.name in (FIND_TOOLS.name, CALL_TOOL.name):
        return call
    arguments = parse_json((call.arguments or "{}").encode("utf-8", "replace"))
    if not isinstance(arguments, dict):
        arguments = call.arguments
    return evolve(
        call, name=CALL_TOOL.name, arguments=orjson.dumps({"name": call.name, "arguments": arguments}).decode()
    )


def _real(call: ToolCall) -> ToolCall:
    """The call of the tool that `call_tool` names; a call that names none stays as it is, to be refused."""
    if call.name != CALL_TOOL.name:
        return call
    outer = parse_json(call.arguments.encode("utf-8", "replace"))
    name = outer.get("name") if isinstance(outer, dict) else None
    if not isinstance(outer, dict) or not isinstance(name, str) or name in ("", FIND_TOOLS.name, CALL_TOOL.name):
        return call
    arguments = outer.get("arguments")
    if not isinstance(arguments, str):  # some models write the arguments as text
        arguments = "" if arguments is None else orjson.dumps(arguments).decode()
    return evolve(call, name=name, arguments=arguments)


def _without_named_choice(turn: Turn) -> Turn:
    """A deferred tool cannot be the one that must be called: the model has to find it first."""
    choice, deferred = turn.settings.tool_choice, turn.deferred
    if deferred is None or choice not in deferred.by_name:
        return turn
    return turn.replace(settings=turn.settings.replace(tool_choice="required"))


def loaded(calls: Sequence[ToolCall], turn: Turn) -> None:
    """Notes the tools that the provider has loaded: it lets the model call no others."""
    turn.trace.found_tools.update(call.name for call in calls)
