"""The contributor whose text stands in the spec itself."""

from __future__ import annotations

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig
from victor_dsl.values.turn import Turn


class Config(ContributorConfig):
    """Adds a text to the system prompt, as it is written; for one with variables in it there is `template`."""

    text: str = Field(
        min_length=1,
        description="The text. Nothing in it is expanded at run time.",
        examples=["Answer in French."],
    )


EXAMPLE = "{type: text, text: Answer in French.}"


class Text:
    """One text that never changes."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def contribute(self, turn: Turn) -> str:
        return self._text


def build(config: Config, context: Context) -> Text:
    """The contributor of the text."""
    return Text(config.text)
