"""A conversation's messages in groups that must stay or go together: what compaction chooses from."""

from __future__ import annotations

from attrs import frozen

from victor_dsl.values.message import Message


@frozen
class Group:
    """Messages that stay or go together: a tool call with its results, or one message alone.

    `indices` point into the history's messages, ascending; `tokens` is their cost. A `fixed` group always stays.
    """

    indices: tuple[int, ...]
    tokens: int
    fixed: bool = False


@frozen
class History:
    """The messages to compact, oldest first, and their groups ordered by first index."""

    messages: tuple[Message, ...]
    groups: tuple[Group, ...]

    @property
    def tokens(self) -> int:
        """The cost of all groups."""
        return sum(group.tokens for group in self.groups)


@frozen
class Choice:
    """What a strategy keeps: positions into `History.groups`, and a text that stands for what was dropped.

    The fixed groups need not be named. `summary`, where given, is placed before the first message kept after
    the first gap, as a message of role `user` that says what it is.
    """

    groups: frozenset[int]
    summary: str | None = None
