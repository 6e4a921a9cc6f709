"""Pieces of the system prompt from the spec and from a file."""

from pathlib import Path

import pytest

from tests.components.context import TURN, surroundings
from victor_dsl.components.contributors import file, text
from victor_dsl.errors import ContributorError
from victor_dsl.language.kinds import Contributor


def contributor(path: Path, **config: object) -> Contributor:
    made = file.Config.model_validate({"path": str(path), **config})
    files = {str(path): path.read_bytes()} if path.exists() else {}
    return file.build(made, surroundings(path.parent, "contributors/file", files=files).context)


async def test_a_text_is_added_unchanged(tmp_path: Path) -> None:
    built = text.build(text.Config(text=" {{ x }} ${env:A}\n"), surroundings(tmp_path).context)
    assert await built.contribute(TURN) == " {{ x }} ${env:A}\n"


async def test_a_file_is_added_without_byte_order_mark_and_white_space_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes("\ufeffOne {{ é }}\r\nTwo\r\n\r\n".encode())
    assert await contributor(path).contribute(TURN) == "One {{ é }}\nTwo"


async def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ContributorError) as caught:
        await contributor(tmp_path / "a.md").contribute(TURN)
    assert str(caught.value) == (
        "contributors/file: there is no file 'a.md' (add a `default`, or set `optional: true`)"
    )


async def test_a_default_replaces_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    assert await contributor(path, default="Be kind.").contribute(TURN) == "Be kind."
    path.write_text("from file")
    assert await contributor(path, default="Be kind.").contribute(TURN) == "from file"
