"""Asks a model for a summary, counts what that costs, and checks what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from victor_dsl.errors import ComponentError, ModelError
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import Model
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.settings import Settings
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.turn import Turn, discard

UNKNOWN_WINDOW = 16_384
"""What is taken for the context window of a model whose own is not known, in tokens."""
MOST_PIECE = 32_768
"""The most tokens of messages in one call: over that, models overlook more."""
WORDS_PER_TOKEN = 0.6
"""A token of four characters is about 0.7 English words; models overrun what they are told a little."""


class Summarizer:
    """One model with its prompt. `identity` tells its summaries from those of another model or prompt."""

    def __init__(self, config: Any, context: Context) -> None:
        self._model: Model = context.live(config.model)
        self._name = str(config.model).partition("/")[2]
        self._prompt: str = config.prompt
        self._context = context
        model: Any = context.configs.get(config.model)
        self._window = (model.window() if model is not None else None) or UNKNOWN_WINDOW
        self.identity = f"{config.model}\0{config.prompt}"

    def room(self, limit: int) -> int:
        """The tokens of messages that one call can take beside the prompt, the summary so far and the answer."""
        free = self._window - text_tokens(self._prompt) - _answer_tokens(limit) - limit - 200
        return max(min(free * 3 // 4, MOST_PIECE), 256)

    def note(self, limit: int, parts: int) -> str:
        """What stands in a summary's place where no model may be called."""
        return f"[up to {limit} tokens that '{self._name}' writes about {parts} exchanges when the turn runs]"

    async def write(self, before: str, texts: Sequence[str], limit: int, turn: Turn) -> str:
        """The summary so far carried on over these texts. Raises ComponentError or ModelError."""
        asked = "\n\n".join([*(["Summary of what came before:", before] if before else []), "Messages:", *texts])
        ask = turn.around_model(self._ask)
        reply = await ask(
            turn.replace(
                system=f"{self._prompt}\n\nUse at most {int(limit * WORDS_PER_TOKEN)} words.",
                messages=(Message("user", asked),),
                settings=Settings(model=self._name, max_tokens=_answer_tokens(limit)),
                tools=(),
                emit=discard,
                streaming=False,
            )
        )
        summary = reply.message.text().strip()
        if not summary:
            raise ComponentError(f"'{self._name}' gave an empty summary")
        if text_tokens(summary) > limit:
            raise ComponentError(
                f"the summary by '{self._name}' has {text_tokens(summary)} tokens; it may have {limit}"
            )
        return summary

    async def _ask(self, turn: Turn) -> Reply:
        """The model's reply; the call is counted like those that answer."""
        started = self._context.clock.monotonic()
        about: dict[str, Any] = {"model": self._name, "purpose": "summary", "ttft_ms": None}
        try:
            reply = await self._model.answer(turn)
        except ModelError as error:
            error.node = error.node or f"models/{self._name}"
            about |= {"latency_ms": self._since(started), "error": error.kind, "status": error.status}
            turn.record("model_call", about)
            raise
        usage = reply.usage
        turn.trace.usage += usage
        tokens = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_tokens": usage.cached_tokens,
            "cost_usd": usage.cost_shown,
        }
        about |= {"latency_ms": self._since(started), "response_model": reply.model, "stop_reason": reply.stop_reason}
        turn.record("model_call", {**about, "error": None, **tokens})
        turn.record("token_usage", {"model": self._name, "purpose": "summary", **tokens})
        return reply

    def _since(self, started: float) -> float:
        return round((self._context.clock.monotonic() - started) * 1000, 3)


def _answer_tokens(limit: int) -> int:
    """What the model may write, in its own tokens: these may be smaller than ours, and some models think first."""
    return 2 * limit + 256
