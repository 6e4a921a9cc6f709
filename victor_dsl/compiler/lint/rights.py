"""Who may set which values: locks, the rights of tenants' rows, and tenants that the spec does not know."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from victor_dsl.compiler.additions import plain_path
from victor_dsl.compiler.layers import values_in
from victor_dsl.compiler.lint.files import provided_values
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.variations import middleware_types
from victor_dsl.language.annotations import Maxima, ValueGlobs, annotated_fields
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import as_read, as_written
from victor_dsl.source.located import Located, Path
from victor_dsl.values.faults import Subject, faults_of
from victor_dsl.values.path_globs import MOST_GLOBS, WILD, PathGlobs
from victor_dsl.values.path_globs import Path as ValuePath
from victor_dsl.values.settings import Settings, numeric_settings, setting_paths

ANY_KEYS = ("settings", "response_format")
"""A setting that is a map with keys of any names."""

MOST_NAMES = 1_000
"""Among more paths than this, the nearest one is not searched for."""


def locked_values_stay(subject: LintInput) -> Iterator[Diagnostic]:
    """What tenants, arms and providers set of what is locked, and locked values that requests or rows are allowed."""
    locks = {text: leaf for _, text, leaf in _texts(subject.document.get("locked"))}
    if not locks:
        return
    globs = PathGlobs(locks)

    def fault(who: str, path: str, leaf: Located, at: Path, glob: str) -> Diagnostic:
        hint = f"only the spec and what it extends may set it: remove it here, or `{glob}` from `locked`"
        place = Related("locked here", locks[glob].span)
        message = f"{who} may not set {path}: it is locked"
        return Diagnostic("locked", message, leaf.key_span or leaf.span, at, hint, related=(place,))

    types = middleware_types(subject.document)
    overlays = dict.fromkeys(source for variation in subject.variations for source in variation.sources if source)
    written = [(_owner(at), at, subject.document.at(at), types) for at in overlays]
    written += [("a provider", at, values, {}) for at, values in provided_values(subject)]
    for who, at, values, of_middleware in written:
        for path, place, leaf in values_in(values, of_middleware):
            plain = tuple(map(str, plain_path(path)))
            if (glob := globs.touched(plain, leaf.value)) is not None:
                yield fault(who, ".".join(plain), leaf, (*at, *place), glob)
    for index, name, leaf in _texts(subject.document.get("request")):
        if (glob := globs.covering(("settings", name))) is not None:
            yield fault("requests", f"settings.{name}", leaf, ("request", index), glob)
    for path, text, leaf in _allowed(subject):
        if (glob := globs.covering(tuple(text.split(".")))) is not None:
            yield fault("rows", text, leaf, path, glob)


def rights_name_values(subject: LintInput) -> Iterator[Diagnostic]:
    """Paths in `locked` and in the fields of components that are of no setting and no var, and maxima that no value can have."""
    known = _Known(subject.document)
    for index, text, leaf in _texts(subject.document.get("locked")):
        yield from known.faults(text, leaf, ("locked", index))
    for path, text, leaf in _allowed(subject):
        yield from known.faults(text, leaf, path)
    for item in subject.items():
        for name, annotation in annotated_fields(item.component.config).items():
            field = item.located.get(name)
            if isinstance(annotation, Maxima) and field is not None and isinstance(field.value, dict):
                maxima = getattr(item.config, name, None) or {}
                for key, leaf in field.value.items():
                    yield from _maximum_faults(key, maxima.get(key), leaf, (*item.path, name, key))


def unknown_tenants_are_decided(subject: LintInput) -> Iterator[Diagnostic]:
    """Warns where tenants are written and nothing says what happens to others, such as misspelt ones."""
    tenants = subject.document.get("tenants")
    decided = subject.document.get("unknown_tenants")
    if tenants is not None and tenants.value and (decided is None or decided.value is None):
        yield Diagnostic(
            "unknown-tenants",
            "tenants that are not listed here, such as misspelt ones, silently have the base",
            tenants.key_span or tenants.span,
            ("tenants",),
            "add `unknown_tenants: refuse` at the top level; or `base`, which answers them without an overlay",
            severity="warning",
        )


class _Known:
    """The paths of all settings and of the spec's vars."""

    def __init__(self, document: Located) -> None:
        self._open: set[ValuePath] = {ANY_KEYS}
        self._paths: set[ValuePath] = {("settings", *path) for path in setting_paths()}
        vars = document.get("vars")
        for place, leaf in vars.walk(("vars",)) if vars is not None else ():
            path = tuple(map(str, place))
            self._paths.add(path)
            if leaf.value is None or leaf.value == {}:
                self._open.add(path)
        self._all = {path[:length] for path in self._paths for length in range(1, len(path) + 1)} | {("vars",)}
        self._names = [".".join(path) for path in self._all] if len(self._all) <= MOST_NAMES else []

    def faults(self, text: str, leaf: Located, at: Path) -> Iterator[Diagnostic]:
        """The fault of a glob that covers none of them."""
        if not self._has(text):
            whole = next((name for name in (f"settings.{text}", f"vars.{text}") if self._has(name)), None)
            meant = whole or nearest(text, self._names)
            syntax = "write paths such as `settings.model`, `settings.limits.*`, `vars.*`"
            message = f"this spec has no setting and no var '{as_written(leaf.value)}'"
            yield Diagnostic("unknown-name", message, leaf.span, at, f"did you mean '{meant}'?" if meant else syntax)

    def _has(self, glob: str) -> bool:
        steps = tuple(glob.split("."))
        if WILD.isdisjoint(glob):
            return steps in self._all or any(steps[:length] in self._open for length in range(2, len(steps)))
        globs = PathGlobs([glob])
        if globs.covering(("vars", "")):  # `vars.*`, also where the spec has no vars
            return True
        return any(map(globs.covering, self._paths)) or any(map(globs.below, self._open))


