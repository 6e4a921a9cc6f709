"""Each trap of YAML is a diagnostic with its code, at its exact place."""

from __future__ import annotations

import pytest

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.nesting import MAX_DEPTH
from victor_dsl.source.reader import Files


def faults(text: str | bytes, name: str = "spec.yml") -> list[Diagnostic]:
    data = text.encode() if isinstance(text, str) else text
    return list(Files().parse(data, name).diagnostics)


def places(text: str | bytes, name: str = "spec.yml") -> list[tuple[str, int, int, int, int]]:
    return [(fault.code, *fault.span[1:]) for fault in faults(text, name)]


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "end_line", "end_column"),
    [
        ("a: 1\nbb: 2\nbb: 3\n", "duplicate-key", 3, 1, 3, 3),
        ("a:\n  - x: 1\n    'x': 2\n", "duplicate-key", 3, 5, 3, 8),
        ("a: {x: 1, x: 2}", "duplicate-key", 1, 11, 1, 12),
        ("1: a\n'1': b\n", "duplicate-key", 2, 1, 2, 4),
        ("x: &x {}\ny:\n  <<: *x\n  <<: *x\n", "duplicate-key", 4, 3, 4, 5),
        ("a: 1\nkey:\nb: 2\n", "empty-value", 2, 1, 2, 4),
        ("a:\n  - x\n  -\n", "empty-value", 3, 3, 3, 4),
        ("a: {b, c: 1}", "empty-value", 1, 5, 1, 6),
        ("a: &x\nb: 1", "empty-value", 1, 1, 1, 2),
        ("a: 1\nb: !secret x\n", "unknown-tag", 2, 4, 2, 11),
        ("a: &x !secret x\n", "unknown-tag", 1, 7, 1, 14),
        ("a: !!timestamp 2026-01-01", "unknown-tag", 1, 4, 1, 15),
        ("a: !e!x 1", "unknown-tag", 1, 4, 1, 8),
        ("a: !!int abc", "bad-tag", 1, 4, 1, 13),
        ("a: !!bool 1", "bad-tag", 1, 4, 1, 12),
        ("a: !!seq 1", "bad-tag", 1, 4, 1, 9),
        ("a: !!map [1]", "bad-tag", 1, 4, 1, 9),
        ("a: 1\n? [b]\n: 2\n", "complex-key", 2, 3, 2, 4),
        ("a: &x 1\n*x : 2\n", "complex-key", 2, 1, 2, 3),
        ("? \n: 1\n", "complex-key", 1, 2, 1, 2),
        ("a: &x [1, *x]", "alias-loop", 1, 11, 1, 13),
        ("a: &x {b: {c: *x}}", "alias-loop", 1, 15, 1, 17),
        ("a: *nobody", "unknown-alias", 1, 4, 1, 11),
        ("a: 1\nb: {<<: 5}", "bad-merge", 2, 5, 2, 7),
        ("a: &x [1]\nb: {<<: [*x]}", "bad-merge", 2, 5, 2, 7),
        ("\ta: 1\n", "tab-indentation", 1, 1, 1, 2),
        ("a:\n  b: 1\n\tc: 2\n", "tab-indentation", 3, 1, 3, 2),
        ("a:\n\t- b\n", "tab-indentation", 2, 1, 2, 2),
        ("a: |\n \tx\n  y\n", "tab-indentation", 2, 2, 2, 3),
        ("a: 1\nb: \x07\n", "control-character", 2, 4, 2, 5),
        ("a: 1\nb: 😀x\x00y\n", "control-character", 2, 6, 2, 7),
        ("a: 1\n---\nb: 2\n", "several-documents", 2, 1, 2, 4),
        ("a: " + "9" * 1001, "bad-number", 1, 4, 1, 1005),
        ("a: [1, 2\nb: 3\n", "yaml-syntax", 2, 2, 2, 3),
        ("a: 1\nb: [1, 2\n\n# end\n", "yaml-syntax", 2, 4, 2, 5),
        ("a: [\n", "yaml-syntax", 1, 4, 1, 5),
        ("a: {b: [1,\n", "yaml-syntax", 1, 8, 1, 9),
        ("a: 1\nb: {x: 1\n\n", "yaml-syntax", 2, 4, 2, 5),
        ("a: 1\nb: 'x\nc: 3\n", "yaml-syntax", 2, 4, 2, 5),
        ('a: "\\q"', "yaml-syntax", 1, 5, 1, 6),
        ("a: 1\n b: 2\n", "yaml-syntax", 2, 3, 2, 4),
        ("a: 1\nb\nc: 2\n", "yaml-syntax", 2, 1, 2, 2),
        ("a: b: c\n", "yaml-syntax", 1, 5, 1, 6),
        ("a: @x\n", "yaml-syntax", 1, 4, 1, 5),
        ("a: 'b' c\n", "yaml-syntax", 1, 8, 1, 9),
        ("a: [1,,2]\n", "yaml-syntax", 1, 7, 1, 8),
        ("a: {b: 1}}\n", "yaml-syntax", 1, 10, 1, 11),
        ("a: 1\n...\nb: 2\n", "yaml-syntax", 3, 1, 3, 2),
        ("%YAML 2.0\n---\na: 1\n", "yaml-syntax", 1, 1, 1, 2),
        ("- a\n- b\n", "not-a-map", 1, 1, 2, 4),
        ("hello world\n", "not-a-map", 1, 1, 1, 12),
        ("", "empty-file", 1, 1, 1, 1),
        (" \n\n", "empty-file", 1, 1, 1, 1),
        ("# only this\n", "empty-file", 1, 1, 1, 1),
        ("---\n", "empty-file", 1, 1, 1, 1),
        (b"a: 1\nb: caf\xe9\n", "not-utf8", 2, 7, 2, 8),
        (b"\xef\xbb\xbfa: \xff\n", "not-utf8", 1, 4, 1, 5),
        ("a: 1\n".encode("utf-16"), "not-utf8", 1, 1, 1, 1),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not-utf8", 1, 1, 1, 2),
    ],
)
def test_a_trap_is_named_at_its_place(
    text: str | bytes, code: str, line: int, column: int, end_line: int, end_column: int
) -> None:
    assert places(text) == [(code, line, column, end_line, end_column)]


