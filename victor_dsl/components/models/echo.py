"""A model that repeats the user's message: for trying out a spec, and for measuring everything except a model."""

from __future__ import annotations

from pydantic import Field

from victor_dsl.components.offline_models import OfflineConfig, UsageEstimate, stream_words
from victor_dsl.language.component import Context
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.turn import Turn


class Config(OfflineConfig):
    """Answers with the latest user message, at once and without a network."""

    prefix: str = Field("", description="A text before every answer.", examples=["You said: "])
    reply: str | None = Field(
        None, description="The answer to every message. The default is the latest user message.", examples=["Hello!"]
    )


OFFLINE = True
EXAMPLE = '{type: echo, prefix: "You said: "}'


def build(config: Config, context: Context) -> Echo:
    """The model; it has no state."""
    return Echo(config)


class Echo:
    """Answers with the latest user message."""

    def __init__(self, config: Config) -> None:
        self._prefix = config.prefix
        self._reply = config.reply
        self._estimate = UsageEstimate(config)

    async def answer(self, turn: Turn) -> Reply:
        """The answer, which depends on the turn alone."""
        text = self._prefix + (turn.latest_user_text() if self._reply is None else self._reply)
        await stream_words(text, turn)
        message = Message("assistant", text)
        return Reply(message, self._estimate.usage(turn, message))
