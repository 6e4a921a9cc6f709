"""Files that become pieces of the system prompt: readable, visible and not empty."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from victor_dsl.compiler import Compilation, compile_spec

SPEC = "victor: 1\nname: s\nmodels: {main: {type: echo}}\ncontributors: [{%s}]\n"


def compiled(folder: Path, item: str, **files: str | bytes) -> Compilation:
    (folder / "victor.yml").write_text(SPEC % item)
    for name, text in files.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name.replace("__", ".")).write_bytes(data)
    return compile_spec(str(folder / "victor.yml"), environment={})


def found(compilation: Compilation) -> list[tuple[str, str, str]]:
    return [
        (f"{Path(d.span.file).name}:{d.span.line}:{d.span.column}", d.code, d.message) for d in compilation.diagnostics
    ]


@pytest.mark.parametrize(
    ("text", "place", "character"),
    [
        ("one\ntwo\0", "2:4", "U+0000"),
        ("\x1b[31mred", "1:1", "U+001B"),
        ("kind\n\nand \U000e0069\U000e0067\U000e006e\U000e006f", "3:5", "U+E0069"),
        ("\ufeffa\u0085", "1:2", "U+0085"),
    ],
)
@pytest.mark.parametrize(
    "item", ["type: file, path: a.md", "type: file, path: a.md, default: x", "type: template, path: a.md"]
)
def test_recipe_2_an_invisible_character_is_an_error_at_its_line(
    tmp_path: Path, item: str, text: str, place: str, character: str
) -> None:
    message = f"an invisible character ({character}) is not allowed in prompts"
    assert found(compiled(tmp_path, item, a__md=text)) == [(f"a.md:{place}", "control-character", message)]


def test_what_a_template_includes_is_looked_at_too(tmp_path: Path) -> None:
    made = compiled(tmp_path, "type: template, path: a.md", a__md="{% include 'b.md' %}", b__md="x\n\0")
    assert [(place, code) for place, code, _ in found(made)] == [("b.md:2:1", "control-character")]


def test_visible_characters_of_all_kinds_are_accepted(tmp_path: Path) -> None:
    text = (
        "Tab\there, שלום \u200f(rtl)\u200e, 👩\u200d🔬, \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e007f, page\fbreak"
    )
    assert found(compiled(tmp_path, "type: file, path: a.md", a__md=text)) == []


@pytest.mark.parametrize("text", ["", " \n", "\ufeff\n"])
@pytest.mark.parametrize("type", ["file", "template"])
def test_an_empty_prompt_is_a_warning(tmp_path: Path, type: str, text: str) -> None:
    made = compiled(tmp_path, f"type: {type}, path: a.md", a__md=text)
    assert [(place, code) for place, code, _ in found(made)] == [(f"victor.yml:4:{31 + len(type)}", "empty-prompt")]
    assert made.program is not None


@pytest.mark.parametrize("more", ["", ", optional: true", ", default: x"])
def test_a_file_that_is_there_must_be_readable(tmp_path: Path, more: str) -> None:
    def fault() -> str:
        (diagnostic,) = compiled(tmp_path, f"type: file, path: a.md, max_bytes: 9{more}").diagnostics
        return diagnostic.message

    path = tmp_path / "a.md"
    path.write_bytes(b"0123456789")
    assert fault() == "cannot read 'a.md': it is larger than 9 bytes"
    path.write_bytes(b"ab\xff")
    assert fault() == "cannot read 'a.md': it is not UTF-8 (byte 3)"
    path.unlink()
    path.mkdir()
    assert fault() == "cannot read 'a.md': it is a directory"
    path.rmdir()
    os.mkfifo(path)
    assert fault() == "cannot read 'a.md': it is not a regular file"


@pytest.mark.parametrize(
    ("item", "code", "message"),
    [
        ('type: text, text: "${file:a.md}"', "control-character", "an invisible character (U+0000) in `${file:a.md}`"),
        ('type: template, template: "Hi ${file:a.md}"', "control-character", "an invisible character (U+0000) in `Hi"),
        ('type: text, text: "a\\x1b[31m"', "control-character", "an invisible character (U+001B) is not allowed"),
        ('type: text, text: "${file:b.md}"', "empty-prompt", "`${file:b.md}` is blank, so it adds nothing"),
        ("type: text, text: ' '", "empty-prompt", "this text is blank, so it adds nothing to the prompt"),
        ("type: template, template: ' '", "empty-prompt", "this text is blank, so it adds nothing to the prompt"),
    ],
)
def test_texts_of_the_spec_are_looked_at_like_files(tmp_path: Path, item: str, code: str, message: str) -> None:
    [(place, given, told)] = found(compiled(tmp_path, item, a__md="x\0", b__md=" \r\n"))
    assert (place.split(":")[:2], given) == (["victor.yml", "4"], code)
    assert told.startswith(message)


def test_a_text_of_several_lines_from_a_file_of_windows_is_accepted(tmp_path: Path) -> None:
    assert found(compiled(tmp_path, 'type: text, text: "${file:a.md}"', a__md=b"one\r\n\ttwo\r\n")) == []
