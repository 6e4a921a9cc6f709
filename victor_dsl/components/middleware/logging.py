"""The middleware that writes a line to the log for each turn, model call or tool call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from victor_dsl.errors import VictorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn

if TYPE_CHECKING:
    from logging import Logger

AROUND = "turn"
MOST_CHARACTERS = 200


class Config(MiddlewareConfig):
    """Logs one line for each turn (or, with `around`, for each model call or tool call) when it has ended.

    The line has words and values that machines can read: `turn session=s1 ms=812.4 outcome=stop model=main
    input_tokens=310 output_tokens=42`. It goes to Python's logger `victor.<name>`; failures are logged as warnings at
    least. What is said in a conversation is not logged unless `contents` asks for it, and errors by their kind only.
    """

    level: Literal["debug", "info", "warning"] = Field(
        "info", description="The level of the lines of turns that went well. The default is `info`.", examples=["debug"]
    )
    contents: bool = Field(
        False,
        description="Whether the line holds the beginning of the user's message (or a tool's arguments) and of the answer. "
        "By default it does not, since these may hold secrets and personal data.",
    )


EXAMPLE = "{type: logging, level: info}"


class Logging:
    """One line for each call of the handler. Streams and replies pass untouched."""

    def __init__(self, config: Config, context: Context, logger: Logger, levels: dict[str, int]) -> None:
        self._what = config.around or AROUND
        self._contents = config.contents
        self._clock = context.clock
        self._logger = logger
        self._level = levels[config.level]
        self._failure_level = max(self._level, levels["warning"])

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
                self._log(turn, start, self._level, self._said(reply))
            return reply

        return logged

    def _said(self, reply: Reply) -> dict[str, Any]:
        usage = reply.usage
        values = {
            "outcome": reply.stop_reason,
            "model": reply.model,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": usage.cost_shown,
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
    """The fields that are set, as `name=value`; a text with anything but plain characters in it is written as JSON."""
    return " ".join(f"{name}={word(value)}" for name, value in fields.items() if value is not None)


def word(value: Any) -> str:
    """A value as one word without line breaks, quotes of its own or control characters."""
    text = str(value)
    return (
        text
        if text.isascii() and text.replace("-", "").replace("_", "").replace(".", "").isalnum()
        else json.dumps(text)
    )


def kind_of(error: Exception) -> str:
    """What kind of error it is; its text may hold what was said, and is not logged."""
    return str(error.as_json()["code"]) if isinstance(error, VictorError) else type(error).__name__


def beginning(text: str) -> str:
    """The beginning of a text."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def build(config: Config, context: Context) -> Logging:
    """The middleware, with the logger of its own name."""
    import logging

    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
    name = context.node.rpartition("/")[2]
    return Logging(config, context, logging.getLogger(f"victor.{name}"), levels)
