"""What people read for each diagnostic code. After a change on purpose: `python -m tests.diagnostics.regenerate`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import victor_dsl.compiler
from tests.diagnostics.cases import CASES, FOLDER, code, compilation, expected, printed, right_example, wrong_example
from victor_dsl.compiler import Compilation
from victor_dsl.language.codes import CODES, explain, shown
from victor_dsl.language.codes import FOLDER as PAGES

PACKAGE = Path(victor_dsl.compiler.__file__).parent.parent
WORD = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
OTHER_WORDS = frozenset({"utf-8", "utf-8-sig", "utf-16"})
"""Words of that form in the same modules that are not codes."""


def test_every_code_that_the_package_reports_has_a_page_and_no_other() -> None:
    reported = {word for layer in ("source", "compiler", "values") for word in _words(PACKAGE / layer)} - OTHER_WORDS
    assert reported == set(CODES)
    assert {path.stem for path in PAGES.glob("*.md")} == set(CODES)


@pytest.mark.parametrize("name", CODES)
def test_the_wrong_spec_of_a_page_prints_exactly_its_output(name: str, tmp_path: Path) -> None:
    page = explain(name)
    found = wrong_example(page, tmp_path)
    assert printed(page.file, found) == page.output
    assert {(d.code, d.severity) for d in found.diagnostics} == {(name, page.severity)}
    _check_places(found)


@pytest.mark.parametrize("name", CODES)
def test_the_right_spec_of_a_page_has_no_fault(name: str, tmp_path: Path) -> None:
    assert right_example(explain(name), tmp_path).diagnostics == ()


@pytest.mark.parametrize("name", CODES)
def test_a_page_explains_in_one_to_four_sentences(name: str) -> None:
    meaning = explain(name).meaning
    assert meaning.endswith(".")
    assert 1 <= len(re.findall(r"[.:] [A-Z`]|\.$", meaning)) <= 4


@pytest.mark.parametrize("case", CASES)
def test_a_further_case_prints_exactly_its_text(case: str) -> None:
    found = compilation(case)
    assert printed(case, found) == expected(case).read_text(encoding="utf-8")
    assert {d.code for d in found.diagnostics} == {code(case)}
    _check_places(found)


def test_every_text_has_a_case_and_every_case_a_code() -> None:
    assert set(FOLDER.glob("*.txt")) == set(map(expected, CASES))
    assert {code(case) for case in CASES} <= set(CODES)


def test_a_spec_is_shown_without_control_characters_and_with_long_lines_cut() -> None:
    assert shown("a\x07b\n" + "x" * 300).splitlines() == ["a\N{SYMBOL FOR BELL}b", "x" * 100 + "…"]


def _check_places(found: Compilation) -> None:
    """Every place lies in its file."""
    for diagnostic in found.diagnostics:
        for span in (diagnostic.span, *(related.span for related in diagnostic.related)):
            lines = found.files.lines(span.file)
            if diagnostic.code == "unreadable-file":
                continue
            assert 1 <= span.line <= span.end_line <= len(lines)
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1
            assert (span.line, span.column) <= (span.end_line, span.end_column)
            assert span.end_column <= len(lines[span.end_line - 1]) + 1


def _words(folder: Path) -> Iterator[str]:
    """Every text in the code of a folder that is a code, or has the form of one."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and (WORD.fullmatch(text) or text in CODES):
                yield text
