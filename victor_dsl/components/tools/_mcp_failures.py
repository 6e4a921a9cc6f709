"""Every way that a connection to an MCP server fails, in plain words, with nothing secret in it."""

from __future__ import annotations

from collections.abc import Iterable

import httpx2
from attrs import field, frozen
from mcp.shared.exceptions import MCPError

MOST_CHARACTERS = 500


@frozen
class Failures:
    """Tells the failures of one server. `secrets` are cut out of whatever is said."""

    startup_seconds: float
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def told(self, error: BaseException) -> str:
        """What went wrong."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        match error:
            case MCPError():
                what = f"refused: {error.message}"
            case FileNotFoundError() | NotADirectoryError() | PermissionError():
                what = f"cannot be started: '{error.filename}': {error.strerror}"
            case TimeoutError():
                what = f"did not answer within {self.startup_seconds:g} s"
            case httpx2.ConnectError():
                what = f"cannot be reached: {error}"
            case _:
                what = f"failed: {type(error).__name__}: {error}"
        return self.without_secrets(what)[:MOST_CHARACTERS]

    def without_secrets(self, text: str) -> str:
        """The text, each secret in it as `***`."""
        return hidden(text, self.secrets)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text, each secret in it as `***`."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
