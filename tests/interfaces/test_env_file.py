"""Environment files are read as dotenv and Compose read them, without any expansion."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.options import read_env_file, read_environment


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "a.env"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=b", {"A": "b"}),
        ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
        ("\ufeffA=b\n", {"A": "b"}),
        ("# note\n\n  A = b c  \n", {"A": "b c"}),
        ("export A=b # note", {"A": "b"}),
        ("A=b#c", {"A": "b#c"}),
        ("A=", {"A": ""}),
        ("A= # note", {"A": ""}),
        ("A='b # c $D \\n'  # note", {"A": "b # c $D \\n"}),
        ('A="b\\nc \\"d\\" \\\\ ${E}"', {"A": 'b\nc "d" \\ ${E}'}),
        ('A="one\ntwo"\nB=c', {"A": "one\ntwo", "B": "c"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=a=b==", {"A": "a=b=="}),
        ("A=it's", {"A": "it's"}),
        ('A="^\\d+\\.\\w$"', {"A": "^\\d+\\.\\w$"}),
        ('A="C:\\new \\x41 \\$B \\\\d"', {"A": "C:\new \\x41 $B \\d"}),
    ],
)
def test_a_line_means_what_it_means_elsewhere(write: Path, text: str, found: dict[str, str]) -> None:
    write.write_bytes(text.encode())
    assert read_env_file("a.env") == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A=1\nnonsense\n", "a.env:2: not a line of the form KEY=VALUE"),
        ("1A=b", "a.env:1: not a line of the form KEY=VALUE"),
        ('\n\nA="s3cret', 'a.env:3: the value of A opens with " and does not end'),
        ("A='s3cret' more", "a.env:1: there is text after the value of A"),
        ("A=s3\0cret", "a.env:1: the value of A has a NUL in it"),
    ],
)
def test_a_fault_says_file_and_line_and_no_value(write: Path, text: str, told: str) -> None:
    write.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_env_file("a.env")
    assert str(raised.value) == told


def test_a_file_that_cannot_be_read_is_named(write: Path) -> None:
    with pytest.raises(UsageError, match=r"--env-file a\.env: No such file"):
        read_env_file("a.env")
    write.write_bytes(b"A=\xff")
    with pytest.raises(UsageError, match=r"--env-file a\.env: not UTF-8 text"):
        read_env_file("a.env")


def test_what_the_environment_has_wins_then_the_later_file(write: Path) -> None:
    write.write_text("A=file\nB=file\nC=file")
    (write.parent / "b.env").write_text("B=later\nC=later")
    assert read_environment(["a.env", "b.env"], {"C": "process"}) == {"A": "file", "B": "later", "C": "process"}


@given(st.text(alphabet="AB=\"'\\# \n\texport$", max_size=40))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_text(text)
    try:
        found, told = read_env_file(str(path)), str(path)
    except UsageError as error:
        found, told = {}, str(error)
    assert told.startswith(str(path))
    assert all(isinstance(value, str) for value in found.values())
