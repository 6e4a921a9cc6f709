"""Request lines are read lazily, and a bad one is an error of its own."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.workbench.batch import lines as lines_module
from victor_dsl.workbench.batch.lines import Line, parse_line, read_lines


async def read(data: bytes) -> list[Line]:
    return [line async for line in read_lines(io.BytesIO(data))]


async def test_a_line_without_an_id_takes_its_number_in_the_file() -> None:
    read_back = await read(b'{"message": "a"}\n\n  \r\n{"message": "b"}')
    assert [(line.number, line.id) for line in read_back] == [(1, 1), (4, 4)]


async def test_an_id_is_kept_as_it_was_written() -> None:
    read_back = await read(b'{"id": 7, "message": "a"}\n{"id": "7", "message": "b"}\n')
    assert [line.id for line in read_back] == [7, "7"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"{", "not JSON: "),
        (b"[1]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"id": true, "message": "a"}', "'id' is neither text nor a whole number"),
        (b'{"id": [], "message": "a"}', "'id' is neither text nor a whole number"),
        (b'{"message": "\xff"}', "not JSON: "),
        (b'{"message": "\\ud800"}', "not JSON: "),
        (b"[" * 100_000, "not JSON: "),
        (b'{"message": "a", "message": "b"}', "the key 'message' is written twice"),
        (b'{"message": "a", "vars": {"x": {"y": 1, "y": 1}}}', "the key 'y' is written twice"),
        (b'{"id": 36893488147419103232, "message": "a"}', "the number 36893488147419103232 has more than 64 bits"),
        (b'{"message": "a", "vars": {"x": [-9223372036854775809]}}', "the number -9223372036854775809 has more than"),
        (
            b'{"message": "a", "vars": {"x": ' + b"1" * 300 + b"}}",
            "the number 111111111111111111111111… has",
        ),
    ],
)
def test_a_line_that_is_no_request_says_its_number_and_why(text: bytes, told: str) -> None:
    line = parse_line(text, 3)
    assert line is not None
    assert line.error is not None
    assert str(line.error).startswith(told)
    assert line.id == 3


async def test_a_byte_order_mark_and_windows_line_ends_are_no_fault() -> None:
    read_back = await read(b'\xef\xbb\xbf{"message": "a"}\r\n{"message": "b"}\r\n')
    assert [line.data["message"] for line in read_back] == ["a", "b"]


async def test_a_line_over_the_limit_is_an_error_and_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 1 << 20)

    class Endless(io.RawIOBase):
        """Fifty megabytes of one line, made as they are read; then a good line."""

        def __init__(self) -> None:
            self.pieces: Iterator[bytes] = iter([b"x" * (1 << 18)] * 200 + [b'\n{"message": "a"}\n', b""])

        def read1(self, size: int) -> bytes:
            assert size >= 1 << 18
            return next(self.pieces)

    tracemalloc.start()
    stream: Any = Endless()
    read_back = [line async for line in read_lines(stream)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than 1 MiB (52,428,800 bytes)" in str(read_back[0].error)
    assert read_back[1].data == {"message": "a"}
    assert peak < 8 << 20


async def test_a_line_is_given_as_soon_as_its_pipe_has_it() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        os.write(writing, b'{"message": "a"}\n{"mess')
        found = read_lines(stream)
        assert (await anext(found)).data == {"message": "a"}
        os.write(writing, b'age": "b"}\n')
        assert (await anext(found)).data == {"message": "b"}
        os.close(writing)
        assert [line async for line in found] == []


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 7))
async def test_no_bytes_at_all_make_the_reader_fail(pieces: list[bytes], size: int) -> None:
    class Slow(io.BytesIO):
        def read1(self, _: int | None = -1, /) -> bytes:
            return super().read1(size)

    whole = await read(b"\n".join(pieces))
    sliced = [line async for line in read_lines(Slow(b"\n".join(pieces)))]
    assert [(line.number, line.id, str(line.error)) for line in whole] == [
        (line.number, line.id, str(line.error)) for line in sliced
    ]
