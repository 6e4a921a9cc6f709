"""Rules of the house, as middleware."""

from victor_dsl.errors import Refused
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn


async def no_legal_advice(turn: Turn, handler: Handler) -> Reply:
    """Refuses before a model is asked, and before anything is paid for."""
    if "lawsuit" in turn.messages[-1].text().lower():
        raise Refused("legal questions go to a person: write to the address on the contact page")
    return await handler(turn)
