"""What is remembered of compactions, and how the next one of the same conversation is told."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define, field

from tests.transcripts import message
from victor_dsl.runtime.coordinators import compaction_memory
from victor_dsl.runtime.coordinators.compaction_memory import CompactionMemory, PastCompaction, fingerprints
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.values.history import Before, Choice, History, newest
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.turn import Turn

CHAT = tuple(message("user" if n % 2 == 0 else "assistant", f"message {n} " * 8) for n in range(21))
MORE = (message("assistant", "so it is " * 9), message("user", "and then?"))


@define
class Watches:
    """A strategy that keeps what it is told to, or the newest, and notes what was kept before."""

    keeps: Any = None
    seen: list[Before | None] = field(factory=list)

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        self.seen.append(history.before)
        return Choice(newest(history, budget) if self.keeps is None else self.keeps)


def turn(messages: tuple[Message, ...], *, session: str | None = "s", tenant: str | None = None, **more: Any) -> Turn:
    settings = Settings(threshold=0.0, target_ratio=0.5)
    return Turn("t", session or "t", messages, tenant, settings=settings, request=Request(session=session), **more)


def compact(strategy: Watches, *turns: Turn) -> list[Turn]:
    coordinator = ContextCoordinator(strategy, type="tested")

    async def all_() -> list[Turn]:
        return [await coordinator.compact(each, None) for each in turns]

    return asyncio.run(all_())


def test_the_next_turn_is_told_what_was_kept_and_how_much_of_it_is_sent_again() -> None:
    strategy = Watches(frozenset({1, 2, 3}))
    first, second = compact(strategy, turn(CHAT), turn(CHAT + MORE))
    assert strategy.seen == [None, Before(frozenset({0, 1, 2, 3, 20}), 21)]
    assert first.compaction is not None
    assert first.compaction.prefix_kept is None
    assert second.compaction is not None
    sent = first.compaction.after
    question = CHAT[20].tokens  # which is no longer the latest, and is not kept
    assert second.compaction.prefix_kept == (sent - question) / sent


def test_the_share_counts_tokens_from_the_start_to_the_first_difference() -> None:
    strategy = Watches(frozenset({1, 2, 3}))
    compact_first = ContextCoordinator(strategy, type="tested")
    asyncio.run(compact_first.compact(turn(CHAT), None))
    strategy.keeps = frozenset({1, 3})
    record = asyncio.run(compact_first.compact(turn(CHAT), None)).compaction
    assert record is not None
    assert record.prefix_kept is not None
    assert abs(record.prefix_kept - 2 / 5) < 0.02
    assert record.as_json()["prefix_kept"] == round(record.prefix_kept, 4)


def test_of_a_conversation_that_was_changed_only_what_is_the_same_counts() -> None:
    strategy = Watches(frozenset({1, 9}))
    changed = (*CHAT[:8], message("assistant", "something else"), *CHAT[9:])
    compact(strategy, turn(CHAT), turn(changed))
    assert strategy.seen[1] == Before(frozenset({0, 1}), 8)


def test_a_group_that_has_grown_is_not_the_same() -> None:
    call, result = message("assistant", calls=["a", "b"]), message("tool", "7", answers="a")
    start = (*CHAT[:4], call, result, *CHAT[4:])
    strategy = Watches()
    compact(strategy, turn(start), turn((*start, message("tool", "8", answers="b"), *MORE)))
    before = strategy.seen[1]
    assert before is not None
    assert before.seen == 4


def test_another_session_or_tenant_is_not_told() -> None:
    strategy = Watches()
    compact(strategy, turn(CHAT), turn(CHAT, session="other"), turn(CHAT, tenant="acme"))
    assert strategy.seen == [None, None, None]


def test_a_conversation_without_a_session_is_known_by_its_first_messages() -> None:
    strategy = Watches()
    compact(strategy, turn(CHAT, session=None), turn(CHAT + MORE, session=None), turn(CHAT[2:], session=None))
    assert [before is not None for before in strategy.seen] == [False, True, False]


def test_rendering_is_told_and_leaves_no_trace() -> None:
    strategy = Watches()
    compact(strategy, turn(CHAT, rendering=True), turn(CHAT), turn(CHAT, rendering=True))
    assert [before is not None for before in strategy.seen] == [False, False, True]


def test_parts_and_calls_are_told_apart_by_their_content() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,1"}}
    other = {"type": "image_url", "image_url": {"url": "data:,2"}}
    one, same, two = (Message("user", (part,)) for part in (image, dict(image), other))
    assert fingerprints([one]) == fingerprints([same]) != fingerprints([two])
    assert fingerprints([message("assistant", calls=["a"])]) != fingerprints([message("assistant", calls=["b"])])


def test_what_is_remembered_has_bounds(monkeypatch: Any) -> None:
    monkeypatch.setattr(compaction_memory, "MOST_CONVERSATIONS", 3)
    monkeypatch.setattr(compaction_memory, "MOST_MESSAGES", 50)
    memory = CompactionMemory()
    for session in range(9):
        memory.put(session, PastCompaction(fingerprints(CHAT[:10]), bytes(10), b"", 1, "tested"))
    assert (len(memory), memory.get(5), memory.get(8) is None) == (3, None, False)
    memory.put(8, PastCompaction(fingerprints(CHAT), bytes(21), b"", 1, "tested"))
    memory.put(9, PastCompaction(fingerprints(CHAT), bytes(21), b"", 1, "tested"))
    assert [memory.get(session) is None for session in range(10)] == [True] * 8 + [False, False]
