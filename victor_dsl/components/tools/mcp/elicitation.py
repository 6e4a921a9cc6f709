"""Answers servers that ask the user for input during a call: no user can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult

from victor_dsl.components.tools.mcp.config import Elicitation


class Elicitations:
    """Declines requests for input; in the mode `defaults` it accepts forms whose required fields all have defaults.

    `report` gets a message for each that is declined.
    """

    def __init__(self, mode: Elicitation, report: Callable[[str], None]) -> None:
        self._mode = mode
        self._report = report

    async def answer(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """The answer to one request for input."""
        if self._mode == "defaults" and isinstance(params, ElicitRequestFormParams):
            schema: dict[str, Any] = params.requested_schema
            fields = schema.get("properties")
            fields = fields if isinstance(fields, dict) else {}
            content = {
                name: field["default"]
                for name, field in fields.items()
                if isinstance(field, dict) and "default" in field
            }
            if content.keys() >= set(schema.get("required") or ()):
                return ElicitResult(action="accept", content=content)
        self._report("the MCP server asks users for input in its calls, which is declined: no user can be asked")
        return ElicitResult(action="decline")
