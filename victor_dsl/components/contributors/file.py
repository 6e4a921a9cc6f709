"""The contributor that adds a file's text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FilePath
from victor_dsl.storage.file_value import FileValue, reason
from victor_dsl.values.turn import Turn

HIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]|(?<![\U0001F3F4\U000E0000-\U000E007F])[\U000E0000-\U000E007F]")
"""Control characters, and tag characters, which can spell out a text that nobody sees (after a flag they are legitimate)."""


class Config(ContributorConfig):
    """Adds a file's text to the system prompt, exactly as written.

    The file is read again when it changes. Its content is part of the plan's digest, so the file must exist when the
    spec is compiled, unless the contributor is `optional`.
    """

    path: Annotated[str, FilePath(included=True)] = Field(
        description="The file, relative to the spec: UTF-8 text.", examples=["prompts/base.md"]
    )
    default: str | None = Field(
        None,
        description="The text to use while the file does not exist. Left out, a missing file is an error.",
        examples=["Follow the team's standards."],
    )
    max_bytes: int = Field(
        1_048_576,
        ge=1,
        description="The largest size of the file, in bytes. The default is 1 MiB; a larger file is an error.",
    )


EXAMPLE = "{type: file, path: prompts/base.md, priority: 60}"


def build(config: Config, context: Context) -> TextFile:
    """The contributor; the file is read at the first turn."""
    return TextFile(config, context)


class TextFile:
    """The text of a file without the white space at its end."""

    def __init__(self, config: Config, context: Context) -> None:
        self._node = context.node
        self._name = context.shown(config.path)
        self._default = config.default
        self._file = FileValue(Path(config.path), _visible_text, most_bytes=config.max_bytes)

    async def contribute(self, turn: Turn) -> str:
        try:
            return await self._file.get()
        except FileNotFoundError as error:
            if self._default is not None:
                return self._default
            hint = "add a `default`, or set `optional: true`"
            raise ContributorError(f"there is no file '{self._name}'", node=self._node, hint=hint) from error
        except OSError as error:
            raise ContributorError(f"cannot read '{self._name}': {reason(error)}", node=self._node) from error
        except UnicodeDecodeError as error:
            raise ContributorError(f"'{self._name}' is not UTF-8 text (byte {error.start})", node=self._node) from error
        except _HiddenCharacter as error:
            raise ContributorError(f"'{self._name}' {error}", node=self._node) from error


class _HiddenCharacter(ValueError):
    """A text contains a character that its reviewers cannot see."""


def _visible_text(data: bytes) -> str:
    """The text of a file. Raises _HiddenCharacter where it contains more than a reader sees."""
    text = decode(data)
    if found := HIDDEN.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise _HiddenCharacter(f"has an invisible character on line {line} (U+{ord(found[0]):04X}); remove it")
    return text


def decode(data: bytes) -> str:
    """A UTF-8 file's text: no byte order mark, no carriage returns before line ends, no white space at the end."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").rstrip()
