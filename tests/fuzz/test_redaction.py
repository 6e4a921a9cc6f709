"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.redaction import CUSTOM, search
from victor_dsl.values.redaction.detectors import DETECTORS


def test_a_stream_comes_out_as_the_whole_text_however_it_is_cut() -> None:
    assert set(search(range(1_000))) == {*DETECTORS, *CUSTOM}
