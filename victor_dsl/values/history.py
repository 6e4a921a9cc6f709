"""A conversation's messages in groups that must stay or go together: what compaction chooses from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import field, frozen

from victor_dsl.values.message import Message
from victor_dsl.values.tokens import message_tokens

SUMMARY_HEADING = "[Summary of earlier messages that are left out here]"


@frozen
class Group:
    """Messages that stay or go together: a tool call with its results, or one message alone.

    `indices` point into the history's messages, ascending; `tokens` is their cost. A `fixed` group always stays.
    """

    indices: tuple[int, ...]
    tokens: int
    fixed: bool = False


@frozen
class Before:
    """What the last compaction of the same session kept (`kept`: positions) of the first `seen` groups.

    It is there only where these groups are the same still: positions are the present history's.
    """

    kept: frozenset[int]
    seen: int


@frozen
class History:
    """The messages to compact, oldest first, and their groups ordered by first index.

    A strategy that keeps the leading part of what `before` kept, as far as that costs it little, lets prompt caches hold.
    """

    messages: tuple[Message, ...]
    groups: tuple[Group, ...]
    before: Before | None = None

    @property
    def tokens(self) -> int:
        """The cost of all groups."""
        return sum(group.tokens for group in self.groups)

    @property
    def fixed_tokens(self) -> int:
        """The cost of the fixed groups: no choice costs less."""
        return sum(group.tokens for group in self.groups if group.fixed)


@frozen
class Choice:
    """What a strategy keeps: positions into `History.groups`, and a text that stands for what was dropped.

    The fixed groups need not be named. `summary`, where given, is placed before the first message kept after
    the first gap, as a message of role `user` that says what it is. `reasons` says in a few words, by position, why a
    group is kept or left out; strategies fill it only where `turn.rendering`.
    """

    groups: frozenset[int]
    summary: str | None = None
    reasons: Mapping[int, str] = field(factory=dict)


def summary_message(summary: str) -> Message:
    """The message in which a choice's summary stands for what was dropped; it counts towards the budget."""
    return Message("user", f"{SUMMARY_HEADING}\n{summary}")


def group(messages: Iterable[Message], count: Callable[[Message], int] = message_tokens) -> History:
    """The messages in groups; `count` gives a message's tokens.

    An assistant message with tool calls and the results of all of them are one group, whatever stands between. Ids
    may repeat: a result belongs to the nearest earlier call with its id. A result without an earlier call is a
    group of its own, and so is a call without results. Fixed are system and pinned messages, the first user message (the
    task), the latest one, and an open exchange: the last assistant message's calls, with what results there are.
    """
    messages = tuple(messages)
    members: dict[int, list[int]] = {}
    caller: dict[str | None, int] = {}
    for index, message in enumerate(messages):
        home = caller.get(message.tool_call_id, index) if message.role == "tool" else index
        members.setdefault(home, []).append(index)
        for call in message.tool_calls:
            caller[call.id] = index
    fixed = _fixed(messages)
    groups = (
        Group(tuple(indices), sum(count(messages[i]) for i in indices), not fixed.isdisjoint(indices))
        for indices in members.values()
    )
    return History(messages, tuple(groups))


def newest(history: History, budget: int) -> frozenset[int]:
    """Positions of the fixed groups and of the newest others, all together within the budget where that can be.

    A group that is larger than all the tokens left by the fixed ones is passed over. What goes is rounded up to a
    step (1/8 to 1/4 of those tokens, a power of two) counted from the oldest, so that the first message kept is the
    same for many turns of a growing history and prompt caches hold.
    """
    kept = {position for position, group in enumerate(history.groups) if group.fixed}
    spare = budget - history.fixed_tokens
    loose = [(p, g) for p, g in enumerate(history.groups) if not g.fixed and g.tokens <= spare]
    surplus = sum(group.tokens for _, group in loose) - spare
    step = 1 << max(0, (spare // 4).bit_length() - 1)
    to_drop = -(-surplus // step) * step
    for position, group in loose:
        if to_drop <= 0:
            kept.add(position)
        to_drop -= group.tokens
    return frozenset(kept)


def _fixed(messages: tuple[Message, ...]) -> set[int]:
    fixed = {i for i, message in enumerate(messages) if message.role == "system" or message.pinned}
    users = [i for i, message in enumerate(messages) if message.role == "user"]
    assistants = [i for i, message in enumerate(messages) if message.role == "assistant"]
    fixed.update(users[:1], users[-1:])
    if assistants and messages[assistants[-1]].tool_calls:
        fixed.add(assistants[-1])
    return fixed