def test_a_line_counts_as_in_an_editor_with_any_line_break() -> None:
    for text in ("a: 1\nb: 2\nb: 3\n", "a: 1\r\nb: 2\r\nb: 3\r\n", "a: 1\rb: 2\rb: 3\r", "\ufeffa: 1\nb: 2\r\nb: 3"):
        assert places(text) == [("duplicate-key", 3, 1, 3, 2)]


def test_characters_that_break_lines_in_yaml_1_1_only_are_text() -> None:
    assert places("a: x\u2028y\nb: x\x85\u2029y\nb: 2\n") == [("duplicate-key", 3, 1, 3, 2)]
    document = Files().parse("a: x\u2028y\x85z".encode(), "spec.yml").document
    assert document is not None
    assert document.value["a"].value == "x\u2028y\x85z"


def test_a_second_key_names_the_first() -> None:
    (fault,) = faults("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert fault.path == ("b", "c")
    assert [(related.message, related.span[1:]) for related in fault.related] == [("first written here", (3, 3, 3, 4))]


def test_every_fault_before_broken_syntax_is_reported_with_it() -> None:
    assert [code for code, *_ in places("a: 1\na: 2\nb:\nc: !x y\nd: [\n")] == [
        "duplicate-key",
        "empty-value",
        "unknown-tag",
        "yaml-syntax",
    ]


def test_a_document_with_faults_is_still_a_document() -> None:
    result = Files().parse(b"a: 1\na: 2\nb: !x y\n? [k]\n: gone\nc: 3\n", "spec.yml")
    assert result.document is not None
    assert {key: node.value for key, node in result.document.value.items()} == {"a": 1, "b": "y", "c": 3}


def test_the_nearest_anchor_is_suggested() -> None:
    (fault,) = faults("a: &limits {x: 1}\nb: *limit\n")
    assert fault.hint == "did you mean 'limits'? anchors above: limits; a text that begins with '*' needs quotes"


@pytest.mark.parametrize("opener", ["[", "- ", "? ", "{a: ", "[? ", "{a: [", "- - ? "])
def test_200_000_levels_are_too_deep_at_once(opener: str) -> None:
    found = faults(opener * 200_000)  # the C parser alone takes a minute to read them all
    assert found[-1].code == "too-deep"
    assert found[-1].span.line == 1


def test_the_last_level_allowed_is_read() -> None:
    deep = "a: " + "[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1)
    assert places(deep) == []
    assert [code for code, *_ in places("a: " + "[" * MAX_DEPTH)] == ["too-deep"]


def test_aliases_do_not_reach_deeper_than_brackets() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
    ((code, line, *_),) = places(text)
    assert (code, line) == ("too-deep", MAX_DEPTH)


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}\n" for i in range(1, 60)),
        "a: &a {" + ", ".join(f"k{i}: 1" for i in range(1000)) + "}\nb:\n" + "  - {<<: *a}\n" * 1000,
    ],
)
def test_an_alias_bomb_is_too_large(bomb: str) -> None:
    ((code, line, *_),) = places(bomb)
    assert code == "too-large"
    assert line < len(bomb.splitlines())


