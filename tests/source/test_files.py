"""Files that cannot be read are diagnostics; names and texts are kept."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from victor_dsl.source.reader import MAX_BYTES, Files, resolve


def message(name: str) -> str:
    (fault,) = Files().read(name).diagnostics
    assert fault.code == "unreadable-file"
    assert fault.span == (name, 1, 1, 1, 1)
    return fault.message


def test_a_missing_file_is_a_diagnostic(tmp_path: Path) -> None:
    assert message(f"{tmp_path}/none.yml") == f"cannot read '{tmp_path}/none.yml': there is no such file"


def test_a_directory_is_a_diagnostic(tmp_path: Path) -> None:
    assert message(str(tmp_path)) == f"cannot read '{tmp_path}': it is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_diagnostic(tmp_path: Path) -> None:
    path = tmp_path / "spec.yml"
    path.write_text("a: 1")
    path.chmod(0)
    assert "there is no permission" in message(str(path))


def test_a_path_that_no_system_takes_is_a_diagnostic() -> None:
    assert message("a\0b.yml").startswith("cannot read")
    assert message("x" * 5000).startswith("cannot read")


def test_an_endless_file_is_too_large() -> None:
    (fault,) = Files().read("/dev/zero").diagnostics
    assert fault.code == "too-large"
    assert f"{MAX_BYTES:,}" in fault.message


def test_stdin_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\nb: 2\n")))
    files = Files()
    first = files.read("-")
    assert first.document is not None
    assert first.document.span == ("-", 1, 1, 2, 5)
    assert files.read("-") is first
    assert files.lines("-") == ["a: 1", "b: 2", ""]


def test_lines_end_where_editors_end_them() -> None:
    files = Files()
    files.parse("a: 1\r\nb: x\u2028y\rc: \x0c\nd: 1".encode(), "spec.yml")
    assert files.lines("spec.yml") == ["a: 1", "b: x\u2028y", "c: \x0c", "d: 1"]
    assert files.lines("unknown.yml") == []


def test_utf16_is_named_as_such() -> None:
    for encoding in ("utf-16", "utf-16-be"):
        data = "a: 1".encode(encoding)
        data = data if encoding == "utf-16" else b"\xfe\xff" + data
        (fault,) = Files().parse(data, "spec.yml").diagnostics
        assert fault.message == "the file is UTF-16, not UTF-8"


def test_binary_is_named_as_such() -> None:
    (fault,) = Files().parse(b"\x7fELF\xff\0\0", "spec.yml").diagnostics
    assert fault.hint == "this looks like a binary file"


@pytest.mark.parametrize(
    ("writer", "path", "found"),
    [
        ("victor.yml", "base.yml", "base.yml"),
        ("./victor.yml", "./base.yml", "base.yml"),
        ("specs/victor.yml", "base.yml", "specs/base.yml"),
        ("specs/victor.yml", "../base.yml", "base.yml"),
        ("../specs/victor.yml", "../base.yml", "../base.yml"),
        ("/abs/victor.yml", "base.yml", "/abs/base.yml"),
        ("specs/victor.yml", "/abs/base.yml", "/abs/base.yml"),
        ("-", "base.yml", "base.yml"),
        ("victor.yml", "-", "./-"),
    ],
)
def test_a_path_is_resolved_against_the_file_that_writes_it(writer: str, path: str, found: str) -> None:
    assert resolve(writer, path) == found
