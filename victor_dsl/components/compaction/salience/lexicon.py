"""Texts as numbered tokens. What a token says about its message is worked out once, when it is met for the first time."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from attrs import frozen

Runs = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


WORDS_FILE = Path(__file__).parent / "words.toml"

STOP, ASK, SMALL, WORD, NAME, NUMBER, SYMBOL, IDENTIFIER = range(8)
"""The sorts of tokens: the end of a sentence, the end of a question, a word found in every message, another word, a word with a
capital, a short number, a symbol (`snake_case`, an abbreviation, a long number), an identifier (a path, a date, letters with digits).
Their order matters: from WORD on a token tells something, from SYMBOL on it identifies something."""

FIRST_PERSON, SECOND_PERSON, TIME, AMOUNT, PAST, REQUEST = (1 << bit for bit in range(6))
"""The cues that a token may give, as bits: a person, a time, an amount, that something happened, the beginning of a request."""

_APOSTROPHE = "\u2019"
_ASKING = "?\uff1f\u061f"
_ENDING = f".!\u3002\uff01{_ASKING}"
_TOKEN = re.compile(rf'"[^"\n]{{1,60}}"\s*:|(\w+(?:(?:://|[-./:@#+\'{_APOSTROPHE}])\w+)*|[{_ENDING}]+)')
"""JSON keys are skipped, since every record repeats them. Words joined by a mark, as in a path or a date, are one token."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{2,}"
)
_DIGIT = re.compile(r"\d")
_HUMP = re.compile(r"[a-z][A-Z]")
_FILE = re.compile(r"[^.]\.[A-Za-z][A-Za-z0-9]{0,4}$")

LONGEST_RUN = 40
"""A longer run (a record without spaces) is unlikely to occur again, so its tokens become runs of their own."""
LEAST_DIGITS = 4
"""A number with fewer digits is an amount; one with as many or more may be the name of something."""

_WORDS = {name: words.split() for name, words in tomllib.loads(WORDS_FILE.read_text(encoding="utf-8")).items()}
_CUE_BITS = {
    "first_person": FIRST_PERSON,
    "second_person": SECOND_PERSON,
    "time": TIME,
    "amount": AMOUNT,
    "past": PAST,
    "request": REQUEST,
}
_CUES: dict[str, int] = {}
for _name, _bit in _CUE_BITS.items():
    for _word in _WORDS[_name]:
        _CUES[_word] = _CUES.get(_word, 0) | _bit
_SMALL = frozenset([*_WORDS["small"], *_WORDS["first_person"], *_WORDS["second_person"]])


@frozen(eq=False)
class Arrays:
    """What is known of each token: its `sort`, its `cues` and the number of its `term`.

    `in_runs` are the tokens of all runs, one run after the other; run `n` ends before `ends[n]`.
    """

    sort: npt.NDArray[np.uint8]
    cues: npt.NDArray[np.uint8]
    term: Ints
    in_runs: Ints
    ends: Ints

    def tokens(self, runs: Runs) -> tuple[Ints, Ints]:
        """The tokens of these runs, in order, and the number of tokens in each run."""
        ends = self.ends[runs]
        counts = ends - np.where(runs > 0, self.ends[runs - 1], 0)
        shifts = np.repeat(ends - np.cumsum(counts), counts)
        return self.in_runs[np.arange(len(shifts)) + shifts], counts


