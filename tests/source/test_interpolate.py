"""References in text: what they come to, what is refused, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated, interpolate, unresolved
from victor_dsl.source.located import Located
from victor_dsl.source.reader import MAX_INCLUDED_BYTES, Files

ENVIRONMENT = {"NAME": "Ada", "EMPTY": "", "DOLLAR": "${env:NAME}"}


def read(text: str, name: str = "spec.yml") -> tuple[Located, Located, tuple[Diagnostic, ...]]:
    files = Files()
    document = files.parse(text.encode(), name).document
    assert document is not None
    return document, *interpolate(document, ENVIRONMENT, files)


def leaf(text: str, name: str = "spec.yml") -> Any:
    _, found, faults = read(text, name)
    assert faults == ()
    return found.value["a"].value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:NAME}", "Ada"),
        ("Hello ${env:NAME}, ${env:NAME}!", "Hello Ada, Ada!"),
        ("${env:NOBODY:-you}", "you"),
        ("${env:NOBODY:-}", ""),
        ("${env:NAME:-you}", "Ada"),
        ("${env:EMPTY}", None),
        ("${env:EMPTY:-}", ""),
        ("${env:EMPTY:-you}", "you"),
        ("${env:NOBODY:-http://x:1/{y}", "http://x:1/{y"),
        ("${env:DOLLAR}", "${env:NAME}"),
        ("$${env:NAME} ${env:NAME}", "${env:NAME} Ada"),
        ("${env:NOBODY}", None),
        ("${env:NAME} ${env:NOBODY}", None),
        ("{{ x }} ${env:NAME}", "{{ x }} Ada"),
    ],
)
def test_a_reference_comes_to_its_value(text: str, value: str | None) -> None:
    found = leaf(f"a: '{text}'")
    assert isinstance(found, Interpolated)
    assert found.text == text
    assert found.value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$", "$"),
        ("$NAME", "$NAME"),
        ("a ${NAME}", "a ${NAME}"),
        ("$${NAME}", "${NAME}"),
        ("${}", "${}"),
        ("${", "${"),
        ("${a.b:c}", "${a.b:c}"),
        ("$${env:NAME}", "${env:NAME}"),
        ("$${", "${"),
        ("$$${x}", "$${x}"),
        ("{{ a }}", "{{ a }}"),
    ],
)
def test_everything_else_is_text(text: str, value: str) -> None:
    found = leaf(f"a: '{text}'")
    assert type(found) is str
    assert found == value


@pytest.mark.parametrize(
    ("text", "code", "column", "end_column"),
    [
        ("a: ${evn:NAME}", "unknown-interpolation", 4, 15),
        ("a: x ${HOME:-y}", "unknown-interpolation", 6, 16),
        ("a: x ${env:}", "bad-interpolation", 6, 13),
        ("a: 'x ${env:NAME'", "bad-interpolation", 7, 17),
        ("a: '${env:MY-VAR}'", "bad-interpolation", 5, 18),
        ("a: '${env:NAME:x}'", "bad-interpolation", 5, 18),
        ("a: '${ env:NAME}'", "bad-interpolation", 5, 17),
        ("a: '${env: NAME}'", "bad-interpolation", 5, 17),
        ("a: '${env:X:-${env:Y}}'", "bad-interpolation", 5, 22),
        ("a: '${file:}'", "bad-interpolation", 5, 13),
        ("a: '${file:x:-y}'", "bad-interpolation", 5, 17),
        ('{"a": "\\u0024{env:}"}', "bad-interpolation", 7, 21),
    ],
)
def test_a_fault_stands_at_its_reference(text: str, code: str, column: int, end_column: int) -> None:
    _, found, faults = read(text, "spec.json" if text.startswith("{") else "spec.yml")
    assert [(fault.code, *fault.span[1:], fault.path) for fault in faults] == [(code, 1, column, 1, end_column, ("a",))]
    assert found.value["a"].value.value is None


def test_the_nearest_word_is_suggested() -> None:
    _, _, (fault,) = read("a: ${evn:NAME}")
    assert fault.hint is not None
    assert fault.hint.startswith("did you mean 'env'?")


def test_the_same_reference_in_a_block_text_is_found_in_its_own_line() -> None:
    _, _, faults = read("a: |\n  x ${env:}\n\n    ${env:} ${env:}\n")
    assert [fault.span[1:3] for fault in faults] == [(2, 5), (4, 5), (4, 13)]


@pytest.mark.parametrize("text", ["${NAME}", "${env.NAME}"])
def test_a_variable_as_in_a_shell_stays_text_with_a_warning(text: str) -> None:
    document, found, (fault,) = read(f"a: '{text}'")
    assert found is document
    assert (fault.code, fault.severity, fault.path) == ("shell-variable", "warning", ("a",))
    assert fault.hint == f'write "${{env:NAME}}"; or, where text is meant, "${text}"'


def test_keys_are_left_alone() -> None:
    document, found, _ = read("a: {'${env:NAME}': 1}")
    assert found is document


def test_parts_without_references_are_the_same_objects() -> None:
    document, found, _ = read("a: {b: [1, x]}\nc: {d: '${env:NAME}', e: {f: 1}}\n")
    assert found is not document
    assert found.value["a"] is document.value["a"]
    assert found.value["c"].value["e"] is document.value["c"].value["e"]
    assert list(found.value["c"].value) == ["d", "e"]
    assert found.value["c"].value["d"].span == document.value["c"].value["d"].span
    assert type(document.value["c"].value["d"].value) is str


def test_shared_parts_stay_shared_and_their_faults_are_told_once() -> None:
    _, found, faults = read("a: &x {b: '${env:NAME}', c: '${env:}'}\nd: *x\ne: {<<: *x}\nf: &y '${env:}'\ng: *y\n")
    assert found.value["a"].value is found.value["d"].value
    assert found.value["e"].value["b"].value is found.value["a"].value["b"].value
    assert len(faults) == 2


def test_an_included_file_is_found_beside_its_writer(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_bytes("\ufeffGrüße ${env:NAME}\n\n".encode())
    found = leaf("a: '${file:prompt.md}'", f"{tmp_path}/spec.yml")
    assert found.value == "Grüße ${env:NAME}\n"
    (reference,) = found.references
    assert (reference.source, reference.name, reference.path) == ("file", "prompt.md", f"{tmp_path}/prompt.md")


def test_a_reference_that_cannot_be_followed_says_why(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_INCLUDED_BYTES + 1))
    (tmp_path / "latin").write_bytes(b"\xe9")
    found = leaf(
        "a: '${env:NAME} ${env:NOBODY} ${file:none} ${file:large} ${file:latin} ${file:.}'", f"{tmp_path}/spec.yml"
    )
    assert found.value is None
    assert [reference.problem for reference in unresolved(found, ENVIRONMENT)] == [
        "the variable NOBODY is not set",
        f"cannot read '{tmp_path}/none': there is no such file",
        f"cannot read '{tmp_path}/large': it has more than 1,048,576 bytes",
        f"cannot read '{tmp_path}/latin': it is not UTF-8 text",
        f"cannot read '{tmp_path}': it is a directory",
    ]
    assert [reference.name for reference in unresolved(found, {"NOBODY": "x"})] == ["none", "large", "latin", "."]


def test_a_value_is_never_shown() -> None:
    found = leaf("a: '${env:NAME}'")
    assert "Ada" not in f"{found} {found!r} {found.references}"
    assert str(found) == "${env:NAME}"
