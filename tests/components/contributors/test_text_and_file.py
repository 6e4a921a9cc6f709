"""Pieces of the system prompt from the spec and from a file."""

from pathlib import Path

import pytest

from tests.components.context import TURN, surroundings
from victor_dsl.components.contributors import file, text
from victor_dsl.errors import ContributorError
from victor_dsl.language.kinds import Contributor


def contributor(path: Path, **config: object) -> Contributor:
    made = file.Config.model_validate({"path": str(path), **config})
    return file.build(made, surroundings(path.parent, "contributors/file").context)


async def test_a_text_is_added_unchanged(tmp_path: Path) -> None:
    built = text.build(text.Config(text=" {{ x }} ${env:A}\n"), surroundings(tmp_path).context)
    assert await built.contribute(TURN) == " {{ x }} ${env:A}\n"


async def test_a_file_is_added_without_byte_order_mark_and_white_space_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes("\ufeffOne {{ é }}\r\nTwo\r\n\r\n".encode())
    assert await contributor(path).contribute(TURN) == "One {{ é }}\nTwo"


async def test_a_changed_file_is_read_again_and_an_unchanged_one_gives_the_same_object(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("one")
    built = contributor(path)
    first = await built.contribute(TURN)
    path.write_text("one")
    assert await built.contribute(TURN) is first
    path.write_text("two")
    assert await built.contribute(TURN) == "two"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("one\ntwo\0", "an invisible character on line 2 (U+0000)"),
        ("\x1b[31mred", "an invisible character on line 1 (U+001B)"),
        ("kind\n\nand \U000e0069\U000e0067\U000e006e\U000e006f", "an invisible character on line 3 (U+E0069)"),
    ],
)
async def test_recipe_2_an_invisible_character_is_an_error(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "a.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContributorError) as caught:
        await contributor(path).contribute(TURN)
    assert caught.value.message == f"'a.md' has {place}; remove it"


async def test_visible_characters_of_all_kinds_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    text = (
        "Tab\there, שלום \u200f(rtl)\u200e, 👩\u200d🔬, \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e007f, page\fbreak"
    )
    path.write_text(text, encoding="utf-8")
    assert await contributor(path).contribute(TURN) == text


async def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ContributorError) as caught:
        await contributor(tmp_path / "a.md").contribute(TURN)
    assert str(caught.value) == (
        "contributors/file: there is no file 'a.md' (add a `default`, or set `optional: true`)"
    )


async def test_a_default_replaces_only_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    built = contributor(path, default="Be kind.", max_bytes=10)
    assert await built.contribute(TURN) == "Be kind."
    path.write_text("from file")
    assert await built.contribute(TURN) == "from file"
    path.write_text("01234567890")
    with pytest.raises(ContributorError, match=r"cannot read 'a\.md': is larger than 10 bytes"):
        await built.contribute(TURN)
    path.write_bytes(b"ab\xff")
    with pytest.raises(ContributorError, match=r"'a\.md' is not UTF-8 text \(byte 2\)"):
        await built.contribute(TURN)
    path.unlink()
    path.mkdir()
    with pytest.raises(ContributorError, match=r"cannot read 'a\.md': is not a file"):
        await built.contribute(TURN)
