"""What a conversation asks for: the latest user message, and where it says little, those before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

from victor_dsl.components.tool_selection._words import Words, spoken_weight
from victor_dsl.values.turn import Turn

ENOUGH_TERMS = 4
"""A message with fewer telling words ("yes", "do it again") is read together with those before it."""

LOOK_BACK = 4
"""How many earlier messages may help out; each counts half of the one after it."""

LONGEST_TEXT = 8_000
"""Of a longer message (a pasted file) the first and last halves of so many characters are read."""

MOST_CLAUSES = 8
"""Of a message of more clauses, the first and last halves of so many count by themselves."""

_CLAUSE_ENDS = re.compile(r"(?<=[.!?;])\s+|(?<=[\u3002\uff01\uff1f\uff1b])|\n+")


@frozen
class Asking:
    """A text that asks for tools, and its words with weights. The text is empty where it has no word."""

    text: str
    words: Mapping[str, float]


@frozen
class Asked:
    """What is asked for: as a whole, the latest message last, and by clauses where one message of several says enough."""

    whole: Asking
    clauses: tuple[Asking, ...] = ()


def asked(turn: Turn, words: Words) -> Asked:
    """What the conversation asks for; an earlier message counts half of the one after it."""
    whole: dict[str, float] = {}
    clauses: list[Asking] = []
    texts: list[str] = []
    for back, text in enumerate(_asking(turn)):
        if len(whole) >= ENOUGH_TERMS:
            break
        texts.append(text)
        share = 0.5**back
        for part in _CLAUSE_ENDS.split(text) if back == 0 else [text]:
            found = {term: share * spoken_weight(term) for term in words.terms(part)}
            whole = found | whole
            if back == 0 and 1.0 in found.values():
                clauses.append(Asking(part, found))
    if len(texts) > 1 or len(clauses) == 1:
        clauses = []
    elif len(clauses) > MOST_CLAUSES:
        clauses = clauses[: MOST_CLAUSES // 2] + clauses[-MOST_CLAUSES // 2 :]
    return Asked(Asking("\n".join(reversed(texts)) if whole else "", whole), tuple(clauses))


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
