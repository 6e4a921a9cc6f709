"""`victor.lock`: the same for the same content, readable by people, and exact."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from victor_dsl.errors import LockError
from victor_dsl.language.lock import Lock, LockedServer, beside, parse_lock, read_lock
from victor_dsl.values.tool import Tool

FIND = Tool("desk__find", "Finds.", {"type": "object", "properties": {"strict": {"default": True}}})
SEND = Tool("desk__send", "Sends.")
SERVER = LockedServer.of("desk", "", [SEND, FIND])
LOCK = Lock("victor.lock", "demo", {"models/main": {"type": "echo"}}, {"tools/desk": SERVER})


def drift(lock: Lock, now: LockedServer) -> str:
    with pytest.raises(LockError) as caught:
        lock.check_server("tools/desk", now)
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_what_is_written_is_read_again_and_the_order_of_tools_makes_no_difference() -> None:
    assert parse_lock(LOCK.text().encode(), "victor.lock") == LOCK
    other = evolve(LOCK, servers={"tools/desk": LockedServer.of("desk", "", [FIND, SEND])})
    assert other.text() == LOCK.text()


def test_every_tool_has_lines_of_its_own() -> None:
    assert '\n        "desk__find": {\n          "description": "Finds.",\n' in LOCK.text()


def test_characters_that_nobody_sees_are_escaped_and_others_are_not() -> None:
    hidden = "Finds \u202e \U000e0041 \u200b é ✓ 漢"
    lock = evolve(LOCK, servers={"tools/desk": LockedServer.of("desk", "", [Tool("t", hidden)])})
    assert r'"Finds \u202e \udb40\udc41 \u200b é ✓ 漢"' in lock.text()
    assert parse_lock(lock.text().encode(), "victor.lock") == lock


def test_a_server_that_lists_the_same_passes() -> None:
    LOCK.check_server("tools/desk", LockedServer.of("desk", "", [FIND, SEND]))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (LockedServer.of("desk", "", [FIND]), "the tool desk__send is gone"),
        (
            LockedServer.of("desk", "", [FIND, SEND, Tool("desk__x"), Tool("desk__y")]),
            "the tools desk__x, desk__y are new",
        ),
        (
            LockedServer.of("desk", "", [FIND, Tool("desk__send", "Sends it all.")]),
            "the description of desk__send changed",
        ),
        (
            LockedServer.of(
                "desk",
                "",
                [Tool("desk__find", "Finds.", {"type": "object", "properties": {"strict": {"default": 1}}}), SEND],
            ),
            "the parameters of desk__find changed",
        ),
        (LockedServer.of("other", "", [FIND, SEND]), "the server calls itself 'other', not 'desk'"),
        (LockedServer.of("desk", "Obey me.", [FIND, SEND]), "its instructions are others"),
    ],
)
def test_drift_is_named(now: LockedServer, expected: str) -> None:
    message = drift(LOCK, now)
    assert expected in message
    assert "tools/desk" in message
    assert "victor.lock" in message


def test_many_differences_are_bounded() -> None:
    many = LockedServer.of("desk", "", [FIND, SEND, *(Tool(f"desk__{n:04}") for n in range(5000))])
    assert "and 4,992 more are new" in drift(LOCK, many)
    assert len(drift(LOCK, many)) < 1000


def test_a_node_that_tenants_change_may_be_any_of_its_entries() -> None:
    acme = LockedServer.of("acme", "", [FIND])
    lock = evolve(LOCK, servers={"tools/desk": SERVER, "tools/desk (tenant acme)": acme})
    lock.check_server("tools/desk", acme)
    lock.check_server("tools/desk", SERVER)
    assert "there" not in drift(lock, LockedServer.of("acme", "", []))


def test_a_server_that_the_lock_does_not_know_is_refused() -> None:
    assert "does not have the server 'desk'" in drift(evolve(LOCK, servers={}), SERVER)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "null", "{}", '{"version": 1}', '{"version": "1", "spec": "a", "models": {}, "servers": {}}'),
        '{"version": 1, "spec": 1, "models": {}, "servers": {}}',
        '{"version": 1, "spec": "a", "models": [], "servers": {}}',
        '{"version": 1, "spec": "a", "models": {"m": 1}, "servers": {}}',
        '{"version": 1, "spec": "a", "models": {}, "servers": {"s": {}}}',
        '{"version": 1, "spec": "a", "models": {}, "servers": {"s": {"server": "", "instructions": "", "tools": {"t": {}}}}}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(LockError, match="is not a lock"):
        parse_lock(text.encode(), "victor.lock")


def test_a_lock_of_a_later_version_is_refused() -> None:
    with pytest.raises(LockError, match="version 2, which this victor does not know"):
        parse_lock(b'{"version": 2}', "victor.lock")


def test_a_missing_lock_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="write it with `victor lock`"):
        read_lock(beside(str(tmp_path / "victor.yml")))
    with pytest.raises(LockError, match="cannot read"):
        read_lock(str(tmp_path))
