"""Replies on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from victor_dsl.interfaces.cli.replies import Page
from victor_dsl.values.message import Delta


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _ten_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("text", "erased"),
    [
        ("short", "\r\x1b[J"),
        ("ten column", "\r\x1b[J"),
        ("eleven colu", "\r\x1b[1A\x1b[J"),
        ("two\nlines", "\r\x1b[1A\x1b[J"),
        ("a line\n", "\r\x1b[1A\x1b[J"),
        ("日本語日本語", "\r\x1b[1A\x1b[J"),
        ("e\u0301" * 10, "\r\x1b[J"),
    ],
)
async def test_an_answer_that_begins_anew_erases_its_rows(text: str, erased: str) -> None:
    screen = Screen()
    page = Page(screen)
    for piece in (Delta(text[:3]), Delta(reasoning="Hm."), Delta(text[3:]), Delta(restart=True), Delta("new")):
        await page.emit(piece)
    assert screen.getvalue() == f"{text}{erased}new"


async def test_a_simple_terminal_goes_on_in_a_new_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    page = Page(screen)
    for piece in (Delta("half"), Delta(restart=True), Delta("new")):
        await page.emit(piece)
    assert screen.getvalue() == "half\nnew"


async def test_nothing_is_erased_before_the_first_text() -> None:
    screen = Screen()
    await Page(screen).emit(Delta("new", restart=True))
    assert screen.getvalue() == "new"
