"""`victor fmt` changes how a spec looks, and nothing that it means."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.interfaces.conftest import ROOT, Victor
from victor_dsl.compiler import compile_spec
from victor_dsl.language.spec import section_rank
from victor_dsl.source.layout import layout
from victor_dsl.source.reader import Files

UGLY = """\
name:   demo
victor: 1
models:
    main:   {type: 'echo' }   # the only one
contributors:
- type: text
  text: |
      Be brief.
"""
NEAT = """\
victor: 1
name: demo
models:
  main: {type: "echo"}   # the only one
contributors:
  - type: text
    text: |
      Be brief.
"""


def test_a_spec_gets_its_canonical_layout_once(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(UGLY)
    done = victor("fmt")
    assert (done.code, done.out, done.err) == (0, "", "formatted victor.yml\n")
    assert (folder / "victor.yml").read_text() == NEAT
    assert victor("fmt", "victor.yml").err == "1 file already formatted\n"


def test_check_and_diff_write_nothing(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(UGLY)
    checked = victor("fmt", "--check", "victor.yml")
    assert (checked.code, checked.out, checked.err) == (1, "", "would format victor.yml\n")
    shown = victor("fmt", "--diff", "victor.yml")
    assert shown.code == 0
    assert "-    main:   {type: 'echo' }   # the only one\n" in shown.out
    assert '+  main: {type: "echo"}   # the only one\n' in shown.out
    assert victor("fmt", "--check", "--diff", "victor.yml").code == 1
    assert (folder / "victor.yml").read_text() == UGLY


def test_standard_input_goes_to_standard_output(victor: Victor) -> None:
    done = victor("fmt", "-", stdin=UGLY)
    assert (done.code, done.out, done.err) == (0, NEAT, "")
    assert victor("fmt", "-", "--check", stdin=UGLY).out == ""
    assert victor("fmt", "-", stdin=NEAT).out == NEAT


def test_a_file_with_a_fault_of_syntax_is_left_alone_and_the_others_are_not(victor: Victor, folder: Path) -> None:
    (folder / "bad.yml").write_text("victor:  1\nname: [a\n")
    (folder / "victor.yml").write_text(UGLY)
    done = victor("fmt", "bad.yml", "missing.yml", "victor.yml")
    assert done.code == 1
    assert "bad.yml:" in done.err
    assert "[yaml-syntax]" in done.err
    assert "cannot read 'missing.yml'" in done.err
    assert (folder / "bad.yml").read_text() == "victor:  1\nname: [a\n"
    assert (folder / "victor.yml").read_text() == NEAT


def test_a_file_of_tests_and_a_file_that_others_extend_are_formatted_too(victor: Victor, folder: Path) -> None:
    (folder / "tests.yml").write_text("-   name: x\n    given: {message: 'Hi'}\n")
    (folder / "base.yml").write_text("settings:\n    model: main\nmodels:  {}\n")
    (folder / "base.json").write_text('{"name":"x","victor":1}')
    assert victor("fmt", "tests.yml", "base.yml", "base.json").code == 0
    assert (folder / "tests.yml").read_text() == '- name: x\n  given: {message: "Hi"}\n'
    assert (
        folder / "base.yml"
    ).read_text() == "settings:\n  model: main\nmodels: {}\n"  # it is no spec: its order stays
    assert (folder / "base.json").read_text() == '{"victor": 1, "name": "x"}\n'


def test_permissions_and_links_stay(victor: Victor, folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "victor.yml").write_text(UGLY)
    (folder / "real" / "victor.yml").chmod(0o640)
    (folder / "link.yml").symlink_to("real/victor.yml")
    assert victor("fmt", "link.yml").code == 0
    assert (folder / "link.yml").is_symlink()
    assert (folder / "real" / "victor.yml").read_text() == NEAT
    assert (folder / "real" / "victor.yml").stat().st_mode & 0o7777 == 0o640
    assert os.listdir(folder / "real") == ["victor.yml"]


@pytest.mark.parametrize("written", [UGLY.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + UGLY.encode()])
def test_other_line_breaks_and_a_byte_order_mark_go(victor: Victor, folder: Path, written: bytes) -> None:
    (folder / "victor.yml").write_bytes(written)
    assert victor("fmt", "victor.yml").code == 0
    assert (folder / "victor.yml").read_bytes() == NEAT.encode()


def test_a_terminal_is_not_driven_by_a_name(victor: Victor, folder: Path) -> None:
    (folder / "\x1b[2J.yml").write_text(UGLY)
    assert "\x1b" not in victor("fmt", "\x1b[2J.yml").err


SPECS = sorted(
    path
    for top in ("examples", "docs", "tests")
    for path in (ROOT / top).rglob("*.yml")
    if path.stat().st_size < 50_000
)


PARTS = 6


def disfigured(text: str, random: Random) -> str:
    """The spec as someone else might have written it: other indentation and line breaks, comments, sections in another order."""
    wide = random.choice([1, 2, 3])
    lines = []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip(" "))
        new = " " * (indent * wide) + line.lstrip(" ")
        if random.random() < 0.2 and line and "#" not in line:
            new += random.choice(["  # c", "   # ü c", "\t# c"])
        if random.random() < 0.1:
            lines.append(random.choice(["", "# c", " " * indent * wide + "# c"]))
        lines.append(re.sub(r": (?=\S)", ":   ", new) if random.random() < 0.2 else new)
    sections = re.split(r"^(?=[a-z])", "\n".join(lines) + "\n", flags=re.MULTILINE)
    head, rest = sections[:1], sections[1:]
    if random.random() < 0.5:
        random.shuffle(rest)
    return random.choice(["\n", "\r\n"]).join("".join([*head, *rest]).split("\n"))


def result(path: Path, text: str) -> object:
    """What compiling gives: the digest, and the codes of what was found."""
    files = Files()
    files.parse(text.encode(), str(path))
    compilation = compile_spec(str(path), environment={}, files=files)
    found = Counter((d.code, d.path) for d in compilation.diagnostics)
    return (compilation.program and compilation.program.plan_for(None, {}).digest, found)


@pytest.mark.parametrize("part", range(PARTS))
def test_specs_keep_their_digest_and_comments_and_a_second_time_nothing_changes(part: int) -> None:
    checked = with_digest = 0
    for path in SPECS[part::PARTS]:
        for seed in range(4):
            text = path.read_text(encoding="utf-8", errors="replace")
            text = disfigured(text, Random(seed)) if seed else text
            read = Files().parse(text.encode(), str(path))
            if read.document is None or read.diagnostics:
                continue
            new = layout(text, section_rank)
            assert layout(new, section_rank) == new, (path, seed)
            assert Counter(re.findall("#.*", new)) == Counter(re.findall("#[^\r\n]*", text)), (path, seed)
            before = result(path, text)
            assert result(path, new) == before, (path, seed)
            checked += 1
            with_digest += isinstance(before, tuple) and before[0] is not None
    assert checked >= 300 / PARTS
    assert with_digest >= 10
