"""What models without a server share: estimated usage, and streaming word by word."""

from __future__ import annotations

import re

from victor_dsl.components.prices import Prices, own_prices, reported_usage
from victor_dsl.language.config import ModelConfig
from victor_dsl.values.message import Delta, Message, Usage, messages_tokens
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import tools_tokens
from victor_dsl.values.turn import Turn

_WORD = re.compile(r"\s*\S+\s*|\s+")


class OfflineConfig(ModelConfig):
    """The fields of a model without a server, whose prices are those that the spec writes."""

    def prices(self) -> Prices | None:
        """Its prices, or None without those of input and output."""
        return own_prices(self)


class UsageEstimate:
    """Estimates the usage of a turn as `values.tokens` does."""

    def __init__(self, config: OfflineConfig) -> None:
        self.prices = config.prices()

    def usage(self, turn: Turn, answer: Message) -> Usage:
        """The tokens of a turn and its answer, and their cost where the spec has a price."""
        input_tokens = text_tokens(turn.system or "") + messages_tokens(turn.messages) + tools_tokens(turn.tools)
        output_tokens = text_tokens(answer.counted_text())
        return reported_usage(self.prices, input=input_tokens, output=output_tokens)


async def stream_words(text: str, turn: Turn) -> None:
    """Emits the text word by word if the turn is streamed. The words contain all of its white space."""
    if turn.streaming:
        for word in _WORD.findall(text):
            await turn.emit(Delta(word))
