"""Reads texts as numbered runs of tokens, and tells once for each token what it says of the message that holds it."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from attrs import frozen

Runs = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


STOP, ASK, SMALL, WORD, NAME, NUMBER, SYMBOL, IDENTIFIER = range(8)
"""What sort a token is of: the end of a sentence or of a question, a word of every message, a word, one with a capital, a
short number, a symbol (`snake_case`, an abbreviation, a long number), an identifier (a path, a date, letters with digits)."""

FIRST_PERSON, SECOND_PERSON, TIME, AMOUNT, PAST, REQUEST = (1 << bit for bit in range(6))
"""What cues a token gives: who speaks of whom; that a time or an amount is told, that something happened; or what a
request begins with."""

_APOSTROPHE = "\u2019"
_ASKING = "?\uff1f\u061f"
_ENDING = f".!\u3002\uff01{_ASKING}"
_TOKEN = re.compile(rf'"[^"\n]{{1,60}}"\s*:|(\w+(?:(?:://|[-./:@#+\'{_APOSTROPHE}])\w+)*|[{_ENDING}]+)')
"""A key of JSON is passed over: it is in every record. Words joined by a mark, as in a path or a date, are one token."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]{2,}"
)
_DIGIT = re.compile(r"\d")
_HUMP = re.compile(r"[a-z][A-Z]")
_FILE = re.compile(r"[^.]\.[A-Za-z][A-Za-z0-9]{0,4}$")

LONGEST_KNOWN = 40
"""A longer run (a record without spaces) is hardly met again: its tokens are runs of their own."""
LEAST_DIGITS = 4
"""A number of fewer digits is an amount; one of so many, or of more, may name something."""

_FIRST = "i i'm i've i'd i'll im me my mine myself we we're we've we'd we'll our ours us"
_SECOND = "you you're you've you'd you'll your yours yourself u ya"
_TIME = (
    "yesterday today tonight tomorrow ago last next day days morning evening night week weeks weekend month months year "
    "years recently since soon monday tuesday wednesday thursday friday saturday sunday january february march april june "
    "july august september october november december spring summer autumn fall winter birthday anniversary"
)
_AMOUNT = (
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand million "
    "first second third once twice couple few several half dozen"
)
_PAST = (
    "was were been had did went took got made bought met saw found gave won lost came began left felt told said wrote built "
    "broke chose ate drove flew grew kept paid put ran sold sent slept spoke spent taught thought understood woke wore"
)
_REQUEST = "what when where who whose which why how tell remind show find list give explain describe recall summarise summarize"
_SMALL = (
    "a about all also am an and any are as at be been being but by can can't could couldn't did didn't do does doesn't don't "
    "for from get go going gonna good got great had has have haven't he her here hers him his how if in into is isn't it it's "
    "its just know let let's like more much no nice not now of off oh ok okay on one or out over please really she so some "
    "than thank thanks that that's the their them then there there's these they they're this those to too up very was wasn't "
    "well were what what's when where which while who why will with won't would wow yeah yes yep"
)
_CUES = (
    (_FIRST, FIRST_PERSON),
    (_SECOND, SECOND_PERSON),
    (_TIME, TIME),
    (_AMOUNT, AMOUNT),
    (_PAST, PAST),
    (_REQUEST, REQUEST),
)


@frozen(eq=False)
class Arrays:
    """By token: `sort`, `cues`, and the number of its `term`. `in_runs` are the tokens of all runs, which stop at `ends`."""

    sort: npt.NDArray[np.uint8]
    cues: npt.NDArray[np.uint8]
    term: Ints
    in_runs: Ints
    ends: Ints

    def tokens(self, runs: Runs) -> tuple[Ints, Ints]:
        """The tokens of these runs, in order, and how many each run has."""
        ends = self.ends[runs]
        counts = ends - np.where(runs > 0, self.ends[runs - 1], 0)
        shifts = np.repeat(ends - np.cumsum(counts), counts)
        return self.in_runs[np.arange(len(shifts)) + shifts], counts


class Lexicon(dict[str, int]):
    """Numbers every run of characters between two spaces met so far; looking up a new one enters it and its tokens.

    Tokens that are forms of one word share a term: case and common English endings do not matter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, int] = {}
        """The tokens, in the order of their numbers."""
        self._terms: dict[str, int] = {}
        self._small = frozenset(f"{_SMALL} {_FIRST} {_SECOND}".split())
        self._cues: dict[str, int] = {}
        for words, cue in _CUES:
            for word in words.split():
                self._cues[word] = self._cues.get(word, 0) | cue
        self._sort = bytearray()
        self._cue = bytearray()
        self._term: list[int] = []
        self._in_runs: list[int] = []
        self._ends: list[int] = []
        self._arrays: Arrays | None = None

    def read(self, text: str) -> Runs:
        """The text's runs, in order. Scripts without spaces give each pair of neighbouring characters."""
        if not text.isascii():
            text = _UNSPACED.sub(_pairs, text)
        runs = text.split()
        if runs and max(map(len, runs)) > LONGEST_KNOWN:
            runs = [piece for run in runs for piece in ([run] if len(run) <= LONGEST_KNOWN else _TOKEN.findall(run))]
        return np.array(list(map(self.__getitem__, runs)), dtype=np.int32)

    def __missing__(self, run: str) -> int:
        number = self[run] = len(self)
        if run.isalpha():
            self._in_runs.append(self._number(run))
        elif run[:-1].isalpha() and run[-1] in ",.;:!?":  # most of what is not a word alone
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
            cue = self._cues.get(folded, 0)
            if not is_word and _DIGIT.search(token):
                cue |= AMOUNT
            if folded[-2:] == "ed" and len(folded) > 4:
                cue |= PAST
            self._cue.append(cue)
            self._term.append(self._terms.setdefault(_stem(folded), len(self._terms)))
        return number

    @property
    def terms(self) -> int:
        """How many terms there are."""
        return len(self._terms)

    @property
    def arrays(self) -> Arrays:
        """What is known of all tokens and runs."""
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
        if folded in self._small:
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
    """The word without a common English ending: enough for `painted` to meet `painting`."""
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
