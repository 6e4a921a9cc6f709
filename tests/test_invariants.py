"""The search for broken invariants finds what is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compacted import Trial, faults_of, refused
from tests.invariants import Tally, attempt, main
from tests.transcripts import message
from victor_dsl.values.history import SUMMARY_HEADING, Choice, History
from victor_dsl.values.mending import NO_RESULT
from victor_dsl.values.message import Message, messages_tokens
from victor_dsl.values.turn import CompactionRecord, Conversation, Turn

CALL, RESULT = message("assistant", calls=["a"]), message("tool", "7", answers="a")
MESSAGES = (message("user", "task"), CALL, RESULT, message("assistant", "7"), message("user", "and now?"))
ALL = tuple(range(5))


def sent(places: tuple[int | None, ...], *made: Message, target: int = 1000, after: int | None = None) -> Turn:
    stand_ins = iter(made)
    messages = tuple(next(stand_ins) if place is None else MESSAGES[place] for place in places)
    cost = messages_tokens(messages) if after is None else after
    record = CompactionRecord("tested", 99, cost, target)
    return Turn("t", "s", messages, conversation=Conversation(MESSAGES, places), compaction=record)


BROKEN: dict[str, tuple[Turn, str]] = {
    "a result without its call": (sent((0, 2, 4)), "torn"),
    "a call without its result": (sent((0, 1, 4)), "torn"),
    "another order": (sent((0, 4, 3)), "disordered"),
    "one twice": (sent((0, 0, 4)), "disordered"),
    "no task": (sent((3, 4)), "lost"),
    "not the latest message": (sent((0, 3)), "lost"),
    "another message in its place": (
        sent(ALL).replace(messages=(*MESSAGES[:4], message("user", "and now?"))),
        "changed",
    ),
    "a message that nobody wrote": (sent((0, None, 4), message("assistant", "Well.")), "invented"),
    "two summaries": (sent((0, None, None, 4), *[message("user", SUMMARY_HEADING)] * 2), "invented"),
    "more than the aim": (sent(ALL, target=12), "over budget"),
    "another count": (sent(ALL, after=7), "miscounted"),
}


@pytest.mark.parametrize(("turn", "fault"), BROKEN.values(), ids=list(BROKEN))
def test_what_is_broken_is_found(turn: Turn, fault: str) -> None:
    assert fault in list(faults_of(Trial(MESSAGES, 0.5), turn))


def test_what_is_right_is_no_fault() -> None:
    assert list(faults_of(Trial(MESSAGES, 0.5), sent(ALL))) == []
    assert list(faults_of(Trial(MESSAGES, 0.5), sent((0, None, 4), message("user", SUMMARY_HEADING)))) == []


def test_providers_refuse_results_without_calls_and_calls_without_results() -> None:
    stand_in = Message("tool", NO_RESULT, tool_call_id="a")
    assert not refused(MESSAGES)
    assert not refused((CALL, stand_in, *MESSAGES))
    assert not refused((*MESSAGES, CALL))
    assert refused((CALL, *MESSAGES))
    assert refused((RESULT, *MESSAGES))


class Mutates:
    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        part: Any = history.messages[1].content
        part[0]["text"] = "something else"
        return Choice(frozenset())


async def test_a_strategy_that_changes_the_caller_s_messages_is_found() -> None:
    messages = (message("user", "task"), Message("assistant", ({"type": "text", "text": "x" * 99},)), MESSAGES[4])
    tally = Tally()
    await attempt("mutates", Mutates(), Trial(messages, 0.1), tally)
    assert tally.broken == {"mutated": 1}


def test_the_command_tries_conversations_of_files_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"message {n} " * 9} for n in range(41)]
    (tmp_path / "chats.json").write_text(json.dumps([{"messages": [{"role": "system", "content": "Be kind."}, *chat]}]))
    code = main(["--count", "20", "--transcripts", str(tmp_path / "chats.json"), "--only", "recent", "truncate"])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == "20 generated, 1 real conversations"
    assert [line.split()[0] for line in lines[1:]] == ["strategy", "recent", "truncate"]
    assert [line.split()[3] for line in lines[2:]] == ["0", "0"]
    assert 0.5 < float(lines[2].split()[5]) <= 1
