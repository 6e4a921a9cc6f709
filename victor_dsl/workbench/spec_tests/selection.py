"""Chooses tests by an expression over their names, as `pytest -k` does."""

from __future__ import annotations

import re
from collections.abc import Callable

from victor_dsl.errors import UsageError

Chosen = Callable[[str], bool]

_WORD = re.compile(r"""\s*(?:(\()|(\))|"([^"]*)"|'([^']*)'|([^\s()"']+))""")
MOST_WORDS = 200


def selecting(expression: str) -> Chosen:
    """Whether a name is chosen: it has the words of the expression, upper case or lower, with `and`, `or`, `not` and brackets.

    Words that follow each other are one phrase. Raises UsageError.

    >>> chosen = selecting("acme and not french")
    >>> chosen("Acme gets HIPAA"), chosen("acme gets French")
    (True, False)
    >>> selecting("gets hipaa or 'not sure'")("is NOT sure")
    True
    """
    parser = _Parser(expression)
    chosen = parser.either()
    if parser.words:
        raise parser.fault(f"'{parser.words[0][1]}' is not expected here")
    return chosen


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.words: list[tuple[str, str]] = []
        at = 0
        while expression[at:].strip():
            found = _WORD.match(expression, at)
            if found is None:
                raise self.fault("a quote is not closed")
            opens, closes, double, single, word = found.groups()
            quoted = double if double is not None else single
            kind = "bracket" if opens or closes else "text" if quoted is not None else "word"
            text = opens or closes or (quoted if quoted is not None else word)
            self.words.append(("operator" if kind == "word" and text in ("and", "or", "not") else kind, text))
            at = found.end()
        if len(self.words) > MOST_WORDS:
            raise self.fault(f"it has more than {MOST_WORDS} words")

    def fault(self, what: str) -> UsageError:
        return UsageError(
            f"-k '{self.expression}': {what}", hint="write words of names with `and`, `or`, `not` and brackets"
        )

    def either(self) -> Chosen:
        left = self.both()
        while self.take("operator", "or"):
            left = _or(left, self.both())
        return left

    def both(self) -> Chosen:
        left = self.one()
        while self.take("operator", "and"):
            left = _and(left, self.one())
        return left

    def one(self) -> Chosen:
        if self.take("operator", "not"):
            inner = self.one()
            return lambda name: not inner(name)
        if self.take("bracket", "("):
            inner = self.either()
            if not self.take("bracket", ")"):
                raise self.fault("a bracket is not closed")
            return inner
        phrase = []
        while self.words and self.words[0][0] in ("word", "text"):
            phrase.append(self.words.pop(0)[1])
        text = " ".join(phrase).lower()
        if not text.strip():
            raise self.fault("a word is missing" + (f" before '{self.words[0][1]}'" if self.words else " at the end"))
        return lambda name: text in name.lower()

    def take(self, *word: str) -> bool:
        if self.words and self.words[0] == word:
            self.words.pop(0)
            return True
        return False


def _or(left: Chosen, right: Chosen) -> Chosen:
    return lambda name: left(name) or right(name)


def _and(left: Chosen, right: Chosen) -> Chosen:
    return lambda name: left(name) and right(name)
