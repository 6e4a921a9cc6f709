"""The contributor that is a Python function."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FunctionName
from victor_dsl.language.kinds import Contributor


class Config(ContributorConfig):
    """Adds what a function of your own says to the system prompt, anew for each turn: `def today(turn) -> str`.

    A plain function runs in a thread, so that it may block; an `async def` runs on the event loop. An empty text
    says that there is nothing to add. What the function prints goes to standard error.
    """

    function: Annotated[str, FunctionName()] = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="The function, as `module:function`. The module is looked for in the spec's folder, then on Python's path.",
        examples=["support.prompts:opening_hours"],
    )
    timeout_seconds: float = Field(
        10.0, gt=0, description="How long it may take; then the piece cannot be made. The default is ten seconds."
    )


EXAMPLE = '{type: function, function: "support.prompts:opening_hours"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Contributor]:
    """The contributor; the module is imported when it is entered."""
    from victor_dsl.components.contributors._function import function_contributor

    return function_contributor(config.function, config.timeout_seconds, context)
