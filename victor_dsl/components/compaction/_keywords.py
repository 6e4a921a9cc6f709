"""Finds words in messages, whole, and keeps the messages in which they weigh most."""

from __future__ import annotations

import re
from collections.abc import Mapping

from victor_dsl.components.compaction._newest import NEWEST, cost, newest_within
from victor_dsl.components.compaction._text import group_text
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: scripts that do not separate words."""
WORD = re.compile(r"\w+")
ON_LOOP_GROUPS = 200
"""From more groups than this on, some milliseconds of work, a thread looks for the words."""


class Keywords:
    """Keeps the newest groups, then those with the heaviest words, then the next newest."""

    def __init__(self, weights: Mapping[str, float], *, recent: float, oldest: float) -> None:
        self._weights = {_folded(word): weight for word, weight in weights.items()}
        self._phrases = [
            (word, re.compile(_whole(word)))
            for word in self._weights
            if not WORD.fullmatch(word) or UNSPACED.search(word)
        ]
        self._recent = recent
        self._oldest = oldest
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        is_large = len(history.groups) > ON_LOOP_GROUPS
        return await self._off_loop.run_if(is_large, self._choice, history, budget, turn.rendering)

    def _choice(self, history: History, budget: int, explains: bool) -> Choice:
        room = budget - history.fixed_tokens
        newest = newest_within(history, int(room * self._recent))
        kept = set(newest)
        room -= cost(history, kept)
        scores = {p: score for p in self._loose(history) - kept if (score := self._score(history, p)) > 0}
        newest_first = sorted(self._loose(history) - kept - scores.keys(), reverse=True)
        for position in (*sorted(scores, key=lambda p: (-scores[p], -p)), *newest_first):
            if history.groups[position].tokens <= room:
                room -= history.groups[position].tokens
                kept.add(position)
        return Choice(frozenset(kept), reasons=self._reasons(history, kept, newest) if explains else {})

    def _reasons(self, history: History, kept: set[int], newest: set[int]) -> Mapping[int, str]:
        reasons = dict.fromkeys(newest, NEWEST)
        for position in self._loose(history) - newest:
            words = ", ".join(sorted(self._words(history, position), key=lambda word: -self._weights[word])[:3])
            if position in kept:
                reasons[position] = f"has {words}" if words else "there was room left"
            else:
                reasons[position] = f"no room left, though it has {words}" if words else "has none of the words"
        return reasons

    def _score(self, history: History, position: int) -> float:
        """The weights of the words found, each once, by the place in the history."""
        place = position / max(len(history.groups) - 1, 1)
        found = self._words(history, position)
        return sum(self._weights[word] for word in found) * (self._oldest + (1 - self._oldest) * place)

    def _words(self, history: History, position: int) -> set[str]:
        """The words and phrases found."""
        text = _folded(group_text(history, history.groups[position]))
        found = self._weights.keys() & WORD.findall(text)
        found.update(phrase for phrase, pattern in self._phrases if pattern.search(text))
        return found

    def _loose(self, history: History) -> set[int]:
        return {position for position, group in enumerate(history.groups) if not group.fixed}


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _whole(word: str) -> str:
    """A pattern for a phrase with no letter or digit beside it; the ends of an unspaced script need no gap."""
    before = "" if UNSPACED.match(word[:1]) or not re.match(r"\w", word[:1]) else r"(?<!\w)"
    after = "" if UNSPACED.match(word[-1:]) or not re.match(r"\w", word[-1:]) else r"(?!\w)"
    return f"{before}{re.escape(word)}{after}"
