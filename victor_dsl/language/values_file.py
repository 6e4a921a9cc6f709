"""Reads a file of `settings` and `vars` as a layer that knows the line of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from victor_dsl.errors import ProviderError
from victor_dsl.nearest import suggest
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.source.reader import Files
from victor_dsl.values.codec import read_settings, read_vars
from victor_dsl.values.faults import Faulty, kind_of
from victor_dsl.values.settings import Layer, Origin

SECTIONS = ("settings", "vars")


def read_values(data: bytes, name: str, source: str) -> Layer:
    """The layer that the bytes of a YAML or JSON file are; `name` is the file's, its suffix says which of the two.

    Nothing in it is expanded: `${env:NAME}` is text. Raises ProviderError that names every fault with its place.
    """
    result = Files().parse(data, name)
    faults = [(fault.span, fault.message) for fault in result.diagnostics if fault.severity == "error"]
    if result.document is None or faults:
        raise _error(faults)
    document = result.document
    values = plain(document)
    faults = [*_unknown(document), *_checked(document, values)]
    if faults:
        raise _error(faults)
    origins = {
        ".".join(map(str, path)): Origin(source, leaf.span.file, leaf.span.line) for path, leaf in _leaves(document)
    }
    return Layer(source, values.get("settings") or {}, values.get("vars") or {}, origins)


def plain(value: Located) -> Any:
    """The value without its places."""
    if isinstance(value.value, dict):
        return {key: plain(inner) for key, inner in value.value.items()}
    if isinstance(value.value, list):
        return [plain(inner) for inner in value.value]
    return value.value


def _unknown(document: Located) -> Iterator[tuple[Span, str]]:
    for key, value in document.value.items():
        if key not in SECTIONS:
            hint = suggest(key, SECTIONS, what="the sections of a values file")
            yield value.key_span or value.span, f"there is no section '{key}' in a values file; {hint}"


def _checked(document: Located, values: Mapping[str, Any]) -> Iterator[tuple[Span, str]]:
    for section, check in (("settings", read_settings), ("vars", read_vars)):
        value = values.get(section)
        if value is None:
            continue
        if not isinstance(value, dict):
            yield document.value[section].span, f"{section} must be a map, not {kind_of(value)}"
            continue
        try:
            check(value)
        except Faulty as error:
            for fault in error.faults:
                yield _place(document, fault.path, fault.message), str(fault)


def _place(document: Located, path: Path, message: str) -> Span:
    """Where a fault is: at the value, or at the key that it names in a map."""
    at = document.at(path)
    named = next((inner for key, inner in _items(at) if f"'{key}'" in message), None)
    return at.span if named is None else named.key_span or named.span


def _items(value: Located) -> Iterator[tuple[str, Located]]:
    if isinstance(value.value, dict):
        yield from value.value.items()


def _leaves(value: Located, path: Path = ()) -> Iterator[tuple[Path, Located]]:
    if isinstance(value.value, dict) and value.value:
        for key, inner in value.value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _error(faults: list[tuple[Span, str]]) -> ProviderError:
    return ProviderError("; ".join(f"{at.file}:{at.line}:{at.column}: {message}" for at, message in faults))
