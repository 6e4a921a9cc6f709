"""The provider that reads environment variables."""

from __future__ import annotations

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ProviderConfig
from victor_dsl.language.kinds import Provider


class Config(ProviderConfig):
    """Gives settings and vars from environment variables that begin with a prefix.

    With the prefix `SUPPORT_`, the variable `SUPPORT_TEMPERATURE` is `settings.temperature`,
    `SUPPORT_LIMITS__REQUESTS_PER_MINUTE` is `settings.limits.requests_per_minute` and `SUPPORT_VARS__PRODUCT` is
    `vars.product`: two underscores go one level down. The text becomes a number, a list (`a, b` or `["a", "b"]`) or a
    map (JSON) where the setting is one; a variable in `vars` stays text. A variable with the prefix that means no
    setting is an error, so choose a prefix that nothing else has.
    """

    prefix: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="What the variables' names begin with, the last underscore included.",
        examples=["SUPPORT_"],
    )


EXAMPLE = "{type: env, prefix: SUPPORT_}"


def build(config: Config, context: Context) -> Provider:
    """The provider; the environment is read when the first turn asks, and not again."""
    from victor_dsl.components.providers._environment import Environment

    return Environment(config.prefix, context)
