"""Middleware as an onion around a handler."""

from __future__ import annotations

from collections.abc import Sequence

from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import internal_error, is_unforeseen
from victor_dsl.language.kinds import Middleware
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn

Layer = tuple[str, Middleware]
"""A middleware and the id of its node."""


def chain(layers: Sequence[Layer], handler: Handler) -> Handler:
    """The handler with all layers around it, the first outermost. Without layers it is the handler itself.

    A fault of a layer becomes a ComponentError that names it. Raises ComponentError where a layer cannot wrap.
    """
    for node, layer in reversed(layers):
        try:
            wrapped = layer.wrap(handler)
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            raise internal_error(error, node) from error
        handler = _guarded(wrapped, node)
    return handler


def _guarded(handler: Handler, node: str) -> Handler:
    async def guarded(turn: Turn) -> Reply:
        try:
            reply = await handler(turn)
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            raise internal_error(error, node) from error
        if not isinstance(reply, Reply):
            raise ComponentError(f"a middleware returned {type(reply).__name__} instead of a Reply", node=node)
        return reply

    return guarded