@pytest.mark.parametrize("name", ["spec.yml", "spec.json"])
def test_a_file_with_too_many_values_is_too_large(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("yaml_text", "json_text"):
        monkeypatch.setattr(f"victor_dsl.source.{module}.MAX_NODES", 1_000)
    assert places('{"a": [' + "1," * 900 + "1]}", name) == []
    assert [code for code, *_ in places('{"a": [' + "1," * 3_000 + "1]}", name)] == ["too-large"]


def test_a_key_inside_a_key_at_fault_is_not_reported_again() -> None:
    assert [code for code, *_ in places("? {a: 1, [b]: 2}\n: 3\n")] == ["complex-key"]


@pytest.mark.parametrize(
    ("text", "closer", "column"),
    [("a: {b: 1}}\n", "}", 10), ("a: [1]]\n", "]", 7), ("a:\n  - {b: 1}}\n", "}", 11)],
)
def test_a_bracket_that_closes_nothing_is_named(text: str, closer: str, column: int) -> None:
    (fault,) = faults(text)
    assert (fault.message, fault.hint, fault.span.column) == (f"this '{closer}' closes nothing", "remove it", column)


SINGLE = "a text in quotes ends at its next quote: write `''` for one inside of it, or put all of it in quotes"
DOUBLE = SINGLE.replace("`''`", '`\\"`')


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: |\n \tx\n", "where the text itself begins with a tab, write how many spaces its indentation has: `|2`"),
        ("a:\n\t- b\n", "indent with spaces"),
        ("a:\n  - {b: Never say # this}\n", "a '#' after a space begins a comment: put the text in quotes"),
        ("a: [never, # this]\n", "a '#' after a space begins a comment: put the text in quotes"),
        ("a: [b, # c\n", "close it with ']'"),
        ("a: {b: Say {x} now}\n", "a '{' ends a plain text in […] and {…}: put the text in quotes"),
        ("a: {b: Use [x, y] now}\n", "a '[' ends a plain text in […] and {…}: put the text in quotes"),
        ("a: [Use {x}]\n", "a '{' ends a plain text in […] and {…}: put the text in quotes"),
        ("a: {b: 'it's'}\n", SINGLE),
        ("a: ['it's']\n", SINGLE),
        ("a: 'it's'\nb: 1\n", SINGLE),
        ("a: 'x' and y\n", SINGLE),
        ('a: {b: "x" and y}\n', DOUBLE),
        ('a: "say "x" now"\n', DOUBLE),
        ("a: {b: 1 c: {d: 1}}\n", "a ': ' ends a plain text in […] and {…}: put the text in quotes"),
        ("a: {b: [1] c: 2}\n", "close the map with '}'"),
    ],
)
def test_the_hint_says_what_the_trap_was(text: str, hint: str) -> None:
    (fault,) = faults(text)
    assert fault.hint == hint
