"""The contributor whose text is written in the spec itself."""

from __future__ import annotations

from attrs import frozen
from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig
from victor_dsl.values.turn import Turn


class Config(ContributorConfig):
    """Adds a text to the system prompt, exactly as written. For a text with variables, use `template`."""

    text: str = Field(
        min_length=1, description="The text. Nothing in it is expanded at run time.", examples=["Answer in French."]
    )


EXAMPLE = "{type: text, text: Answer in French.}"


def build(config: Config, context: Context) -> Text:
    """The contributor of the text."""
    return Text(config.text)


@frozen
class Text:
    """One text that never changes."""

    text: str

    async def contribute(self, turn: Turn) -> str:
        return self.text
