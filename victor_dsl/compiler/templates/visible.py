"""The names that a variation's templates see, and their values as far as the spec and its files have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from functools import cached_property
from itertools import chain
from typing import Any

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.templates.sources import Templates
from victor_dsl.compiler.validate import to_python
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.annotations import FilePath, ValueGlobs, annotated_fields
from victor_dsl.language.spec import Values
from victor_dsl.source.interpolate import Interpolated, as_read
from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files, resolve
from victor_dsl.values.additions import take_additions
from victor_dsl.values.faults import Faulty
from victor_dsl.values.path_globs import PathGlobs
from victor_dsl.values.settings import REQUEST_SETTINGS, Layer, Settings, setting_paths
from victor_dsl.values.typed import Type

_OF_TYPE: Mapping[Type, Any] = {"string": "", "integer": 0, "number": 0.0, "boolean": False, "list": [], "map": None}
"""A value of each type, for the attributes that inputs have; nothing is known of a map's keys."""


class VisibleNames:
    """What a variation's templates see, without a request.

    `vars` are the values of the spec, and of its providers that can be read, None where they are not known; `known` has no value for
    inputs without a default, where `vars` has one of their type. `nulls` are the vars that some layer sets to null,
    and `may_set` the paths that each provider with unknown values may set, None for all.
    """

    def __init__(self, variation: Variation, templates: Templates) -> None:
        self.variation = variation
        providers = sorted(
            variation.checked.sections["providers"], key=lambda item: getattr(item.config, "priority", 50)
        )
        provided = [_known(item, templates) for item in providers]
        self.may_set = tuple(_rights_of(item) for item, layer in zip(providers, provided, strict=True) if layer is None)
        layers = [variation.spec, *(layer for layer in provided if layer is not None), *variation.overlays]
        self.vars: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        self.nulls = frozenset(name for layer in layers for name, value in layer.vars.items() if value is None)
        for layer in layers:
            self.vars = layer.vars_upon(self.vars)
            self._settings = layer.settings_upon(self._settings)
        self._nulls = {name for name, value in variation.spec.vars.items() if value is None and name not in self.vars}
        self.vars |= dict.fromkeys({*self._nulls, *_not_read(variation.source)} - self.vars.keys())
        inputs = variation.inputs
        self.known = {**self.vars, **{name: declared.default for name, declared in inputs.items()}}
        self.vars |= {name: _OF_TYPE[declared.type] for name, declared in inputs.items()}

    def may_come(self, steps: tuple[str, ...] | None) -> bool:
        """Whether a provider whose values are not known may set what templates read by these steps; None are unknown ones."""
        if steps is None:
            return bool(self.may_set)
        path = steps if steps[0] == "settings" else ("vars", *steps)
        return self._locked.covering(path) is None and any(
            rights is None or rights.covering(path) is not None or rights.below(path) is not None
            for rights in self._rights
        )

    @cached_property
    def _rights(self) -> list[PathGlobs | None]:
        return [None if rights is None else PathGlobs(rights) for rights in self.may_set]

    @cached_property
    def _locked(self) -> PathGlobs:
        spec = self.variation.checked.spec
        return PathGlobs((spec.locked if spec is not None else None) or ())

    def of(self, item: Item) -> VisibleNames:
        """What the templates of an item see: that of what the user says also sees the message."""
        if item.id != "message/template":
            return self
        seen = copy(self)
        seen.vars, seen.known = {**self.vars, "message": ""}, {**self.known, "message": None}
        seen.__dict__.pop("always", None)
        return seen

    @cached_property
    def unset(self) -> Mapping[tuple[str, ...], str]:
        """What a turn may lack, of `tenant`, `user`, the vars and the settings: a sentence with the reason for each."""
        nulls: dict[tuple[str, ...], str] = {
            (name,): f"a turn may have no {name}: its value is null" for name in self._nulls
        }
        inputs: dict[tuple[str, ...], str] = {
            (name,): f"a request may leave out the input '{name}'"
            for name, declared in self.variation.inputs.items()
            if not declared.required and declared.default is None
        }
        return {**nulls, **inputs, **self._callers(), **self._unset_settings()}

    @cached_property
    def always(self) -> frozenset[str]:
        """The names that have a value in every turn."""
        unset = {steps[0] for steps in self.unset if len(steps) == 1}
        return frozenset({"session", "tenant", "user", *self.vars} - unset)

    @cached_property
    def elsewhere(self) -> frozenset[str]:
        """The names of vars and inputs in any tenant or arm."""
        overlays = [self.variation.source.at((section,)).walk() for section in ("tenants", "variants")]
        return frozenset(
            str(path[-1]) for path, _ in chain(*overlays) if len(path) > 1 and path[-2] in ("vars", "inputs")
        )

    def _callers(self) -> dict[tuple[str, ...], str]:
        """`tenant` and `user` where nothing makes sure that a turn has them."""
        sections = self.variation.checked.sections
        if any(item.component.type == "auth" for item in sections["middleware"]):
            return {}
        lacks = {"user": "a turn may have no user: nothing in this spec asks for one"}
        rows = [*sections["providers"], *sections["contributors"]]
        if self.variation.tenant is None and not any(_needs_tenant(item) for item in rows):
            lacks["tenant"] = "a turn may have no tenant: nothing in this spec asks for one"
        return {(name,): why for name, why in lacks.items()}

    def _unset_settings(self) -> dict[tuple[str, ...], str]:
        """The settings that nothing sets, or that only a request may set."""
        checked = self.variation.checked
        models = [getattr(item.config, "settings", None) for item in checked.sections["models"]]
        layers = [self._settings, *(model.model_dump(exclude_unset=True) for model in models if model is not None)]
        request = REQUEST_SETTINGS | set((checked.spec.request if checked.spec else None) or ())
        found = {}
        for path in setting_paths():
            default = Settings.model_fields[path[0]].get_default() if len(path) == 1 else None
            if path == ("model",) or default is not None or any(_has(layer, path) for layer in layers):
                continue
            name = ".".join(("settings", *path))
            lacks = (
                f"a turn may have no {name}: only a request sets it" if path[0] in request else f"nothing sets {name}"
            )
            found["settings", *path] = lacks
        return found


