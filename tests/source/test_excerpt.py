"""A diagnostic as text: the caret stands under what it means."""

from __future__ import annotations

from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.excerpt import render
from victor_dsl.source.located import Span
from victor_dsl.source.reader import Files


def shown(text: str, *place: int, message: str = "wrong") -> list[str]:
    files = Files()
    files.parse(text.encode(), "a.yml")
    return render(Diagnostic("code", message, Span("a.yml", *place)), files).split("\n")


def test_the_whole_of_a_diagnostic() -> None:
    files = Files()
    (fault,) = files.parse(b"limits: 1\nname: x\nlimits: 2\n", "specs/a.yml").diagnostics
    assert render(fault, files) == (
        "specs/a.yml:3:1: error: 'limits' is written twice [duplicate-key]\n"
        "  3  | limits: 2\n"
        "     | ^^^^^^\n"
        "     = hint: remove one of the two\n"
        "     = specs/a.yml:1:1: first written here\n"
        "  1  | limits: 1\n"
        "     | ^^^^^^"
    )


def test_a_hint_wider_than_the_terminal_goes_on_below_itself() -> None:
    hint = "did you mean 'temperature'? keys: " + ", ".join(["broken_stream", "fallbacks", "frequency-penalty"] * 2)
    fault = Diagnostic("code", "wrong", Span("a.yml", 1, 1, 1, 2), hint=hint)
    assert render(fault, Files(), width=61).split("\n")[1:] == [
        "     = hint: did you mean 'temperature'? keys: broken_stream,",
        "             fallbacks, frequency-penalty, broken_stream,",
        "             fallbacks, frequency-penalty",
    ]
    assert render(fault, Files()).split("\n")[1:] == [f"     = hint: {hint}"]


def test_colour_is_only_paint() -> None:
    files = Files()
    (fault,) = files.parse(b"a: 1\na: 2\n", "a.yml").diagnostics
    painted = render(fault, files, colour=True)
    for code in ("\x1b[31m", "\x1b[34m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        assert code in painted
        painted = painted.replace(code, "")
    assert painted == render(fault, files)


def test_tabs_and_wide_characters_move_the_caret() -> None:
    assert shown("a:\t漢字 e\u0301 x", 1, 10, 1, 11)[1:] == ["  1  | a:  漢字 e\u0301 x", "     |            ^"]
    assert shown("漢字: x", 1, 1, 1, 3)[1:] == ["  1  | 漢字: x", "     | ^^^^"]


def test_a_span_over_lines_is_shown_to_the_end_of_its_first() -> None:
    assert shown("a: [1,  \n 2]", 1, 4, 2, 4)[1:] == ["  1  | a: [1,", "     |    ^^^"]


def test_a_place_behind_the_last_character_has_a_caret() -> None:
    assert shown("a: [", 1, 5, 1, 5)[1:] == ["  1  | a: [", "     |     ^"]


def test_a_long_line_is_cut_around_its_fault() -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    source, carets = shown(line, 1, 501, 1, 505)[1:]
    at = carets.index("^")
    assert len(source) < 150
    assert source[at : at + 4] == "HERE"
    assert carets.count("^") == 4


def test_a_file_without_lines_shows_none() -> None:
    fault = Diagnostic("code", "gone", Span("b.yml", 1, 1, 1, 1), related=(Related("see", Span("c.yml", 2, 3, 2, 4)),))
    assert render(fault, Files()) == "b.yml:1:1: error: gone [code]\n     = c.yml:2:3: see"


def test_nothing_in_a_file_steers_the_terminal() -> None:
    out = "\n".join(shown("a: \x1b[31mred\x9b", 1, 1, 1, 2, message="no '\x1b[2J' there\n"))
    assert all(c.isprintable() or c == "\n" for c in out)
    assert "no '\\x1b[2J' there\\n" in out
