"""The provider that reads environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from victor_dsl.errors import ProviderError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ProviderConfig
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import suggest
from victor_dsl.values.faults import Faulty, dotted
from victor_dsl.values.settings import Layer, setting_paths
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.values import codec, from_text
else:
    codec = Lazy("victor_dsl.values.codec")
    from_text = Lazy("victor_dsl.values.from_text")

VARS = "VARS__"


class Config(ProviderConfig):
    """Gives settings and vars from environment variables that begin with a prefix.

    With the prefix `SUPPORT_`, the variable `SUPPORT_TEMPERATURE` is `settings.temperature`,
    `SUPPORT_LIMITS__REQUESTS_PER_MINUTE` is `settings.limits.requests_per_minute` and `SUPPORT_VARS__PRODUCT` is
    `vars.product`: two underscores go one level down. The text becomes a number, a list (`a, b` or `["a", "b"]`) or a
    map (JSON) where the setting is one, or where the spec's own value of the variable in `vars` is; a text that is nothing of
    the kind is an error. An empty variable counts as not set. A variable with the prefix that is not the name of a setting is an
    error, so choose a prefix that no other program uses.
    """

    prefix: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The prefix of the variables' names, including the last underscore.",
        examples=["SUPPORT_"],
    )


EXAMPLE = "{type: env, prefix: SUPPORT_}"


def build(config: Config, context: Context) -> Environment:
    """The provider; the environment is read once, at the first turn."""
    return Environment(config.prefix, context)


class Environment:
    """The layer of all variables with the prefix."""

    def __init__(self, prefix: str, context: Context) -> None:
        self._prefix = prefix
        self._context = context
        self._layer: Layer | None = None

    async def read(self, turn: Turn) -> Layer:
        if self._layer is None:
            self._layer = self._parsed()
        return self._layer

    def _parsed(self) -> Layer:
        settings, variables, names, faults = self._sorted()
        called = {".".join(path): f"the variable {name}" for name, path in names.items() if path[0] == "vars"}
        typed = from_text.settings_from_text(settings)
        try:
            codec.read_settings(typed)
        except Faulty as error:
            for fault in error.faults:
                path = fault.path
                name = next((name for name, of in names.items() if path[: len(of)] == of), self._prefix)
                rest = fault.message.removeprefix(dotted(fault.path)).removesuffix(", not text")
                faults.append(f"the variable {name}{rest}")
        if faults:
            raise ProviderError("; ".join(faults), node=self._context.node)
        return Layer(self._context.node, typed, variables, called=called)

    def _sorted(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, tuple[str, ...]], list[str]]:
        """The texts of settings and of vars as nested maps, the path of each variable, and the faults.

        An empty variable counts as not set.
        """
        known = {"__".join(path).upper(): path for path in setting_paths()}
        settings: dict[str, Any] = {}
        variables: dict[str, Any] = {}
        names: dict[str, tuple[str, ...]] = {}
        faults: list[str] = []
        for name in sorted(self._context.environment):
            if not name.startswith(self._prefix) or not self._context.environment[name]:
                continue
            rest, text = name.removeprefix(self._prefix), self._context.environment[name]
            fault = None
            if rest.startswith(VARS):
                path = tuple(rest.removeprefix(VARS).lower().split("__"))
                names[name] = ("vars", *path)
                fault = _put(variables, path, text)
            elif rest in known:
                names[name] = ("settings", *known[rest])
                fault = _put(settings, known[rest], text)
            else:
                fault = f"is not the name of a setting; {suggest(rest, [*known, VARS + 'NAME'])}"
            if fault:
                faults.append(f"the variable {name} {fault}")
        return settings, variables, names, faults


def _put(into: dict[str, Any], path: tuple[str, ...], text: str) -> str | None:
    """Puts a text into nested maps. Gives the fault where it cannot."""
    *groups, last = path
    here: Any = into
    for group in groups:
        here = here.setdefault(group, {})
        if not isinstance(here, dict):
            return f"is below '{group}', which another variable sets"
    if not all(path):
        return "has an empty name between its underscores"
    if last in here:
        return "sets what another variable sets as well"
    here[last] = text
    return None
