"""The contributor that adds a file's text."""

from __future__ import annotations

from typing import Annotated

from attrs import frozen
from pydantic import Field

from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FilePath
from victor_dsl.values.turn import Turn


class Config(ContributorConfig):
    """Adds a file's text to the system prompt, exactly as written.

    The text is part of the plan, and of its digest: a changed file makes a new plan, which runs from about a second later. A
    file that is emptied, deleted or broken while the spec runs keeps its last good text. When the spec is compiled the file must
    exist, unless the contributor is `optional` or has a `default`.
    """

    path: Annotated[str, FilePath(included=True)] = Field(
        description="The file, relative to the spec: UTF-8 text.", examples=["prompts/base.md"]
    )
    default: str | None = Field(
        None,
        description="The text to use where there is no file. Left out, a missing file is an error.",
        examples=["Follow the team's standards."],
    )
    max_bytes: int = Field(
        1_048_576,
        ge=1,
        description="The largest size of the file, in bytes. The default is 1 MiB; a larger file is an error.",
    )


EXAMPLE = "{type: file, path: prompts/base.md, priority: 60}"


def build(config: Config, context: Context) -> TextFile:
    """The contributor of the text that the plan holds."""
    data = context.files.get(config.path)
    text = config.default if data is None else decode(data)
    return TextFile(text, context.shown(config.path), context.node)


@frozen
class TextFile:
    """The text of a file without the white space at its end; None where there is no file."""

    text: str | None
    name: str
    node: str

    async def contribute(self, turn: Turn) -> str:
        if self.text is None:
            hint = "add a `default`, or set `optional: true`"
            raise ContributorError(f"there is no file '{self.name}'", node=self.node, hint=hint)
        return self.text


def decode(data: bytes) -> str:
    """A UTF-8 file's text: no byte order mark, no carriage returns before line ends, no white space at the end."""
    return data.decode("utf-8-sig").replace("\r\n", "\n").rstrip()