def _allowed(subject: LintInput) -> Iterator[tuple[Path, str, Located]]:
    """What components let the rows of tenants set: the globs with their places."""
    for item in subject.items():
        for name, annotation in annotated_fields(item.component.config).items():
            if isinstance(annotation, ValueGlobs):
                for index, text, leaf in _texts(item.located.get(name)):
                    yield (*item.path, name, index), text, leaf


def _maximum_faults(key: str, most: float | None, leaf: Located, at: Path) -> Iterator[Diagnostic]:
    """Why there can be no such greatest value; `most` is None where its own fault is reported already."""
    path = tuple(key.removeprefix("settings.").split("."))
    numeric = {".".join(path) for path in numeric_settings()}
    if path not in numeric_settings():
        span = leaf.key_span or leaf.span
        if path in set(setting_paths()):
            message, code = f"settings.{'.'.join(path)} is not a number, so it cannot have a maximum", "wrong-value"
        else:
            message, code = f"settings has no number '{'.'.join(path)}'", "unknown-name"
        yield Diagnostic(code, message, span, at, suggest(".".join(path), numeric, what="numbers", most=len(numeric)))
    elif most is not None:
        value: object = int(most) if most == int(most) else most
        for step in reversed(path):
            value = {step: value}
        try:
            Settings.model_validate(value)
        except ValidationError as error:
            for fault in faults_of(
                Settings, value, error.errors(include_url=False), Subject("settings", ("settings",))
            ):
                yield Diagnostic("wrong-value", f"no row can comply with this maximum: {fault.message}", leaf.span, at)


def _texts(section: Located | None) -> Iterator[tuple[int, str, Located]]:
    """The texts of a list whose values are known, with their places."""
    for index, leaf in enumerate(
        section.value[:MOST_GLOBS] if section is not None and isinstance(section.value, list) else ()
    ):
        text = as_read(leaf.value)
        if isinstance(text, str):
            yield index, text, leaf


def _owner(at: Path) -> str:
    """An overlay in messages: `tenant acme`, `arm tone.warm`."""
    return f"tenant {at[1]}" if at[0] == "tenants" else f"arm {at[1]}.{at[3]}"
