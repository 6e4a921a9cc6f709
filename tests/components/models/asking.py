"""What the tests of hosted models share: a model that asks a played-back server, and turns to ask it with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.components.context import TURN, surroundings
from victor_dsl.components.models import anthropic, openai
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import Model
from victor_dsl.values.message import Delta, Message, ToolCall
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

KEY = "sk-very-secret-1234567890"
MODULES = {"openai": openai, "responses": openai, "anthropic": anthropic}
"""The modules of the APIs."""
PATHS = {"openai": "/v1", "responses": "/v1", "anthropic": ""}
API: dict[str, dict[str, Any]] = {"openai": {}, "responses": {"api": "responses"}, "anthropic": {}}

HELLO = TURN.replace(messages=(Message("user", "Hello!"),))
WEATHER = Tool("weather", "The weather of a city.", {"type": "object", "properties": {"city": {"type": "string"}}})
ASKED_WEATHER = (
    Message("user", "How is the weather in Paris?"),
    Message("assistant", None, (ToolCall("call_1", "weather", '{"city": "Paris"}'),)),
    Message("tool", "Rain.", tool_call_id="call_1"),
)


@asynccontextmanager
async def asking(type: str, url: str, **fields: Any) -> AsyncIterator[Model]:
    """An open model of that type at that address."""
    module = MODULES[type]
    written = {
        "model": "test-model",
        "base_url": url + PATHS[type],
        "api_key": Secret("env", "KEY"),
        **API[type],
        **fields,
    }
    config = module.Config.model_validate(written)
    around = surroundings(Path("/nowhere"), "models/main", environment={"KEY": KEY})
    async with module.build(config, around.context) as model:
        yield model


class Listener:
    """Takes the pieces of a stream."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.thoughts = ""

    async def emit(self, delta: Delta) -> None:
        assert delta.text or delta.reasoning
        self.thoughts += delta.reasoning
        if delta.text:
            self.pieces.append(delta.text)

    def to(self, turn: Turn) -> Turn:
        """The turn with this listener."""
        return turn.replace(streaming=True, emit=self.emit)

    @property
    def text(self) -> str:
        return "".join(self.pieces)
