"""The ledger knows which lines are answered, and which id is used twice."""

from __future__ import annotations

from typing import Any

from victor_dsl.workbench.batch.ledger import Ledger
from victor_dsl.workbench.batch.lines import BadLine, Line


def test_a_repeated_id_is_an_error_on_the_second_line() -> None:
    with Ledger() as ledger:
        assert ledger.admit(Line(1, "a")) == Line(1, "a")
        second = ledger.admit(Line(2, "a"))
        assert second is not None
        assert second.error is not None
        assert second.error.to_dict() == {"code": "repeated-id", "message": 'the id "a" is already that of line 1'}


def test_a_number_and_its_text_are_two_ids() -> None:
    with Ledger() as ledger:
        assert ledger.admit(Line(1, 7)) == Line(1, 7)
        assert ledger.admit(Line(2, "7")) == Line(2, "7")


def test_an_id_that_is_a_later_lines_number_is_that_lines_error() -> None:
    with Ledger() as ledger:
        ledger.admit(Line(1, 2))
        second = ledger.admit(Line(2, 2))
        assert second is not None
        assert second.error is not None


def test_what_is_answered_is_not_admitted_again() -> None:
    with Ledger([{"id": "a"}, {"id": 3, "error": {"code": "bad-line", "message": "not JSON", "line": 3}}]) as ledger:
        assert ledger.admit(Line(1, "a")) is None
        assert ledger.admit(Line(2, "b")) == Line(2, "b")
        assert ledger.admit(Line(3, 3, error=BadLine("not JSON"))) is None


def test_the_error_of_a_repeated_id_does_not_answer_the_first_line() -> None:
    answers: list[dict[str, Any]] = [{"id": "a", "error": {"code": "repeated-id", "message": "…", "line": 2}}]
    with Ledger(answers) as ledger:
        assert ledger.admit(Line(1, "a")) == Line(1, "a")
        assert ledger.admit(Line(2, "a")) is None


def test_the_first_lines_answer_does_not_answer_the_repeated_one() -> None:
    with Ledger([{"id": "a"}]) as ledger:
        assert ledger.admit(Line(1, "a")) is None
        second = ledger.admit(Line(2, "a"))
        assert second is not None
        assert second.error is not None


def test_a_bad_line_takes_no_id_from_another_line() -> None:
    bad = Line(1, 1, error=BadLine("not JSON"))
    with Ledger() as ledger:
        assert ledger.admit(bad) == bad
        assert ledger.admit(Line(2, 1)) == Line(2, 1)
    with Ledger([{"id": 1, "error": bad.error.to_dict() | {"line": 1}}] if bad.error else []) as resumed:
        assert resumed.admit(bad) is None
        assert resumed.admit(Line(2, 1)) == Line(2, 1)
