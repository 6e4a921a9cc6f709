"""A file's text, read again when the file changed."""

from __future__ import annotations

from pathlib import Path

from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.storage.file_value import FileValue, reason
from victor_dsl.values.turn import Turn


class TextFile:
    """The text without the white space at its end. `default` stands in only for a file that is not there."""

    def __init__(self, path: str, context: Context, *, default: str | None, most_bytes: int) -> None:
        self._context = context
        self._name = context.shown(path)
        self._default = default
        self._file = FileValue(Path(path), decode, most_bytes=most_bytes)

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


def decode(data: bytes) -> str:
    """The text of a UTF-8 file, without a byte order mark, with line ends of one kind and no white space at the end."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").rstrip()
