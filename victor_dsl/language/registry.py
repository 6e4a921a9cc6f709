"""The registry: finds a component by its kind and type, and imports only what is asked for."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from victor_dsl.errors import BrokenComponent
from victor_dsl.language.component import Component
from victor_dsl.language.config import Around
from victor_dsl.language.kinds import KINDS, Kind

BUILT_IN = "victor_dsl.components"


class Registry:
    """The components that a spec may name: those built in, those of installed packages, and any passed in.

    Packages register a module (or any object with `Config`, `build` and `EXAMPLE`) under the entry-point group
    `victor_dsl.<kind>`. A built-in name cannot be taken over.
    """

    def __init__(self, extra: Iterable[Component] = (), *, entry_points: bool = True) -> None:
        self._found: dict[tuple[str, str], Component | None] = {(c.kind.name, c.type): c for c in extra}
        self._installed: dict[str, tuple[Any, ...]] = {} if entry_points else dict.fromkeys(KINDS, ())
        self._built_in: dict[str, frozenset[str]] = {}
        self._types: dict[str, tuple[str, ...]] = {}

    def find(self, kind: str, type: str) -> Component | None:
        """The component, or None where there is none of that name. Raises BrokenComponent if its package is faulty."""
        key = (kind, type)
        if key not in self._found:
            self._found[key] = self._load(KINDS[kind], type)
        return self._found[key]

    def types(self, kind: str) -> tuple[str, ...]:
        """The names of all components of a kind, sorted. Imports none of them."""
        if kind not in self._types:
            given = {type for (of, type), found in self._found.items() if of == kind and found}
            installed = {entry.name for entry in self._entries(kind)}
            self._types[kind] = tuple(sorted(self._modules(kind) | given | installed))
        return self._types[kind]

    def components(self, kind: str, broken: Callable[[BrokenComponent], object]) -> list[Component]:
        """All components of a kind, sorted by type, without those that cannot be imported: `broken` gets their errors."""
        found = []
        for type in self.types(kind):
            try:
                component = self.find(kind, type)
            except BrokenComponent as error:
                broken(error)
            else:
                found += [component] if component is not None else []
        return found

    def _load(self, kind: Kind, type: str) -> Component | None:
        if type in self._modules(kind.name):
            return describe(kind, type, importlib.import_module(f"{BUILT_IN}.{kind.name}.{type}"))
        for entry in self._entries(kind.name):
            if entry.name == type:
                return self._installed_component(kind, entry)
        return None

    def _modules(self, kind: str) -> frozenset[str]:
        """The names of the built-in components of a kind."""
        if kind not in self._built_in:
            modules = pkgutil.iter_modules(importlib.import_module(f"{BUILT_IN}.{kind}").__path__)
            self._built_in[kind] = frozenset(module.name for module in modules if module.name[0] != "_")
        return self._built_in[kind]

    def _installed_component(self, kind: Kind, entry: Any) -> Component:
        package = getattr(entry.dist, "name", None) or "a package without a name"
        try:
            return describe(kind, entry.name, entry.load())
        except BrokenComponent as error:
            raise BrokenComponent(error.message, hint=f"the package {package} registers it: {entry.value}") from error
        except Exception as error:
            message = f"{kind.name} '{entry.name}' cannot be imported: {type(error).__name__}: {error}"
            raise BrokenComponent(message, hint=f"the package {package} registers it: {entry.value}") from error

    def _entries(self, kind: str) -> tuple[Any, ...]:
        if kind not in self._installed:
            metadata = importlib.import_module("importlib.metadata")  # 50 ms that a spec of built-in names need not pay
            self._installed[kind] = tuple(metadata.entry_points(group=f"victor_dsl.{kind}"))
        return self._installed[kind]


def describe(kind: Kind, type: str, module: ModuleType) -> Component:
    """The component that a module is: its `Config`, `build`, `EXAMPLE`, and `VERSION`, `AROUND`, `AFTER_AUTH`,
    `ENFORCES`, `REQUIRED`, `VARIES`, `READS_ENVIRONMENT` and `OFFLINE` where it has them."""
    around: Around | Sequence[Around] = getattr(module, "AROUND", "turn")
    for needed in ("Config", "build", "EXAMPLE"):
        if not hasattr(module, needed):
            raise BrokenComponent(f"{kind.name} '{type}' has no `{needed}`")
    return Component(
        kind=kind,
        type=type,
        config=module.Config,
        build=module.build,
        example=module.EXAMPLE,
        version=getattr(module, "VERSION", 1),
        around=(around,) if isinstance(around, str) else tuple(around),
        after_auth=getattr(module, "AFTER_AUTH", False),
        enforces=frozenset(getattr(module, "ENFORCES", ())),
        required=getattr(module, "REQUIRED", False),
        varies=getattr(module, "VARIES", False),
        reads_environment=getattr(module, "READS_ENVIRONMENT", False),
        offline=getattr(module, "OFFLINE", False),
    )
