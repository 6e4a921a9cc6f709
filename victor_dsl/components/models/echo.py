"""A model that answers with what it was told: for trying out a spec, and for measuring everything but a model."""

from __future__ import annotations

from pydantic import Field

from victor_dsl.components.models._estimate import Estimate
from victor_dsl.components.models._words import say
from victor_dsl.language.component import Context
from victor_dsl.language.config import ModelConfig
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.turn import Turn


class Config(ModelConfig):
    """Answers with the latest user message, at once and without a network."""

    prefix: str = Field("", description="A text before every answer.", examples=["You said: "])
    reply: str | None = Field(
        None, description="A fixed answer, whatever was said. Left out: the latest user message.", examples=["Hello!"]
    )


EXAMPLE = '{type: echo, prefix: "You said: "}'


class Echo:
    """Answers with the latest user message."""

    def __init__(self, config: Config) -> None:
        self._prefix = config.prefix
        self._reply = config.reply
        self._estimate = Estimate(config)

    async def answer(self, turn: Turn) -> Reply:
        """The same answer to the same turn, always."""
        text = self._prefix + (turn.latest_user_text() if self._reply is None else self._reply)
        if turn.streaming:
            await say(text, turn)
        message = Message("assistant", text)
        return Reply(message, self._estimate.usage(turn, message))


def build(config: Config, context: Context) -> Echo:
    """The live model."""
    return Echo(config)
