from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.components.models.recorded import ANTHROPIC_TOOLS, OPENAI_TEXT
from victor_dsl.transport.sse import Decoder


def decoded(*chunks: bytes) -> list[bytes]:
    decoder = Decoder()
    found = [data for chunk in chunks for data in decoder.feed(chunk)]
    return found + decoder.finish()


def test_a_stream_cut_in_two_at_any_byte_gives_the_same_events() -> None:
    for stream in (
        OPENAI_TEXT,
        ANTHROPIC_TOOLS,
        ANTHROPIC_TOOLS.replace(b"\n", b"\r\n"),
        OPENAI_TEXT.replace(b"\n", b"\r"),
    ):
        expected = decoded(stream)
        assert len(expected) > 5
        for position in range(len(stream) + 1):
            assert decoded(stream[:position], stream[position:]) == expected
        assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_no_bytes_and_no_cuts_change_what_is_read(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert decoded(*pieces) == decoded(stream)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_what_is_written_is_read(lines: list[str]) -> None:
    stream = "".join(f"data: {line}\n\n" for line in lines).encode()
    assert decoded(stream) == [line.encode() for line in lines]


def test_data_over_several_lines_is_joined() -> None:
    assert decoded(b"data: {\ndata:  1}\n\n") == [b"{\n 1}"]


def test_comments_names_and_a_byte_order_mark_are_passed_over() -> None:
    assert decoded(b"\xef\xbb\xbfdata: a\n\n: keep-alive\n\nevent: x\nid: 7\nretry: 3\ndata:b\n\n\n\n") == [b"a", b"b"]


def test_a_last_event_without_its_blank_line_is_read() -> None:
    assert decoded(b"data: a\n\ndata: [DONE]") == [b"a", b"[DONE]"]


def test_a_megabyte_in_one_line_is_read_in_linear_time() -> None:
    decoder = Decoder()
    piece = b"x" * 1024
    assert decoder.feed(b"data: ") == []
    for _ in range(1024):
        assert decoder.feed(piece) == []
    assert decoder.feed(b"\n\n") == [piece * 1024]
