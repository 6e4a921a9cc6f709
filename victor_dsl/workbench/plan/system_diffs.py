"""The changes of system prompts: each once, with the requests that have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from attrs import define, field

from victor_dsl.workbench.plan.changes import line_diff

MOST_GROUPS = 200
"""Distinct changes that are told apart; the requests of further ones are counted together."""

MOST_KNOWN = 20_000
"""Pairs of texts whose change is remembered."""

Block = Sequence[str]
Key = tuple[tuple[str, str], ...]


@define
class SystemDiff:
    """One change: the lines of a diff, how many requests have it, and the id of the first."""

    diff: str
    example: str | int
    requests: int = 0

    def as_json(self) -> dict[str, Any]:
        """The change."""
        return {"diff": self.diff, "requests": self.requests, "example": self.example}


@define
class SystemDiffs:
    """Groups requests by what changed in their system prompts: by the words that came and went, wherever and beside whatever they stand.

    So what differs between requests on both sides alike, such as a name, makes no further group.
    """

    _groups: dict[Key, SystemDiff] = field(factory=dict)
    _known: dict[tuple[Any, ...], SystemDiff] = field(factory=dict)
    others: int = 0

    def add(self, id: str | int, old: Sequence[str], new: Sequence[str], names: Iterable[str] = ()) -> None:
        """Counts a request, whose system prompt was these paragraphs and is those now.

        `names` are those of its session, tenant and user: they make no further group where they come or go.
        """
        before, after = _middle(old, new)
        key = (tuple(before), tuple(after))
        group = self._known.get(key)
        if group is None:
            group = self._group(id, old, new, names)
            if group is None:
                self.others += 1
                return
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = group
        group.requests += 1

    def _group(self, id: str | int, old: Sequence[str], new: Sequence[str], names: Iterable[str]) -> SystemDiff | None:
        before, after = "\n\n".join(old).split("\n"), "\n\n".join(new).split("\n")
        key = _key(before, after, names)
        if key not in self._groups:
            if len(self._groups) >= MOST_GROUPS:
                return None
            self._groups[key] = SystemDiff("\n".join(line_diff(before, after)), id)
        return self._groups[key]

    def found(self) -> list[SystemDiff]:
        """The changes, those of most requests first."""
        return sorted(self._groups.values(), key=lambda group: -group.requests)


def _middle(old: Sequence[str], new: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Both without what they begin and end with alike."""
    start, most = 0, min(len(old), len(new))
    while start < most and old[start] == new[start]:
        start += 1
    end = 0
    while end < most - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


def _key(old: Sequence[str], new: Sequence[str], names: Iterable[str]) -> Key:
    """The words that went, and those that came in their place, without names; of what only moved, how many there are."""
    found = []
    moved = 0
    for before, after in _replaced(old, new):
        gone, come = "\n".join(before), "\n".join(after)
        for name in names:
            gone, come = gone.replace(name, _NAME), come.replace(name, _NAME)
        for one, other in _replaced(gone.split(" "), come.split(" ")):
            found.append((" ".join(one), " ".join(other)))
    went, came = (sorted(pair[side] for pair in found if pair[side].strip()) for side in (0, 1))
    if [one.strip() for one in went] == [one.strip() for one in came]:
        moved, found = sum(map(len, went)), []
    return (*found, ("", f"{moved} characters moved")) if moved else tuple(found)


_NAME = "\0"


def _replaced(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[Block, Block]]:
    old, new = _middle(old, new)
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield old[i:j], new[k:m]
