"""Each diagnostic code's text, as people read it. After a change on purpose: `python -m tests.diagnostics.regenerate`."""

from __future__ import annotations

import pytest

from tests.diagnostics.cases import CASES, FOLDER, code, compilation, expected, text
from victor_dsl.language.codes import CODES


@pytest.mark.parametrize("case", CASES)
def test_the_text_is_exactly_this(case: str) -> None:
    assert text(case) == expected(case).read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_its_code_and_no_other(case: str) -> None:
    assert {d.code for d in compilation(case).diagnostics} == {code(case)}


@pytest.mark.parametrize("case", CASES)
def test_every_place_lies_in_its_file(case: str) -> None:
    found = compilation(case)
    for diagnostic in found.diagnostics:
        for span in (diagnostic.span, *(related.span for related in diagnostic.related)):
            lines = found.files.lines(span.file)
            if diagnostic.code == "unreadable-file":
                continue
            assert 1 <= span.line <= span.end_line <= len(lines)
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1
            assert (span.line, span.column) <= (span.end_line, span.end_column)
            assert span.end_column <= len(lines[span.end_line - 1]) + 1


def test_every_code_has_a_case() -> None:
    assert {code(case) for case in CASES} == CODES.keys()


def test_every_text_has_a_case() -> None:
    assert set(FOLDER.glob("*.txt")) == set(map(expected, CASES))
