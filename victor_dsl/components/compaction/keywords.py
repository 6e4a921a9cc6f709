"""Compaction that keeps the newest messages, and older ones that contain important words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from victor_dsl.components.group_text import group_text
from victor_dsl.components.newest_groups import NEWEST, newest_within, tokens_of
from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

WORDS = (
    *("must", "never", "always", "important", "remember", "required", "requirement", "constraint", "prefer"),
    *("decided", "decision", "agreed", "plan", "goal", "deadline", "because", "instead"),
    *("error", "exception", "failed", "failure", "bug", "fix", "fixed", "broken", "workaround", "warning"),
    *("todo", "fixme", "blocker", "security", "password", "name", "address", "date", "allergic"),
)
"""The default: words of decisions, constraints and failures."""
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: scripts that do not separate words."""
WORD = re.compile(r"\w+")
ON_LOOP_GROUPS = 200
"""Up to this many groups, some milliseconds of work, words are searched on the event loop."""


class Config(CompactionConfig):
    """Keeps the newest messages, and of the older ones those with the most important words in them.

    Whole words match, in upper or lower case: `fix` does not match `prefix`. In scripts that do not separate words
    (Chinese, Japanese, Thai) a word matches anywhere. What room remains goes to the next newest messages.
    """

    words: list[Annotated[str, Field(min_length=1)]] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None,
        description="The important words or phrases: a list, in which each weighs 1, or a map to their weights. "
        "The default is a list of words about decisions, constraints and failures.",
        examples=[["refund", "order number"], {"deadline": 3, "budget": 2}],
    )
    recent: float = Field(
        0.5, ge=0, le=1, description="The share of the room for the newest messages, whatever words they contain."
    )
    oldest: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How much words in the oldest message weigh relative to those in the newest. Between the two the "
        "weight grows evenly.",
    )


EXAMPLE = "{type: keywords, words: {deadline: 3, budget: 2}, recent: 0.5}"


def build(config: Config, context: Context) -> Keywords:
    """The strategy; it has no state."""
    words = config.words if config.words is not None else WORDS
    weights = words if isinstance(words, dict) else dict.fromkeys(words, 1.0)
    return Keywords(weights, recent=config.recent, oldest=config.oldest)


class Keywords:
    """Keeps the newest groups, then those with the heaviest words, then the next newest."""

    def __init__(self, weights: Mapping[str, float], *, recent: float, oldest: float) -> None:
        self._weights = {_folded(word): weight for word, weight in weights.items()}
        # Single words are looked up in the set of a text's words; only phrases and unspaced scripts need a pattern.
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
        room -= tokens_of(history, kept)
        scores = {p: score for p in _loose(history) - kept if (score := self._score(history, p)) > 0}
        newest_first = sorted(_loose(history) - kept - scores.keys(), reverse=True)
        for position in (*sorted(scores, key=lambda p: (-scores[p], -p)), *newest_first):
            if history.groups[position].tokens <= room:
                room -= history.groups[position].tokens
                kept.add(position)
        return Choice(frozenset(kept), reasons=self._reasons(history, kept, newest) if explains else {})

    def _reasons(self, history: History, kept: set[int], newest: set[int]) -> Mapping[int, str]:
        reasons = dict.fromkeys(newest, NEWEST)
        for position in _loose(history) - newest:
            words = ", ".join(sorted(self._words(history, position), key=lambda word: -self._weights[word])[:3])
            if position in kept:
                reasons[position] = f"has {words}" if words else "fits the remaining room"
            else:
                reasons[position] = f"has {words}, but no room is left" if words else "has none of the words"
        return reasons

    def _score(self, history: History, position: int) -> float:
        """The sum of the weights of the words in a group, each once, times the weight of its place in the history."""
        place = position / max(len(history.groups) - 1, 1)
        found = self._words(history, position)
        return sum(self._weights[word] for word in found) * (self._oldest + (1 - self._oldest) * place)

    def _words(self, history: History, position: int) -> set[str]:
        """The words and phrases in a group."""
        text = _folded(group_text(history, history.groups[position]))
        found = self._weights.keys() & WORD.findall(text)
        found.update(phrase for phrase, pattern in self._phrases if pattern.search(text))
        return found


def _loose(history: History) -> set[int]:
    """Positions of the groups that are not fixed."""
    return {position for position, group in enumerate(history.groups) if not group.fixed}


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _whole(word: str) -> str:
    """A pattern for a phrase with no letter or digit beside it; characters of an unspaced script may have neighbours."""
    before = "" if UNSPACED.match(word[:1]) or not re.match(r"\w", word[:1]) else r"(?<!\w)"
    after = "" if UNSPACED.match(word[-1:]) or not re.match(r"\w", word[-1:]) else r"(?!\w)"
    return f"{before}{re.escape(word)}{after}"
