"""A file's text, read again when the file changed."""

from __future__ import annotations

import re
from pathlib import Path

from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.storage.file_value import FileValue, reason
from victor_dsl.values.turn import Turn

HIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]|(?<![\U0001F3F4\U000E0000-\U000E007F])[\U000E0000-\U000E007F]")
"""Control characters, and the tag characters that spell a text without showing it (in flags they are at home)."""


class TextFile:
    """The text without the white space at its end. `default` stands in only for a file that is not there."""

    def __init__(self, path: str, context: Context, *, default: str | None, most_bytes: int) -> None:
        self._context = context
        self._name = context.shown(path)
        self._default = default
        self._file = FileValue(Path(path), _shown_text, most_bytes=most_bytes)

    async def contribute(self, turn: Turn) -> str:
        try:
            return await self._file.get()
        except FileNotFoundError as error:
            if self._default is not None:
                return self._default
            hint = "give it a `default`, or make it `optional`"
            raise ContributorError(f"there is no file '{self._name}'", node=self._context.node, hint=hint) from error
        except OSError as error:
            raise ContributorError(f"cannot read '{self._name}': {reason(error)}", node=self._context.node) from error
        except UnicodeDecodeError as error:
            raise ContributorError(
                f"'{self._name}' is not UTF-8 text (byte {error.start})", node=self._context.node
            ) from error
        except _Hidden as error:
            raise ContributorError(f"'{self._name}' {error}", node=self._context.node) from error


class _Hidden(ValueError):
    """A text holds a character that nobody who reviews it can see."""


def _shown_text(data: bytes) -> str:
    """The text of a file. Raises _Hidden where it has more in it than a reader sees."""
    text = decode(data)
    if found := HIDDEN.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise _Hidden(f"has a character on line {line} that cannot be seen (U+{ord(found[0]):04X}); remove it")
    return text


def decode(data: bytes) -> str:
    """The text of a UTF-8 file, without a byte order mark, with line ends of one kind and no white space at the end."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").rstrip()
