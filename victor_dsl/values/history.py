"""The groups of a conversation's messages that stay or go together: compaction chooses among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from victor_dsl.values.message import Message

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
    """The result of the session's last compaction: the positions `kept` among the first `seen` groups.

    Only groups that have not changed since count; positions are those of the present history.
    """

    kept: frozenset[int]
    seen: int


@frozen
class History:
    """The messages to compact, oldest first, and their groups ordered by first index.

    Prompt caches hold where a strategy keeps the leading part of what `before` kept, as far as that costs it little.
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
    """What a strategy keeps: positions in `History.groups`, and perhaps a summary of what it leaves out.

    The fixed groups need not be named. The summary becomes a message of role `user` at the first gap. `reasons` says in a
    few words, by position, why a group is kept or left out; strategies fill it only where `turn.rendering`.
    """

    groups: frozenset[int]
    summary: str | None = None
    reasons: Mapping[int, str] = field(factory=dict, eq=False)


def summary_message(summary: str) -> Message:
    """The message that a choice's summary becomes; it counts towards the budget."""
    return Message("user", f"{SUMMARY_HEADING}\n{summary}")


def group(messages: Iterable[Message], made: frozenset[int] = frozenset()) -> History:
    """The messages in groups.

    An assistant message with tool calls and the results of all of them are one group, whatever stands between. Ids
    may repeat: a result belongs to the nearest earlier call with its id. A result without an earlier call is a
    group of its own, and so is a call without results. Fixed are the groups with a message that `must_stay` names.
    """
    messages = tuple(messages)
    stays = must_stay(messages, made)
    results: dict[int, list[int]] = {}
    callers: dict[str | None, int] = {}
    firsts: list[int] = []
    for index, message in enumerate(messages):
        if message.role == "tool" and (caller := callers.get(message.tool_call_id)) is not None:
            results.setdefault(caller, []).append(index)
            continue
        firsts.append(index)
        for call in message.tool_calls:
            callers[call.id] = index
    groups = []
    for first in firsts:
        if first in results:
            indices = (first, *results[first])
            groups.append(
                Group(indices, sum(messages[index].tokens for index in indices), not stays.keys().isdisjoint(indices))
            )
        else:
            groups.append(Group((first,), messages[first].tokens, first in stays))
    return History(messages, tuple(groups))


def must_stay(messages: Sequence[Message], made: frozenset[int] = frozenset()) -> dict[int, str]:
    """Why messages must stay, by index: every compaction keeps them.

    They are system and pinned messages, the first user message (the task), the latest one, and an open exchange at the end:
    the last assistant message's calls, with the results so far, where no user message follows. A message at one of the indices
    `made` stands for others (a summary) and is neither task nor latest message.
    """
    reasons: dict[int, str] = {}
    users: list[int] = []
    last = None
    for index, message in enumerate(messages):
        if message.role == "user":
            if index not in made:
                users.append(index)
        elif message.role == "assistant":
            last = index
        elif message.role == "system":
            reasons[index] = "system"
        if message.pinned:
            reasons[index] = "pinned"
    if last is not None and messages[last].tool_calls and (not users or users[-1] < last):
        reasons[last] = "open exchange"
    reasons.update(dict.fromkeys(users[-1:], "latest user message"))
    reasons.update(dict.fromkeys(users[:1], "the task"))
    return reasons


def newest(history: History, budget: int) -> frozenset[int]:
    """The positions of the fixed groups and of the newest others, within the budget if the fixed ones are.

    A group larger than all the room left by the fixed ones is skipped. The tokens left out are rounded up to a step (a power
    of two, 1/8 to 1/4 of that room) counted from the oldest, so that the first message kept stays the same for many turns of
    a growing history and prompt caches hold.
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
