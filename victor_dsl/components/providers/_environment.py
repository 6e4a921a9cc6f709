"""Reads settings and vars out of environment variables, each as its setting's type wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from attrs import has

from victor_dsl.errors import ProviderError
from victor_dsl.language.component import Context
from victor_dsl.nearest import suggest
from victor_dsl.values.codec import read_settings
from victor_dsl.values.faults import Faulty
from victor_dsl.values.from_text import settings_from_text
from victor_dsl.values.settings import Layer, Settings
from victor_dsl.values.turn import Turn

VARS = "VARS__"


class Environment:
    """The layer of all variables with the prefix."""

    def __init__(self, prefix: str, context: Context) -> None:
        self._prefix = prefix
        self._context = context
        self._layer: Layer | None = None

    async def read(self, turn: Turn) -> Layer:
        if self._layer is None:
            self._layer = self._parse()
        return self._layer

    def _parse(self) -> Layer:
        settings, variables, names, faults = self._sorted_out()
        typed = settings_from_text(settings)
        try:
            read_settings(typed)
        except Faulty as error:
            for fault in error.faults:
                path = fault.path[1:]  # it begins with `settings`
                name = next((name for name, of in names.items() if path[: len(of)] == of), self._prefix)
                faults.append(f"the variable {name} {fault.message.removesuffix(', not text')}")
        if faults:
            raise ProviderError("; ".join(faults), node=self._context.node)
        return Layer(self._context.node, typed, variables)

    def _sorted_out(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, tuple[str, ...]], list[str]]:
        """The texts of settings and of vars as maps, the path of each variable that is a setting, and the faults."""
        known = {"__".join(path).upper(): path for path in _leaves(Settings)}
        settings: dict[str, Any] = {}
        variables: dict[str, Any] = {}
        names: dict[str, tuple[str, ...]] = {}
        faults: list[str] = []
        for name in sorted(self._context.environment):
            if not name.startswith(self._prefix):
                continue
            rest, text = name.removeprefix(self._prefix), self._context.environment[name]
            fault = None
            if rest.startswith(VARS):
                fault = _put(variables, tuple(rest.removeprefix(VARS).lower().split("__")), text)
            elif rest in known:
                names[name] = known[rest]
                fault = _put(settings, known[rest], text)
            else:
                fault = f"means no setting; {suggest(rest, [*known, VARS + 'NAME'])}"
            if fault:
                faults.append(f"the variable {name} {fault}")
        return settings, variables, names, faults


def _leaves(of: type, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting that is not a group of others."""
    for name, hint in get_type_hints(of).items():
        group = next((arm for arm in (hint, *get_args(hint)) if has(arm)), None)
        if group is not None:
            yield from _leaves(group, (*above, name))
        else:
            yield (*above, name)


def _put(into: dict[str, Any], path: tuple[str, ...], text: str) -> str | None:
    """Puts a text into nested maps; or says why not."""
    *groups, last = path
    here: Any = into
    for group in groups:
        here = here.setdefault(group, {})
        if not isinstance(here, dict):
            return f"goes below '{group}', which another variable sets"
    if not all(path):
        return "has an empty name between its underscores"
    if last in here:
        return "sets what another variable sets"
    here[last] = text
    return None
