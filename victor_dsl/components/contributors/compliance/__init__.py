"""The contributor that adds guidance for a regulated industry.

The guidance of an industry is the Markdown file of its name in this folder. Sources: HIPAA Privacy Rule, 45 CFR 164.502(b),
164.514(b) and 164.312(b); PCI DSS 4.0, requirements 3.3, 3.4, 4.2, 8.6 and 10; AICPA Trust Services Criteria CC6 to CC8;
Regulation (EU) 2016/679 (GDPR), articles 5, 6, 9, 15 to 22 and 33.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, computed_field, field_validator

from victor_dsl.components.contributors.text import Text
from victor_dsl.components.named_texts import check_name, read_texts
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, Name

TEXTS = read_texts(Path(__file__).parent)


class Config(ContributorConfig):
    """Adds guidance for an industry to the system prompt: what must not be said, written or logged there.

    `healthcare` covers HIPAA, `finance` PCI DSS and SOC 2, `general` the GDPR. This is guidance for a model. It is not legal
    advice, and it enforces nothing. You may add texts of your own by name; one with the name of a built-in text replaces
    it. The text is part of the plan's digest.
    """

    texts: dict[Name, Annotated[str, Field(min_length=1)]] = Field(
        {},
        description="Texts of your own, by the name that `industry` refers to.",
        examples=[{"insurance": "Never quote a premium that the rating tool did not return."}],
    )
    industry: str = Field(
        description="Whose guidance to add: `healthcare`, `finance`, `general`, or a name under `texts`.",
        examples=["healthcare", "finance", "general"],
    )

    @field_validator("industry")
    @classmethod
    def _is_known(cls, industry: str, info: ValidationInfo) -> str:
        if "texts" not in info.data:  # `texts` is faulty itself: whether it has this name cannot be checked
            return industry
        return check_name(industry, [*TEXTS, *info.data["texts"]])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        """The guidance. As part of the config it is in the digest, which so changes when a release changes the wording."""
        return self.texts.get(self.industry) or TEXTS[self.industry]


EXAMPLE = "{type: compliance, industry: healthcare, priority: 70}"


def build(config: Config, context: Context) -> Text:
    """The contributor of the text."""
    return Text(config.text)
