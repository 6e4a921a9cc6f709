"""The usage of models that report none: the stated estimate of `values.tokens`."""

from __future__ import annotations

from victor_dsl.language.config import ModelConfig
from victor_dsl.values.message import Message, Usage, messages_tokens
from victor_dsl.values.tokens import MESSAGE_OVERHEAD, text_tokens
from victor_dsl.values.turn import Turn


class Estimate:
    """Counts a turn and its answer by the stated rule."""

    def __init__(self, config: ModelConfig) -> None:
        self._price = config.price()

    def usage(self, turn: Turn, answer: Message) -> Usage:
        """Tokens in and out, and their cost where the spec gives a price."""
        tools = sum([tool.tokens for tool in turn.tools])
        sent = text_tokens(turn.system or "") + messages_tokens(turn.messages) + tools
        written = answer.tokens - MESSAGE_OVERHEAD
        cost = None
        if self._price is not None:
            cost = (sent * self._price[0] + written * self._price[1]) / 1_000_000
        return Usage(sent, written, cost)
