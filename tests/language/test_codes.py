"""Every diagnostic code is explained, and its examples are true."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import victor_dsl.compiler
from tests.compiler.stand_ins import REGISTRY
from victor_dsl.compiler import compile_spec
from victor_dsl.language.codes import CODES, Code
from victor_dsl.language.codes.code import shown
from victor_dsl.language.registry import Registry
from victor_dsl.source.diagnostic import Diagnostic

PACKAGE = Path(victor_dsl.compiler.__file__).parent.parent
WORD = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
OTHERS = frozenset({"utf-8", "utf-8-sig", "utf-16"})
"""Words of that form in the same modules that are no codes."""


def test_every_code_that_the_package_gives_is_explained_and_no_other() -> None:
    given = {word for layer in ("source", "compiler") for word in _words(PACKAGE / layer)} - OTHERS
    assert given == CODES.keys()


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.word)
def test_the_wrong_example_gives_this_code_and_no_other(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = _diagnostics(code, code.wrong, code.encoding)
    assert {(d.code, d.severity) for d in found} == {(code.word, code.severity)}


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.word)
def test_the_right_example_has_no_fault(code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _diagnostics(code, code.right, "utf-8") == ()


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.word)
def test_an_explanation_is_one_to_four_sentences(code: Code) -> None:
    assert code.meaning.endswith(".")
    assert 1 <= len(re.findall(r"[.:] [A-Z`]|\.$", code.meaning)) <= 4
    assert "\n" not in code.meaning


def test_an_example_is_shown_without_control_characters_and_cut_to_a_line() -> None:
    assert shown("a\x07b\n" + "x" * 300).splitlines() == ["a\N{SYMBOL FOR BELL}b", "x" * 100 + "…"]


def _diagnostics(code: Code, text: str, encoding: str) -> tuple[Diagnostic, ...]:
    """The faults of an example in the current folder, which are few enough to be read from `code` alone."""
    for name, content in code.beside.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")
    if text:
        Path(code.file).write_bytes(text.encode(encoding))
    external = code.word.startswith("missing-") and code.word != "missing-key"
    registry = REGISTRY if code.word in ("untouchable", "unwise-order") else Registry(entry_points=False)
    return compile_spec(
        code.file,
        environment={},
        registry=registry,
        need_environment=external,
        need_secrets=external,
        untrusted=code.word == "untrusted-code",
    ).diagnostics


def _words(folder: Path) -> Iterator[str]:
    """Every text in the code of a folder that is a code, or has the form of one."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and (WORD.fullmatch(text) or text in CODES):
                yield text
