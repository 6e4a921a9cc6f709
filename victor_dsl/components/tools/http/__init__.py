"""The tool that is a request to an HTTP API."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from victor_dsl.components.tools.http.config import Config
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import ToolSource

__all__ = ["EXAMPLE", "Config", "build"]

EXAMPLE = """
type: http
name: lookup_order
description: Looks up an order by its number.
url: "https://api.example.com/orders/{order}?lines={lines}"
parameters: {order: integer, lines: integer?}
bearer_token: "${env:ORDERS_TOKEN}"
cost: low
"""


def build(config: Config, context: Context) -> AbstractAsyncContextManager[ToolSource]:
    """The tool; its connections are open while it is entered."""
    from victor_dsl.components.tools.http.client import http_tool

    return http_tool(config, context)
