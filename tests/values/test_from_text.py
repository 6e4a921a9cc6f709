"""Texts become what their setting is, by the schema and never by a guess."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.values.from_text import settings_from_text


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("temperature", ".8", 0.8),
        ("max_tokens", "8192", 8192),
        ("max_tokens", " 12 ", 12),
        ("max_tokens", "1_000", "1_000"),
        ("max_tokens", "12.5", "12.5"),
        ("temperature", "hot", "hot"),
        ("model", "7", "7"),
        ("model", "null", None),
        ("fallbacks", "spare, other,", ["spare", "other"]),
        ("stop", '["a,b"]', ["a,b"]),
        ("stop", "[broken", "[broken"),
        ("thinking", '{"budget_tokens": 3}', {"budget_tokens": 3}),
        ("limits", {"concurrency": "3", "tools": {"deny": "a*"}}, {"concurrency": 3, "tools": {"deny": ["a*"]}}),
        ("limits", "3", "3"),
        ("nonsense", "3", "3"),
        ("seed", 4, 4),
    ],
)
def test_a_text_becomes_what_the_setting_is(key: str, text: Any, value: Any) -> None:
    read = settings_from_text({key: text})
    assert read == {key: value}
    assert type(read[key]) is type(value)


@given(st.integers())
def test_every_whole_number_is_read_back(number: int) -> None:
    assert settings_from_text({"seed": str(number)}) == {"seed": number}


@given(st.floats(allow_nan=False))
def test_every_number_is_read_back(number: float) -> None:
    assert settings_from_text({"temperature": repr(number)}) == {"temperature": number}
