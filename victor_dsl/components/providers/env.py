"""The provider that reads environment variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import define, field
from pydantic import Field

from victor_dsl.errors import ProviderError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ProviderConfig
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import nearest, suggest
from victor_dsl.values.faults import Faulty, dotted
from victor_dsl.values.settings import Layer, setting_paths
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import logging

    from victor_dsl.values import codec, from_text
else:
    logging = Lazy("logging")
    codec = Lazy("victor_dsl.values.codec")
    from_text = Lazy("victor_dsl.values.from_text")

VARS = "VARS__"

SERVICE_LINK = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
"""What Kubernetes adds to the environment of every container for a Service of its namespace whose name begins like the prefix:
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables"""


class Config(ProviderConfig):
    """Gives settings and vars from environment variables that begin with a prefix.

    With the prefix `SUPPORT_`, the variable `SUPPORT_TEMPERATURE` is `settings.temperature`,
    `SUPPORT_LIMITS__REQUESTS_PER_MINUTE` is `settings.limits.requests_per_minute` and `SUPPORT_VARS__PRODUCT` is
    `vars.product`: two underscores go one level down. The text becomes a number, a list (`a, b` or `["a", "b"]`) or a
    map (JSON) where the setting is one, or where the spec's own value of the variable in `vars` is; a text that is nothing of
    the kind is an error. An empty variable counts as not set. A variable with the prefix that is not the name of a setting is an
    error, so choose a prefix that no other program uses. With `optional: true` variables at fault are reported and
    left out. What Kubernetes sets for Services (`SUPPORT_SERVICE_HOST`, `SUPPORT_PORT`, `SUPPORT_PORT_80_TCP` …) is ignored.
    """

    prefix: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The prefix of the variables' names, including the last underscore.",
        examples=["SUPPORT_"],
    )


READS_ENVIRONMENT = True

EXAMPLE = "{type: env, prefix: SUPPORT_}"


def build(config: Config, context: Context) -> Environment:
    """The provider; the environment is read once, at the first turn."""
    return Environment(config, context)


class Environment:
    """The layer of all variables with the prefix."""

    def __init__(self, config: Config, context: Context) -> None:
        self._prefix = config.prefix
        self._optional = config.optional
        self._context = context
        self._layer: Layer | None = None

    async def read(self, turn: Turn) -> Layer:
        if self._layer is None:
            self._layer = self._parsed()
        return self._layer

    def _parsed(self) -> Layer:
        """The layer. A variable at fault is an error; of an optional provider it is left out, and reported."""
        read = self._sorted()
        called = {".".join(path): f"the variable {name}" for name, path in read.names.items()}
        typed = from_text.settings_from_text(read.settings)
        try:
            codec.read_settings(typed)
        except Faulty as error:
            for fault in error.faults:
                path = fault.path
                name, at = next(
                    ((name, of) for name, of in read.names.items() if path[: len(of)] == of), (self._prefix, path)
                )
                rest = fault.message.removeprefix(dotted(fault.path)).removesuffix(", not text")
                read.faults.append(f"the variable {name}{rest}")
                _remove(typed, at[1:])  # without its first part, `settings`
        if read.links:
            logging.getLogger("victor_dsl").warning(
                "%s: ignores what Kubernetes sets for its Services: %s; choose a prefix that no Service's name begins with",
                self._context.node,
                ", ".join(read.links),
            )
        if read.faults:
            message = "; ".join(read.faults)
            if not self._optional:
                raise ProviderError(message, node=self._context.node)
            self._context.report(f"{message}; the other variables are in force", {})
        return Layer(self._context.node, typed, read.variables, called=called)

    def _sorted(self) -> _Read:
        """The variables with the prefix, by what they set. An empty one counts as not set."""
        known = {"__".join(path).upper(): path for path in setting_paths()}
        read = _Read()
        unknown = []
        for name in sorted(self._context.environment):
            if not name.startswith(self._prefix) or not self._context.environment[name]:
                continue
            rest, text = name.removeprefix(self._prefix), self._context.environment[name]
            fault = None
            if rest.startswith(VARS):
                path = tuple(rest.removeprefix(VARS).lower().split("__"))
                read.names[name] = ("vars", *path)
                fault = _put(read.variables, path, text)
            elif rest in known:
                read.names[name] = ("settings", *known[rest])
                fault = _put(read.settings, known[rest], text)
            elif SERVICE_LINK.fullmatch(rest):
                read.links.append(name)
            elif close := nearest(rest, known):
                fault = f"is not the name of a setting; did you mean '{self._prefix}{close}'?"
            else:
                unknown.append(name)
            if fault:
                read.faults.append(f"the variable {name} {fault}")
        if unknown:
            one = len(unknown) == 1
            what = (
                f"variable {unknown[0]} is not the name of a setting"
                if one
                else f"variables {', '.join(unknown)} are not names of settings"
            )
            read.faults.append(f"the {what}; {suggest('', [*known, VARS + 'NAME'])}")
        return read


@define
class _Read:
    """The texts of settings and of vars as nested maps, the path of each variable, those of Services, and
    the faults."""

    settings: dict[str, Any] = field(factory=dict)
    variables: dict[str, Any] = field(factory=dict)
    names: dict[str, tuple[str, ...]] = field(factory=dict)
    links: list[str] = field(factory=list)
    faults: list[str] = field(factory=list)


def _remove(settings: dict[str, Any], path: tuple[Any, ...]) -> None:
    """Takes a setting out of nested maps, where it is there."""
    *groups, last = path
    here: Any = settings
    for group in groups:
        here = here.get(group) if isinstance(here, dict) else None
    if isinstance(here, dict):
        here.pop(last, None)


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
