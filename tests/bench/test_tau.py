"""The checks of recorded conversations find what they are for."""

from __future__ import annotations

from typing import Any

import pytest

from bench.tau import check, convert, torn

CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Look."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "first", "tool_call_id": "c"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "second", "tool_call_id": "c"},
    {"role": "user", "content": "And?"},
]


def rendered(kept: list[int], **changes: Any) -> dict[str, Any]:
    sent = [MESSAGES[i] for i in kept if i]
    fine = {"id": "a", "error": None, "plan": "p", "kept": kept, "messages": sent, "tokens": {"total": 1, "limit": 2}}
    return fine | changes


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (range(7), []),
        ({0, 1, 6}, []),
        ({0, 1, 2, 3, 6}, []),
        ({0, 1, 4, 5, 6}, []),
        ({0, 1, 2, 6}, [3]),
        ({0, 1, 5, 6}, [5]),
        ({0, 1, 2, 5, 6}, [3, 5]),
    ],
)
def test_a_result_belongs_to_the_nearest_earlier_call_with_its_id(kept: Any, expected: list[int]) -> None:
    assert list(torn(MESSAGES, kept)) == expected


def test_a_correct_run_has_no_faults() -> None:
    requests = list(convert([{"id": "a", "messages": MESSAGES}]))
    assert list(check(requests, [rendered([0, 1, 4, 5, 6])])) == []


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "not answered exactly once"),
        ([rendered([0, 1, 6])] * 2, "not answered exactly once"),
        ([rendered([0, 1, 6]), rendered([0, 1, 6], id="b")], "b: no such request"),
        ([rendered([0, 1, 6], error={"code": "over-budget", "message": "too long"})], "over-budget: too long"),
        ([rendered([0, 1, 6], plan="")], "no plan"),
        ([rendered([0, 6])], r"dropped messages that must stay: [1]"),
        ([rendered([1, 6])], r"dropped messages that must stay: [0]"),
        ([rendered([0, 6, 1])], "the order changed"),
        ([rendered([0, 1, 2, 6])], "separated from its call"),
        ([rendered([0, 1, 6], messages=MESSAGES[1:])], "the messages sent are not those in `kept`"),
        ([rendered([0, 1, 6], tokens={"total": 3, "limit": 2})], "3 tokens, over the limit of 2"),
    ],
)
def test_each_fault_is_reported(lines: list[dict[str, Any]], complaint: str) -> None:
    requests = list(convert([{"id": "a", "messages": MESSAGES}]))
    assert complaint in "\n".join(check(requests, lines))
