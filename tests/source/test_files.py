"""Files that cannot be read are diagnostics; names and texts are kept."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from victor_dsl.source.reader import Files, Included, resolve


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


def test_a_spec_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "spec.yml"
    path.write_text("a: 1\nb: 22\n")
    assert Files(max_bytes=11).read(str(path)).document is not None
    (fault,) = Files(max_bytes=10).read(str(path)).diagnostics
    assert (fault.code, fault.message) == ("too-large", "the spec has more than 10 bytes")


@pytest.mark.parametrize("special", ["/dev/zero", "/dev/stdin", "/dev/ptmx", "pipe", "socket"])
def test_nothing_but_a_regular_file_is_opened_by_whatever_name(tmp_path: Path, special: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        link = tmp_path / "spec.yml"
        link.symlink_to(special)
        for name in (os.path.join(tmp_path, special), str(link)):
            assert message(name) == f"cannot read '{name}': it is not a regular file"
            with pytest.raises(OSError, match="is not a regular file"):
                Files().included(name)
            with pytest.raises(OSError, match="is not a regular file"):
                Included().read(name)


def test_a_file_outside_the_root_is_not_read_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "in.yml").write_text("a: 1")
    (tmp_path / "out.yml").write_text("a: 1")
    (tmp_path / "spec" / "link.yml").symlink_to("../out.yml")
    (tmp_path / "spec" / "loop.yml").symlink_to("loop.yml")
    root = os.path.realpath(tmp_path / "spec")
    files = Files()
    assert files.read(f"{tmp_path}/out.yml").document is not None
    files.root = root
    assert files.read(f"{root}/in.yml").document is not None
    for name in ("out.yml", "spec/../out.yml", "spec/link.yml", "spec/none/../../out.yml", "spec"):
        (fault,) = files.read(f"{tmp_path}/{name}").diagnostics
        assert fault.message.endswith("it is outside the spec's folder, where an untrusted spec may not read")
        with pytest.raises(PermissionError):
            files.included(f"{tmp_path}/{name}")
        with pytest.raises(PermissionError):
            Included(root).read(f"{tmp_path}/{name}")
    assert "there is no such file" in files.read(f"{root}/none.yml").diagnostics[0].message
    assert "cannot read" in files.read(f"{root}/loop.yml").diagnostics[0].message


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
