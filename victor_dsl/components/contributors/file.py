"""The contributor that adds a file's text."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FilePath
from victor_dsl.language.kinds import Contributor


class Config(ContributorConfig):
    """Adds a file's text to the system prompt, as it is written.

    The file is read again when it changes. Its content belongs to the plan's digest, so it must be there when the
    spec is compiled, unless the contributor is `optional`.
    """

    path: Annotated[str, FilePath(included=True)] = Field(
        description="The file, relative to the spec: UTF-8 text.", examples=["prompts/base.md"]
    )
    default: str | None = Field(
        None,
        description="The text that stands in while there is no such file. Left out, a missing file is an error.",
        examples=["Follow the team's standards."],
    )
    max_bytes: int = Field(
        1_048_576,
        ge=1,
        description="How large the file may be, in bytes. The default is 1 MiB; a larger one is an error.",
    )


EXAMPLE = "{type: file, path: prompts/base.md, priority: 60}"


def build(config: Config, context: Context) -> Contributor:
    """The contributor; the file is read when the first turn asks."""
    from victor_dsl.components.contributors._text_file import TextFile

    return TextFile(config.path, context, default=config.default, most_bytes=config.max_bytes)
