"""The shop's tools, a piece of its prompt and a rule of its house."""

from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn


def lookup_order(number: int) -> str:
    """Where an order is.

    Args:
        number: The order's number.
    """
    return f"Order {number} left the warehouse on Tuesday."


def refund(number: int) -> str:
    """Refund an order; a person looks at each of them."""
    return f"The refund of order {number} is under way."


def opening_hours(turn: Turn) -> str:
    """When people can be reached, for callers that are known."""
    return "People answer the telephone from 9 to 17." if turn.user else ""


async def courtesy(turn: Turn, handler: Handler) -> Reply:
    """Lets every turn pass, and could change it, or its reply."""
    return await handler(turn)
