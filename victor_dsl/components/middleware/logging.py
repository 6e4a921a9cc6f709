"""The middleware that logs one line for each turn, model call or tool call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from victor_dsl.errors import VictorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig
from victor_dsl.lazy import Lazy
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn

if TYPE_CHECKING:
    import logging
else:
    logging = Lazy("logging")

AROUND = "turn"
MOST_CHARACTERS = 200
PUNCTUATION = str.maketrans("", "", "-_.")


class Config(MiddlewareConfig):
    """Logs one line at the end of each turn (or, with `around`, of each model call or tool call).

    The line is machine-readable: `turn session=s1 ms=812.4 outcome=stop model=main input_tokens=310 output_tokens=42`. It
    goes to Python's logger `victor.<name>`; failures are logged as warnings or above. The text of a conversation is logged
    only with `contents`, and errors by their kind only.
    """

    level: Literal["debug", "info", "warning"] = Field(
        "info", description="The level for successful turns. The default is `info`.", examples=["debug"]
    )
    contents: bool = Field(
        False,
        description="Whether the line shows the beginning of the user's message (or of a tool's arguments) and of the answer. "
        "By default it does not, since these may contain secrets and personal data.",
    )


EXAMPLE = "{type: logging, level: info}"


def build(config: Config, context: Context) -> Logging:
    """The middleware."""
    return Logging(config, context)


class Logging:
    """Logs one line for each call of the handler. Streams and replies pass unchanged."""

    def __init__(self, config: Config, context: Context) -> None:
        self._what = config.around or AROUND
        self._contents = config.contents
        self._clock = context.clock
        self._logger = logging.getLogger(f"victor.{context.node.rpartition('/')[2]}")
        self._level: int = getattr(logging, config.level.upper())
        self._failure_level = max(self._level, logging.WARNING)

    def wrap(self, handler: Handler) -> Handler:
        async def logged(turn: Turn) -> Reply:
            start = self._clock.monotonic()
            try:
                reply = await handler(turn)
            except Exception as error:
                self._log(turn, start, self._failure_level, {"outcome": "error", "error": kind_of(error)})
                raise
            except BaseException:
                self._log(turn, start, self._failure_level, {"outcome": "cancelled"})
                raise
            if self._logger.isEnabledFor(self._level):
                self._log(turn, start, self._level, self._outcome(reply))
            return reply

        return logged

    def _outcome(self, reply: Reply) -> dict[str, Any]:
        values = {
            "outcome": reply.stop_reason,
            "model": reply.model,
            **reply.usage.as_json(),
            "tool_calls": len(reply.message.tool_calls) or None,
        }
        if self._contents:
            values["answer"] = beginning(reply.message.text())
        return values

    def _log(self, turn: Turn, start: float, level: int, values: dict[str, Any]) -> None:
        fields: dict[str, Any] = {
            "session": turn.session,
            "tenant": turn.tenant,
            "id": turn.id,
            "tool": turn.call.name if turn.call else None,
            "ms": round((self._clock.monotonic() - start) * 1000, 1),
            **values,
        }
        if self._contents:
            fields["message"] = beginning(turn.call.arguments if turn.call else turn.latest_user_text())
        self._logger.log(level, "%s %s", self._what, line(fields), extra={"victor": fields})


def line(fields: dict[str, Any]) -> str:
    """The fields that are set, as `name=value`."""
    return " ".join(f"{name}={word(value)}" for name, value in fields.items() if value is not None)


def word(value: Any) -> str:
    """A value without blanks, line breaks or control characters: as it is, or as JSON."""
    text = str(value)
    is_plain = text.isascii() and text.translate(PUNCTUATION).isalnum()
    return text if is_plain else json.dumps(text)


def kind_of(error: Exception) -> str:
    """The kind of an error. Its text is not logged, since it may quote the conversation."""
    return str(error.to_dict()["code"]) if isinstance(error, VictorError) else type(error).__name__


def beginning(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
