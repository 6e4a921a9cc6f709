"""What YAML text means: the 1.2 core schema, anchors and merges; and where its values stand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files


def document(text: str, name: str = "spec.yml") -> Located:
    result = Files().parse(text.encode(), name)
    assert result.diagnostics == ()
    assert result.document is not None
    return result.document


def plain(node: Located) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("~", None),
        ("nULL", "nULL"),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("tRUE", "tRUE"),
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("y", "y"),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("010", 10),
        ("0o17", 15),
        ("0o18", "0o18"),
        ("-0o17", "-0o17"),
        ("0xfF", 255),
        ("0xg", "0xg"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "\N{ARABIC-INDIC DIGIT ONE}"),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        ("1e", "1e"),
        (".", "."),
        ("-", "-"),
        ("+", "+"),
        ("...", "..."),
        (".inf", math.inf),
        ("+.INF", math.inf),
        ("-.Inf", -math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("'1'", "1"),
        ('"null"', "null"),
        ("|-\n  1", "1"),
        ("!!str 1", "1"),
        ("!!str", ""),
        ("! 1", "1"),
        ("!!int '5'", 5),
        ("!!float 1", 1.0),
        ("!!bool true", True),
        ("!!null ''", None),
        ("!!map {}", {}),
        ("!!seq []", []),
        ("!<tag:yaml.org,2002:int> 3", 3),
    ],
)
def test_a_scalar_means_what_the_core_schema_says(written: str, value: object) -> None:
    if written in {"-", "...", "=", "."}:
        written = f"[{written}]" if written != "-" else '["-"]'
        value = [value]
    found = plain(document(f"a: {written}"))["a"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(plain(document("a: .nan"))["a"])


def test_plain_keys_are_their_text() -> None:
    assert list(plain(document("on: 1\n1: 2\ntrue: 3\nnull: 4\n1.50: 5\n~: 6\n"))) == [
        "on",
        "1",
        "true",
        "null",
        "1.50",
        "~",
    ]


def test_addresses_and_times_stand_unquoted_in_brackets() -> None:
    text = "a: {url: http://127.0.0.1:11434/v1, at: [12:30:45, a:b, 0:;, a::-b], 'q':1}\nb: c:d"
    assert plain(document(text)) == {
        "a": {"url": "http://127.0.0.1:11434/v1", "at": ["12:30:45", "a:b", "0:;", "a::-b"], "q": 1},
        "b": "c:d",
    }


def test_a_question_mark_in_a_text_is_text() -> None:
    assert plain(document("a: {b: what?, c: http://x/?q=1, d: [?e, f?, g ?h]}\n? i\n: {? j : k?}")) == {
        "a": {"b": "what?", "c": "http://x/?q=1", "d": ["?e", "f?", "g ?h"]},
        "i": {"j": "k?"},
    }


def test_own_keys_win_over_merged_ones_and_earlier_maps_over_later() -> None:
    text = "a: &a {p: 1, q: 1}\nb: &b {q: 2, r: 2}\nc: {<<: [*a, *b], p: 3}\nd:\n  p: 4\n  <<: *b\n"
    found = plain(document(text))
    assert found["c"] == {"p": 3, "q": 1, "r": 2}
    assert found["d"] == {"p": 4, "q": 2, "r": 2}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert plain(document("a: {'<<': 1}")) == {"a": {"<<": 1}}


def test_an_aliased_value_keeps_its_place_and_is_shared() -> None:
    found = document("a: &x [1, 2]\nb: *x\nc: {<<: {k: *x}}\n")
    first, second = found.value["a"], found.value["b"]
    assert second.value is first.value
    assert second.span == first.span
    assert second.key_span is not None
    assert second.key_span[1:] == (2, 1, 2, 2)
    assert found.value["c"].value["k"].value is first.value


def test_an_anchor_written_again_means_its_newest_value() -> None:
    assert plain(document("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")) == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.parametrize(
    ("text", "path", "span", "key_span"),
    [
        ("a: 1", ("a",), (1, 4, 1, 5), (1, 1, 1, 2)),
        ("é: ü😀\nb: 1", ("é",), (1, 4, 1, 6), (1, 1, 1, 2)),
        ("\ufeffa: b", ("a",), (1, 4, 1, 5), (1, 1, 1, 2)),
        ("a: 'x y'  # z", ("a",), (1, 4, 1, 9), (1, 1, 1, 2)),
        ('a: "x\n  y"\nb: 1', ("a",), (1, 4, 2, 5), (1, 1, 1, 2)),
        ("a: x\n  y\n\nb: 1", ("a",), (1, 4, 2, 4), (1, 1, 1, 2)),
        ("a: |\n  x\n  yy\n\n\nb: 1", ("a",), (1, 4, 3, 5), (1, 1, 1, 2)),
        ("a: >-\r\n  x\r\n  yy\r\n\r\nb: 1", ("a",), (1, 4, 3, 5), (1, 1, 1, 2)),
        ("a: &x |\n  x\n\nb: 1", ("a",), (1, 4, 2, 4), (1, 1, 1, 2)),
        ("a: |\nb: 1", ("a",), (1, 4, 1, 5), (1, 1, 1, 2)),
        ("a:\n  b: 1\n  c: |\n    x\n\n\n# end\nd: 2", ("a",), (2, 3, 4, 6), (1, 1, 1, 2)),
        ("a:\n- 1\n- 22\n\nd: 2", ("a",), (2, 1, 3, 5), (1, 1, 1, 2)),
        ("a: [1,\n  2 ]\n", ("a",), (1, 4, 2, 6), (1, 1, 1, 2)),
        ("a: {b: {c: 1 } }", ("a", "b"), (1, 8, 1, 15), (1, 5, 1, 6)),
        ("a: [b: 1, 2]", ("a", 0), (1, 5, 1, 9), None),
        ("a: 1\nb: 2\n\n", (), (1, 1, 2, 5), None),
    ],
)
def test_a_value_stands_from_its_first_to_its_last_character(
    text: str, path: tuple[str | int, ...], span: tuple[int, ...], key_span: tuple[int, ...] | None
) -> None:
    node = document(text).at(path)
    assert node.span == ("spec.yml", *span)
    assert node.key_span == (None if key_span is None else ("spec.yml", *key_span))
