"""Reading gives back what a writer wrote, and spans hold what they say."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import ruamel.yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from victor_dsl.source.located import Located, Span
from victor_dsl.source.reader import Files

# What both YAML and JSON can hold; keys and values that look like something else among them.
TEXT = st.one_of(
    st.sampled_from(
        ["on", "no", "010", "1_000", "12:30:45", "2026-01-01", "null", "~", "<<", "=", "- a", "a: b", "${x}"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff"), max_size=12),
    st.text(st.sampled_from("ab \n\t:-#'\"\\{}[],&*!|>%@"), max_size=12),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=5)


def plain(node: Located) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def read(text: str, name: str) -> Located:
    result = Files().parse(text.encode(), name)
    assert result.diagnostics == ()
    assert result.document is not None
    return result.document


def written(span: Span, text: str) -> str:
    """The part of a text that a span means."""
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


def dump(value: Any, *, flow: bool) -> str:
    writer = ruamel.yaml.YAML(typ="safe", pure=True)
    writer.default_flow_style = flow
    writer.allow_unicode = True
    out = io.StringIO()
    writer.dump(value, out)
    return out.getvalue()


@given(DOCUMENTS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_json_is_read_as_it_was_written(value: dict[str, Any], indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False) if finite(value) else "{}"
    assert repr(plain(read(text, "spec.json"))) == repr(json.loads(text))


@given(DOCUMENTS, st.booleans())
def test_yaml_is_read_as_the_reference_reads_it(value: dict[str, Any], flow: bool) -> None:
    text = dump(value, flow=flow)
    assume("? " not in text)  # the writer's form for long keys, which YAML 1.1 and 1.2 writers place differently
    assume(not re.search(r"[\[{, ]:[^\s,]|:[\"']", text))  # `[:0]` and `[a:"b"]` are refused, to be quoted
    try:
        reference = ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        assume(False)
    assume(repr(reference) == repr(value))  # where the writer and its own reader agree
    assert repr(plain(read(text, "spec.yml"))) == repr(value)


@given(DOCUMENTS)
def test_a_json_span_is_exactly_the_value(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1, allow_nan=False) if finite(value) else "{}"
    for _, node in read(text, "spec.json").walk():
        assert json.loads(written(node.span, text)) == plain(node)
        if node.key_span is not None:
            assert isinstance(json.loads(written(node.key_span, text)), str)


@given(DOCUMENTS, st.booleans())
def test_a_yaml_span_reads_as_the_value(value: dict[str, Any], flow: bool) -> None:
    assume(value)
    text = dump(value, flow=flow)
    result = Files().parse(text.encode(), "spec.yml")
    assume(result.document is not None and not result.diagnostics)
    assert result.document is not None
    for _, node in result.document.walk():
        part = written(node.span, text)
        assert part == part.rstrip(" \n")
        assert part or node.value == ""
        if "\n" not in part and not isinstance(node.value, dict | list):
            assert repr(plain(read(f"a: {part}", "spec.yml").value["a"])) == repr(node.value)


def finite(value: Any) -> bool:
    return "Infinity" not in json.dumps(value)
