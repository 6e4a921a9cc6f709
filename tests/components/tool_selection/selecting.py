"""Strategies built from the fields of a spec, and turns to select for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.components.context import TURN, surroundings
from tests.transcripts import message
from victor_dsl.language.kinds import Embedder, ToolSelection
from victor_dsl.language.registry import Registry
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


def tool(name: str, description: str = "", **fields: Any) -> Tool:
    return Tool(name, description, **fields)


def embedder(type: str = "tfidf") -> Embedder:
    component = Registry(entry_points=False).find("embedders", type)
    assert component is not None
    live: Embedder = component.build(component.config(), surroundings(Path()).context)
    return live


@define
class Counting:
    """An embedder that records its calls."""

    inner: Embedder = field(factory=embedder)
    calls: list[Sequence[str]] = field(factory=list)

    async def embed(self, texts: Sequence[str]) -> Any:
        self.calls.append(texts)
        return await self.inner.embed(texts)


def strategy(type: str, needs: dict[str, Any] | None = None, node: str = "", **config: Any) -> ToolSelection:
    """The strategy of a type, as the section's own unless `node` names it as another's."""
    component = Registry(entry_points=False).find("tool_selection", type)
    assert component is not None
    context = surroundings(Path(), node or f"tool_selection/{type}", needs=needs).context
    live: ToolSelection = component.build(component.config(**config), context)
    return live


def asking(*texts: str | Message, k: int | None = None, alpha: float | None = None, **fields: Any) -> Turn:
    messages = tuple(message("user", text) if isinstance(text, str) else text for text in texts)
    return TURN.replace(messages=messages, settings=Settings(k=k, alpha=alpha), **fields)


async def names(live: ToolSelection, tools: Sequence[Tool], turn: Turn) -> list[str]:
    return [tool.name for tool in await live.select(tools, turn)]
