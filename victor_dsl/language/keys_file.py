"""Reads a file of API keys' hashes, knowing the line of every entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from victor_dsl.errors import StoreError
from victor_dsl.language.values_file import to_python
from victor_dsl.nearest import suggest
from victor_dsl.source.located import Located, Span
from victor_dsl.source.reader import Files

FIELDS = ("key_hash", "tenant_id", "user_id", "active", "expires_at")
"""What an entry may say; the columns of the table `api_keys` are the same."""


def read_keys(data: bytes, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The entries of a file `keys: [{key_hash, tenant_id, …}]`, YAML or JSON, each with its place.

    Nothing in it is expanded. Raises StoreError that names every fault of its form with its place.
    """
    result = Files().parse(data, name)
    faults = [(fault.span, fault.message) for fault in result.diagnostics if fault.severity == "error"]
    if result.document is None or faults:
        raise _error(faults)
    if faults := list(_faults(result.document)):
        raise _error(faults)
    return [
        (f"{name}:{entry.span.line}", to_python(entry))
        for entry in result.document.at(("keys",)).value
    ]  # fmt: skip


def _faults(document: Located) -> Iterator[tuple[Span, str]]:
    for key, value in document.value.items():
        if key != "keys":
            yield (
                value.key_span or value.span,
                f"there is no '{key}' in a file of keys; write `keys: [{{key_hash: …}}]`",
            )
    keys = document.get("keys")
    if keys is None or not isinstance(keys.value, list):
        yield document.span, "a file of keys is a map with a list `keys`"
        return
    for entry in keys.value:
        if not isinstance(entry.value, dict):
            yield entry.span, "a key's entry is a map: `{key_hash: …, tenant_id: …}`"
            continue
        for key, value in entry.value.items():
            if key not in FIELDS:
                yield value.key_span or value.span, f"a key has no '{key}'; {suggest(key, FIELDS, what='fields')}"


def _error(faults: list[tuple[Span, str]]) -> StoreError:
    return StoreError("; ".join(f"{at.file}:{at.line}:{at.column}: {message}" for at, message in faults))
