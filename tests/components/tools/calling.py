"""Calls of tools as a turn makes them: within their limits, and with failures as texts for the model."""

from __future__ import annotations

from tests.components.context import TURN, StillClock
from victor_dsl.graph.plan import Node
from victor_dsl.language.config import ToolConfig
from victor_dsl.language.kinds import ToolSource
from victor_dsl.runtime.tool_calls import ToolCalls
from victor_dsl.source.located import Span
from victor_dsl.values.message import Message, ToolCall
from victor_dsl.values.turn import Turn


async def answer(source: ToolSource, config: ToolConfig, arguments: str, *, turn: Turn = TURN) -> str:
    """The text that the model receives for a call of the source's only tool."""
    return (await answer_message(source, config, arguments, turn=turn)).text()


async def answer_message(source: ToolSource, config: ToolConfig, arguments: str, *, turn: Turn = TURN) -> Message:
    """The message that answers a call of the source's only tool."""
    (tool,) = tools = tuple(await source.tools())
    node = Node(tool.source or "", "tested", config, (), Span("victor.yml", 1, 1, 1, 1), "")
    calls = ToolCalls([(node, source)], (), StillClock())
    [message] = await calls.answer([ToolCall("c1", tool.name, arguments)], turn.replace(tools=tools), {})
    return message