class Lexicon(dict[str, int]):
    """The number of each run, the characters between two spaces. Looking up a new run adds it and its tokens.

    Most runs of a conversation have occurred before, so that most of reading a text is one look-up for each run. Tokens that
    are forms of one word share a term: case and common English endings do not matter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, int] = {}
        """The tokens, in the order of their numbers."""
        self._terms: dict[str, int] = {}
        self._sort = bytearray()
        self._cue = bytearray()
        self._term: list[int] = []
        self._in_runs: list[int] = []
        self._ends: list[int] = []
        self._arrays: Arrays | None = None

    def read(self, text: str) -> Runs:
        """The text's runs, in order. In scripts without spaces each pair of neighbouring characters is a run."""
        if not text.isascii():
            text = _UNSPACED.sub(_pairs, text)
        runs = text.split()
        if runs and max(map(len, runs)) > LONGEST_RUN:
            runs = [piece for run in runs for piece in ([run] if len(run) <= LONGEST_RUN else _TOKEN.findall(run))]
        return np.array(list(map(self.__getitem__, runs)), dtype=np.int32)

    def __missing__(self, run: str) -> int:
        number = self[run] = len(self)
        if run.isalpha():
            self._in_runs.append(self._number(run))
        elif run[:-1].isalpha() and run[-1] in ",.;:!?":  # most other runs: a word with a mark at its end
            self._in_runs.append(self._number(run[:-1]))
            if run[-1] in ".!?":
                self._in_runs.append(self._number(run[-1]))
        else:
            self._in_runs += [self._number(token) for token in _TOKEN.findall(run) if token]
        self._ends.append(len(self._in_runs))
        self._arrays = None
        return number

    def _number(self, token: str) -> int:
        number = self.tokens.get(token)
        if number is None:
            number = self.tokens[token] = len(self.tokens)
            is_word, folded = token.isalpha(), token.casefold()
            if not is_word:
                folded = folded.replace(_APOSTROPHE, "'")
            self._sort.append(self._word(token, folded) if is_word else self._other(token, folded))
            cue = _CUES.get(folded, 0)
            if not is_word and _DIGIT.search(token):
                cue |= AMOUNT
            if folded[-2:] == "ed" and len(folded) > 4:
                cue |= PAST
            self._cue.append(cue)
            self._term.append(self._terms.setdefault(_stem(folded), len(self._terms)))
        return number

    @property
    def term_count(self) -> int:
        """The number of terms."""
        return len(self._terms)

    @property
    def arrays(self) -> Arrays:
        """What is known of all tokens and runs, as arrays."""
        if self._arrays is None:
            self._arrays = Arrays(
                np.array(self._sort, dtype=np.uint8),
                np.array(self._cue, dtype=np.uint8),
                np.array(self._term, dtype=np.int64),
                np.array(self._in_runs, dtype=np.int64),
                np.array(self._ends, dtype=np.int64),
            )
        return self._arrays

    def _word(self, token: str, folded: str) -> int:
        if folded in _SMALL:
            return SMALL
        if token.islower():
            return WORD
        if _HUMP.search(token) or (len(token) > 2 and token.isupper()):
            return SYMBOL
        return NAME if token[0].isupper() else WORD

    def _other(self, token: str, folded: str) -> int:
        if not (token[0].isalnum() or token[0] == "_"):
            return ASK if any(mark in token for mark in _ASKING) else STOP
        if token.isdigit():
            return SYMBOL if len(token) >= LEAST_DIGITS else NUMBER
        if _DIGIT.search(token) or "@" in token or "/" in token or _FILE.search(token):
            return IDENTIFIER
        if "_" in token or "." in token or ":" in token:
            return SYMBOL
        return self._word(token, folded)


def _pairs(run: re.Match[str]) -> str:
    text = run.group()
    return f" {' '.join(text[i : i + 2] for i in range(len(text) - 1))} "


def _stem(word: str) -> str:
    """The word without a common English ending, so that `painted` and `painting` match."""
    word = word.removesuffix("'s")
    last, length = word[-1:], len(word)
    if last == "s" and length > 3:
        if length > 4 and word.endswith("ies"):
            word = word[:-3] + "y"
        elif word[-2] not in "sui":
            word = word[:-1]
        last = word[-1]
    if last == "g" and len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
    elif last == "d" and len(word) > 4 and word[-2] == "e":
        word = word[:-2]
    if len(word) > 3:
        if word[-1] == "e":
            word = word[:-1]
        if len(word) > 3 and word[-1] == word[-2]:
            word = word[:-1]
    return word
