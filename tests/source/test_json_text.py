"""JSON is read exactly as JSON, with places."""

from __future__ import annotations

import pytest

from victor_dsl.source.nesting import MAX_DEPTH
from victor_dsl.source.reader import Files


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "end_line", "end_column"),
    [
        ('{"a": 1,\n "a": 2}', "duplicate-key", 2, 2, 2, 5),
        ('{"a": 1, "b": [1, 2,]}', "json-syntax", 1, 21, 1, 22),
        ('{"a": 1,}', "json-syntax", 1, 9, 1, 10),
        ("{'a': 1}", "json-syntax", 1, 2, 1, 3),
        ("{a: 1}", "json-syntax", 1, 2, 1, 3),
        ('{"a": True}', "json-syntax", 1, 7, 1, 11),
        ('{"a": NaN}', "json-syntax", 1, 7, 1, 10),
        ('{"a": 01}', "json-syntax", 1, 7, 1, 9),
        ('{"a": .5}', "json-syntax", 1, 7, 1, 9),
        ('{"a": "\\q"}', "json-syntax", 1, 8, 1, 9),
        ('{"a": "\\ud83d"}', "json-syntax", 1, 7, 1, 8),
        ('{"a": "x', "json-syntax", 1, 7, 1, 8),
        ('{"a": "x\ny"}', "json-syntax", 1, 9, 1, 9),
        ('{\n  "a" 1\n}', "json-syntax", 2, 7, 2, 8),
        ('{"a": 1\n', "json-syntax", 1, 8, 1, 8),
        ('{"a": 1} {}', "json-syntax", 1, 10, 1, 11),
        ("// no\n{}", "json-syntax", 1, 1, 1, 2),
        ('{"a": 1\r\n,\r"b" 2}', "json-syntax", 3, 5, 3, 6),
        ("[1]", "not-a-map", 1, 1, 1, 4),
        ("null", "empty-file", 1, 1, 1, 1),
        ("", "empty-file", 1, 1, 1, 1),
        ('{"a": ' + "1" * 1001 + "}", "bad-number", 1, 7, 1, 1008),
        ('{"a":' + "[" * MAX_DEPTH, "too-deep", 1, 5 + MAX_DEPTH, 1, 6 + MAX_DEPTH),
    ],
)
def test_what_is_not_json_is_named_at_its_place(
    text: str, code: str, line: int, column: int, end_line: int, end_column: int
) -> None:
    found = Files().parse(text.encode(), "spec.json").diagnostics
    assert [(fault.code, *fault.span[1:]) for fault in found] == [(code, line, column, end_line, end_column)]


def test_json_escapes_tabs_and_late_colons_are_read() -> None:
    text = '{\r\n\t"a"\r\n:\t"\\ud83d\\ude00 \\/ \\u00e9\u2028", "b": [-1.5e3, 12, true, null, {}], "<<": 0}'
    result = Files().parse(text.encode(), "spec.json")
    assert result.diagnostics == ()
    assert result.document is not None
    values = result.document.value
    assert values["a"].value == "😀 / é\u2028"
    assert values["a"].span[1:] == (3, 3, 3, 28)
    assert values["a"].key_span[1:] == (2, 2, 2, 5)
    assert [item.value for item in values["b"].value] == [-1500.0, 12, True, None, {}]
    assert values["<<"].value == 0


def test_a_key_may_be_longer_than_yaml_lets_it_be() -> None:
    key = "k" * 5000
    result = Files().parse(f'{{"{key}": 1}}'.encode(), "spec.JSON")
    assert result.document is not None
    assert list(result.document.value) == [key]


def test_200_000_levels_of_json_are_too_deep() -> None:
    for opener in ("[", '{"a":'):
        (fault,) = Files().parse((opener * 200_000).encode(), "spec.json").diagnostics
        assert fault.code == "too-deep"
