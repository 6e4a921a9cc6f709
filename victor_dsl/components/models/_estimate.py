"""The usage of models that report none: the stated estimate of `values.tokens`."""

from __future__ import annotations

from victor_dsl.language.config import ModelConfig
from victor_dsl.values.message import Message, Usage
from victor_dsl.values.tokens import MESSAGE_OVERHEAD, message_tokens, messages_tokens, text_tokens, tool_tokens
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


class Estimate:
    """Counts a turn and its answer. The tools are counted anew only where they are other ones than last time."""

    def __init__(self, config: ModelConfig) -> None:
        self._price = config.price()
        self._tools: tuple[Tool, ...] = ()
        self._tools_tokens = 0

    def usage(self, turn: Turn, answer: Message) -> Usage:
        """Tokens in and out, and their cost where the spec gives a price."""
        if turn.tools != self._tools:  # quick for the same ones: a tuple's elements are compared by identity first
            self._tools, self._tools_tokens = turn.tools, sum(map(tool_tokens, turn.tools))
        system = text_tokens(turn.system) if turn.system else 0
        sent = system + messages_tokens(turn.messages) + self._tools_tokens
        written = message_tokens(answer) - MESSAGE_OVERHEAD
        cost = None
        if self._price is not None:
            cost = (sent * self._price[0] + written * self._price[1]) / 1_000_000
        return Usage(sent, written, cost)