def _not_read(document: Located) -> Iterator[str]:
    """The vars of the spec whose value is a variable that is not set here."""
    vars = document.get("vars")
    for name, leaf in vars.value.items() if vars is not None and isinstance(vars.value, dict) else ():
        if isinstance(leaf.value, Interpolated) and leaf.value.value is None:
            yield name


def _has(layer: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    here: Any = layer
    for step in path:
        here = here.get(step) if isinstance(here, Mapping) else None
    return here is not None


def _needs_tenant(item: Item) -> bool:
    """Whether turns without a tenant are refused: rows of tenants, with no row for the others."""
    config = item.config
    return (
        item.component.type == "tenant"
        and not getattr(config, "default", None)
        and not getattr(config, "optional", False)
    )


def _known(item: Item, templates: Templates) -> Layer | None:
    """The layer of a provider, which most variations share."""
    if id(item) not in templates.provided:
        templates.provided[id(item)] = (item, _provided(item, templates.files))
    layer: Layer | None = templates.provided[id(item)][1]
    return layer


def _provided(item: Item, files: Files) -> Layer | None:
    """The layer of a provider whose values stand in the spec or in a file; None where they are not known."""
    values = getattr(item.config, "values", None)
    if isinstance(values, Values):
        return _layer(values.model_dump(mode="json", exclude_unset=True))
    for name, annotation in annotated_fields(item.component.config).items():
        leaf = item.located.get(name)
        text = as_read(leaf.value) if leaf is not None else None
        if isinstance(annotation, FilePath) and annotation.values and leaf is not None and isinstance(text, str):
            result = files.read(resolve(leaf.span.file, text))
            read = to_python(result.document).value if result.document is not None and not result.diagnostics else None
            return _layer(read)
    return None


def _rights_of(item: Item) -> tuple[str, ...] | None:
    """The paths of what a provider may set; None where it may set all."""
    fields = annotated_fields(item.component.config).items()
    written = [getattr(item.config, name, None) for name, annotation in fields if isinstance(annotation, ValueGlobs)]
    rights = [globs for globs in written if globs is not None]
    return tuple(chain(*rights)) if rights else None


def _layer(written: Any) -> Layer | None:
    try:
        values, added = take_additions(written)
    except Faulty:
        return None
    if not isinstance(values, dict):
        return None
    settings, vars = values.get("settings") or {}, values.get("vars") or {}
    return (
        Layer("provider", settings, vars, added=added)
        if isinstance(settings, dict) and isinstance(vars, dict)
        else None
    )
