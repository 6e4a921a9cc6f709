"""What the prompt says of the turn itself."""

from victor_dsl.values.turn import Turn


def on_duty(turn: Turn) -> str:
    """Who takes over where the assistant cannot go on."""
    return f"If you are stuck, name the engineer on duty to {turn.user}: Kim." if turn.user else ""
