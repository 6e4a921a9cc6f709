"""Middleware as an onion around a handler."""

from __future__ import annotations

from collections.abc import Sequence

from victor_dsl.language.kinds import Middleware
from victor_dsl.values.turn import Handler


def chain(layers: Sequence[Middleware], handler: Handler) -> Handler:
    """The handler with all layers around it, the first outermost. Without layers it is the handler itself."""
    for layer in reversed(layers):
        handler = layer.wrap(handler)
    return handler
