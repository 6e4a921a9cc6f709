"""What a conversation asks for: the latest user message, and where it says little, those before it."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.components.tool_selection._lexical import terms
from victor_dsl.values.turn import Turn

ENOUGH_TERMS = 4
"""A message with fewer telling words ("yes", "do it again") is read together with those before it."""

LOOK_BACK = 4
"""How many earlier messages may help out; each counts half of the one after it."""

LONGEST_TEXT = 8_000
"""Of a longer message (a pasted file) the first and last halves of so many characters are read."""


def query(turn: Turn) -> dict[str, float]:
    """The words that ask for tools, with weights: an earlier message counts half of the one after it."""
    weights: dict[str, float] = {}
    for back, text in enumerate(_asking(turn)):
        if len(weights) >= ENOUGH_TERMS:
            break
        for term in terms(text):
            weights.setdefault(term, 0.5**back)
    return weights


def query_text(turn: Turn) -> str:
    """The messages that ask for tools as one text, the latest last; empty where they hold no word."""
    found: list[str] = []
    telling: set[str] = set()
    for text in _asking(turn):
        found.append(text)
        telling.update(terms(text))
        if len(telling) >= ENOUGH_TERMS:
            break
    return "\n".join(reversed(found)) if telling else ""


def _asking(turn: Turn) -> Iterator[str]:
    """The latest user message and the few before it, latest first."""
    latest = next((i for i in reversed(range(len(turn.messages))) if turn.messages[i].role == "user"), None)
    if latest is None:
        return
    earlier = (message for message in reversed(turn.messages[: latest + 1]) if message.role in {"user", "assistant"})
    for _, message in zip(range(LOOK_BACK + 1), earlier, strict=False):
        yield _ends(message.text())


def _ends(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT // 2]} {text[-LONGEST_TEXT // 2 :]}"
