"""Reads a file of `settings` and `vars` as a layer that knows the line of every value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from victor_dsl.errors import ProviderError
from victor_dsl.language.spec import Values
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.source.reader import Files
from victor_dsl.values.additions import added_to, take_additions
from victor_dsl.values.codec import read
from victor_dsl.values.faults import Fault, Faulty
from victor_dsl.values.settings import Layer, Origin


def read_values(data: bytes, name: str, source: str) -> Layer:
    """Parses the bytes of a settings file into a layer; the suffix of its `name` says whether it is YAML or JSON.

    Nothing in it is expanded: `${env:NAME}` is text. Raises ProviderError that names every fault with its place.
    """
    result = Files().parse(data, name)
    document, unreadable = result.document, [fault for fault in result.diagnostics if fault.severity == "error"]
    if document is None or unreadable:
        raise ProviderError("; ".join(f"{_place(fault.span)}: {fault.message}" for fault in unreadable))
    try:
        values, added = take_additions(to_python(document))
        read(Values, values, "a values file")
    except Faulty as error:
        placed = sorted((_span(document, fault), str(fault)) for fault in error.faults)
        raise ProviderError("; ".join(f"{_place(span)}: {fault}" for span, fault in placed)) from error
    origins = {
        ".".join(map(str, path)): Origin(source, leaf.span.file, leaf.span.line) for path, leaf in _leaves(document)
    }
    return Layer(source, values.get("settings") or {}, values.get("vars") or {}, origins, added=added)


def to_python(value: Located) -> Any:
    """The value without its places."""
    if isinstance(value.value, dict):
        return {key: to_python(inner) for key, inner in value.value.items()}
    if isinstance(value.value, list):
        return [to_python(inner) for inner in value.value]
    return value.value


def _span(document: Located, fault: Fault) -> Span:
    here = document.at(fault.path)
    return (here.key_span or here.span) if fault.at_key else here.span


def _place(span: Span) -> str:
    return f"{span.file}:{span.line}:{span.column}"


def _leaves(value: Located, path: Path = ()) -> Iterator[tuple[Path, Located]]:
    if isinstance(value.value, dict) and value.value:
        for key, inner in value.value.items():
            yield from _leaves(inner, (*path, added_to(key) or key))
    else:
        yield path, value
