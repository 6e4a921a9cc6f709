"""The contributor that adds guidance for a regulated industry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, computed_field, field_validator

from victor_dsl.components.contributors._chosen import one_of
from victor_dsl.components.contributors._compliance_texts import TEXTS
from victor_dsl.components.contributors.text import Text
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, Name


class Config(ContributorConfig):
    """Adds guidance for an industry to the system prompt: what must not be said, written or logged there.

    `healthcare` speaks of HIPAA, `finance` of PCI DSS and SOC 2, `general` of the GDPR. It is guidance to a model, not
    legal advice, and no control by itself. Texts of your own, by name, stand beside these or, under one of their names,
    in their place. The text belongs to the plan's digest.
    """

    texts: dict[Name, Annotated[str, Field(min_length=1)]] = Field(
        {},
        description="Texts of your own, by a name that `industry` can have.",
        examples=[{"insurance": "Never quote a premium that the rating tool did not return."}],
    )
    industry: str = Field(
        description="Whose guidance: `healthcare`, `finance`, `general`, or a name under `texts`.",
        examples=["healthcare", "finance", "general"],
    )

    @field_validator("industry")
    @classmethod
    def _known(cls, industry: str, info: ValidationInfo) -> str:
        if "texts" not in info.data:  # they have faults of their own, and may well hold it
            return industry
        return one_of([*TEXTS, *info.data["texts"]], industry)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        """The guidance; as a part of the config it belongs to the digest, also where a release words it anew."""
        return self.texts.get(self.industry) or TEXTS[self.industry]


EXAMPLE = "{type: compliance, industry: healthcare, priority: 70}"


def build(config: Config, context: Context) -> Text:
    """The contributor of the text."""
    return Text(config.text)
