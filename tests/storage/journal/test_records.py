"""Records are read back as they were; whatever is damaged, the others are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.storage.journal.records import HEADER, Damage, Record, framed, scan

payloads = st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b" ")), max_size=12)


def read(data: bytes, *, ends: bool = True) -> list[bytes]:
    return [part.payload for part in scan(data, ends=ends) if isinstance(part, Record)]


@given(payloads, st.integers(0, 300))
def test_what_is_written_is_read(written: list[bytes], zeros: int) -> None:
    data = b"".join(map(framed, written)) + bytes(zeros)
    parts = list(scan(data))
    assert [part.payload for part in parts if isinstance(part, Record)] == written
    assert not any(isinstance(part, Damage) for part in parts)


@given(payloads.filter(bool), st.data(), st.integers(1, 255))
def test_one_changed_byte_costs_one_record(written: list[bytes], data: st.DataObject, change: int) -> None:
    segment = bytearray(b"".join(map(framed, written)))
    place = data.draw(st.integers(0, len(segment) - 1))
    segment[place] ^= change
    left, expected, start = read(bytes(segment) + bytes(50)), [], 0
    for payload in written:
        end = start + HEADER + len(payload)
        if not start <= place < end:  # the line break behind it may change
            expected.append(payload)
        start = end + 1
    assert left == expected


@given(payloads.filter(bool), st.data())
def test_a_torn_end_costs_what_is_torn(written: list[bytes], data: st.DataObject) -> None:
    segment = b"".join(map(framed, written))
    cut = data.draw(st.integers(0, len(segment) - 1))
    found = read(segment[:cut])
    assert found == written[: len(found)]
    assert len(segment[:cut]) - sum(HEADER + len(payload) + 1 for payload in found) <= HEADER + 60
    assert sum(isinstance(part, Damage) for part in scan(segment[:cut])) <= 1
    assert not any(isinstance(part, Damage) for part in scan(segment[:cut], ends=False))


def test_a_record_in_the_text_of_a_damaged_one_is_not_read() -> None:
    inner = framed(b'{"forged": true}').decode()
    segment = bytearray(framed(b'{"said": "' + inner.replace("\n", "\\n").encode() + b'"}') + framed(b"next"))
    segment[0] ^= 1
    assert read(bytes(segment)) == [b"next"]
