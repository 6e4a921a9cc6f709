"""The canonical layout of YAML and JSON: nothing is lost, and a second time nothing changes."""

from __future__ import annotations

import json
import re
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.source.layouts import file, plain
from victor_dsl.language.spec import ORDER, SECTIONS, section_rank
from victor_dsl.source import json_text
from victor_dsl.source.json_layout import layout_json
from victor_dsl.source.layout import layout
from victor_dsl.source.yaml_text import compose


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**9))
def test_values_comments_and_their_order_stay_and_a_second_time_nothing_changes(seed: int) -> None:
    text = file(Random(seed))
    document, faults = compose(text, "a.yml")
    assume(document is not None and not faults)
    new = layout(text)
    again, faults = compose(new, "a.yml")
    assert not faults
    assert json.dumps(plain(again)) == json.dumps(plain(document))
    assert re.findall("#c[0-9]+", new) == re.findall("#c[0-9]+", text)
    assert layout(new) == new


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:   1\nb :\t2\n", "a: 1\nb: 2\n"),
        ("\ufeffa: 1\r\nb: |\r\n    x\r\n      y\r\n", "a: 1\nb: |\n  x\n    y\n"),
        ("a:\n- 1\n-   2\nb:\n    - - 3\n      - 4\n", "a:\n  - 1\n  - 2\nb:\n  - - 3\n    - 4\n"),
        ("a: [ 1,2 ,3 ]\nb: { x: 1 ,y: 'z' }\n", 'a: [1, 2, 3]\nb: {x: 1, y: "z"}\n'),
        ("a: 'it''s'\nb: '\\d'\nc: 'a\"b'\n", "a: 'it''s'\nb: '\\d'\nc: 'a\"b'\n"),
        ("a: [\n 1,\n     2,\n   ]\n", "a: [\n  1,\n  2,\n]\n"),
        ("a:\n  -\n    b: 1\n    c: 2\n", "a:\n  - b: 1\n    c: 2\n"),
        ("a:\n  |\n  text\n", "a: |\n  text\n"),
        ("a: |+\n  x\n\n\nb: 1\n\n\n\nc: 2\n\n\n", "a: |+\n  x\n\n\nb: 1\n\nc: 2\n"),
        ("a: |4-\n      x\n     y\n", "a: |2-\n    x\n   y\n"),
        ("a: |\n  no break at the end", "a: |\n  no break at the end"),
        ("a: 1  \nb: 2", "a: 1\nb: 2\n"),
        ("---\na: 1\n", "---\na: 1\n"),
        ("x: &a {b: 1}\ny:\n    <<: *a\n    c: *a\n", "x: &a {b: 1}\ny:\n  <<: *a\n  c: *a\n"),
        ("a: one\n    two\n\n    three\n", "a: one\n  two\n\n  three\n"),
        ('a: "one \\\n     two\\\n     \\ three"\n', 'a: "one \\\n  two\\\n  \\ three"\n'),
        ("? a\n:   b\n", "? a\n: b\n"),
        ("{a: 1, b: {c: 2}}\n", "{a: 1, b: {c: 2}}\n"),
        ("- b\n-   a\n", "- b\n- a\n"),
        ("a: http://x:1/y?z\nb: [http://x:1/y?z, a?b]\n", "a: http://x:1/y?z\nb: [http://x:1/y?z, a?b]\n"),
        ("a: x\u2028y\u0085z\n", "a: x\u2028y\u0085z\n"),
    ],
)
def test_what_changes_and_what_stays(text: str, expected: str) -> None:
    assert layout(text) == expected
    assert layout(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\t# x\tand y\n", "a: 1 # x\tand y\n"),
        ("a:    1    # x\nbc:   2    # y\n", "a: 1       # x\nbc: 2      # y\n"),
        ("a: 1      # alone\nb: 2\n", "a: 1      # alone\nb: 2\n"),
        ("a:\n    b: 1\n    # of b\n  # of a?\n# of c\nc: 1\n", "a:\n  b: 1\n  # of b\n# of a?\n# of c\nc: 1\n"),
        ("a:\n- 1\n# of the list\n- 2\n# of b\nb: 1\n", "a:\n  - 1\n  # of the list\n  - 2\n# of b\nb: 1\n"),
        ("a: |   # why\n    x\n   # after\nb: 1\n", "a: |   # why\n  x\n# after\nb: 1\n"),
        ("a: [1, # one\n   # two\n      2]\n", "a: [1, # one\n  # two\n  2]\n"),
        ("a:\n      # above\n      b: 1\n", "a:\n  # above\n  b: 1\n"),
    ],
)
def test_comments_stay_where_they_belong(text: str, expected: str) -> None:
    assert layout(text) == expected
    assert layout(expected) == expected


def test_every_section_has_a_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(["", *SECTIONS])
    assert sorted(["tools", "x-mine", "+models", "victor"], key=section_rank) == [
        "victor",
        "x-mine",
        "+models",
        "tools",
    ]


def test_sections_come_in_order_with_the_comments_above_them() -> None:
    text = (
        "# yaml-language-server: $schema=x\n# tools we have\ntools:\n- a\n  # - b\n\n# names\n\nname: x # mine\n"
        "models: {}\n\nvictor: 1\n# the end\n"
    )
    assert layout(text, section_rank) == (
        "# yaml-language-server: $schema=x\nvictor: 1\n\n# names\n\nname: x # mine\nmodels: {}\n\n# tools we have\ntools:\n"
        "  - a\n  # - b\n# the end\n"
    )


def test_a_comment_of_the_whole_file_stays_at_its_top() -> None:
    assert layout("# Ours.\n\nname: x\nvictor: 1\n", section_rank) == "# Ours.\n\nvictor: 1\nname: x\n"


def test_sections_stay_where_an_alias_would_come_before_its_anchor() -> None:
    text = "victor: 1\ntools:\n  - &a {type: python}\nmodels: {b: *a}\n"
    assert layout(text, section_rank) == text


def test_sections_stay_where_a_text_ends_without_a_line_break() -> None:
    text = "name: x\ndescription: b\nvictor: |\n  1"
    assert layout(text, section_rank) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"b":1.50,"a":[1,2,{"c":"\\u00e9é"}],"d":{}}',
            '{\n  "b": 1.50,\n  "a": [\n    1,\n    2,\n    {"c": "\\u00e9é"}\n  ],\n  "d": {}\n}\n',
        ),
        ('\ufeff{"tools":[],\r\n "name":"x","victor":1e0}\r\n', '{"victor": 1e0, "name": "x", "tools": []}\n'),
        ('{"a": "' + "x" * 100 + '"}', '{\n  "a": "' + "x" * 100 + '"\n}\n'),
        ("[]", "[]\n"),
    ],
)
def test_json_keeps_its_numbers_and_texts(text: str, expected: str) -> None:
    assert layout_json(text, section_rank if "victor" in text else None) == expected
    assert layout_json(expected) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from([None, 0, 3]), st.booleans())
def test_json_means_the_same(value: object, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    document, faults = json_text.compose(text, "a.json")
    assume(document is not None and not faults)
    new = layout_json(text)
    assert json.dumps(json.loads(new)) == json.dumps(value)
    assert layout_json(new) == new
