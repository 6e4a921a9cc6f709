"""Foreign files, read so that every key is either taken or reported with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from victor_dsl.errors import SpecError
from victor_dsl.regular_file import read_regular
from victor_dsl.source.json_text import compose as compose_json
from victor_dsl.source.located import Located, Span
from victor_dsl.source.yaml_text import compose as compose_yaml
from victor_dsl.storage.file_value import reason
from victor_dsl.values.model import NAME_PATTERN

MOST_BYTES = 16 << 20
"""The largest file that is read."""

MOST_NUMBER = 1e15
"""The largest number that is taken."""
UNKNOWN = "`victor import` does not know it"
_NAME = re.compile(NAME_PATTERN)


@frozen
class NotTaken:
    """Something of the foreign file that the spec does not have: its place, its path there, and why."""

    file: str
    line: int
    path: str
    why: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.path}: {self.why}" if self.path else f"{self.file}:{self.line}: {self.why}"
        )


@define
class Imported:
    """A spec as plain values, notes for its readers, and what was not taken."""

    spec: dict[str, Any] = field(factory=dict)
    notes: list[str] = field(factory=list)
    not_taken: list[NotTaken] = field(factory=list)
    documents: list[Located] = field(factory=list)
    """What was read."""

    def report(self, span: Span, path: str, why: str) -> None:
        """Adds what was not taken."""
        self.not_taken.append(NotTaken(span.file, span.line, path, why))


class Section:
    """A map of a foreign file. Each key is taken, or reported by `end` or where it is dropped."""

    def __init__(self, located: Located, path: str, imported: Imported) -> None:
        self.span = located.span
        self.path = path
        self.imported = imported
        self._values: Mapping[str, Located] = located.value if isinstance(located.value, dict) else {}
        self._left = dict.fromkeys(self._values)
        if not isinstance(located.value, dict) and located.value is not None:
            imported.report(located.span, path, "it is not a map")

    def __contains__(self, key: str) -> bool:
        return key in self._values and self._values[key].value is not None

    def left(self) -> list[str]:
        """The keys that were not taken yet."""
        return list(self._left)

    def located(self, key: str) -> Located | None:
        """The value under a key, which counts as taken; None where there is none."""
        self._left.pop(key, None)
        found = self._values.get(key)
        return None if found is None or found.value is None else found

    def take(self, key: str) -> Any:
        """The plain value under a key, which counts as taken; None where there is none."""
        found = self.located(key)
        return None if found is None else plain(found)

    def text(self, key: str) -> str | None:
        """The text under a key; a number is written as text. Anything else is reported."""
        value = self.take(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            self.report(key, "it is not a text")
        return None

    def number(self, key: str) -> float | int | None:
        """The number under a key, as YAML 1.1 writes it, too (`20_000`). Anything else is reported."""
        value = self.take(key)
        if isinstance(value, str):
            try:
                value = float(value.replace("_", ""))
            except ValueError:
                self.report(key, "it is not a number")
                return None
        finite = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_NUMBER
        if value is not None and not finite:
            self.report(key, "it is not a number")
            return None
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def section(self, key: str) -> Section:
        """The map under a key; an empty one where there is none."""
        found = self.located(key)
        return Section(found or Located({}, self.span), self._below(key), self.imported)

    def items(self, key: str) -> list[tuple[Located, str]]:
        """The items of the list under a key, each with its path; one item that is not in a list counts as a list."""
        found = self.located(key)
        if found is None:
            return []
        values = found.value if isinstance(found.value, list) else [found]
        return [(value, f"{self._below(key)}[{index}]") for index, value in enumerate(values)]

    def drop(self, why: str, *keys: str) -> None:
        """Reports those of the keys that are there."""
        for key in keys:
            if key in self._left and self.located(key) is not None:
                self.report(key, why)

    def report(self, key: str, why: str) -> None:
        """Reports a key."""
        found = self._values.get(key)
        span = self.span if found is None else found.key_span or found.span
        self.imported.report(span, self._below(key), why)

    def end(self, why: str = UNKNOWN) -> None:
        """Reports every key that was neither taken nor dropped."""
        self.drop(why, *self.left())

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def read_document(path: str, imported: Imported) -> Located:
    """The document of a YAML or JSON file. Raises SpecError, with the place of a fault."""
    text = read_text(path)
    compose = compose_json if path.lower().endswith(".json") else compose_yaml
    document, diagnostics = compose(text, path)
    faults = [fault for fault in diagnostics if fault.severity == "error" and fault.code != "empty-value"]
    if document is None or document.value is None:
        if faults:
            raise SpecError(f"{path}:{faults[0].span.line}:{faults[0].span.column}: {faults[0].message}")
        raise SpecError(f"{path}: it is empty")
    for fault in faults:
        imported.report(fault.span, "", fault.message)
    imported.documents.append(document)
    return document


def read_text(path: str) -> str:
    """The text of a file. Raises SpecError."""
    try:
        data, _ = read_regular(path, MOST_BYTES)
        if len(data) > MOST_BYTES:
            raise SpecError(f"{path}: it has more than {MOST_BYTES >> 20} MiB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise SpecError(f"{path}: {reason(error)}") from error
    except ValueError as error:
        raise SpecError(f"{path}: it is not UTF-8") from error


def plain(located: Located) -> Any:
    """The value without places."""
    value = located.value
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def name_of(text: str, taken: Mapping[str, Any], default: str = "item") -> str:
    """A name that a spec allows, made from the text, and not yet in `taken`."""
    base = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:60] or default
    if not _NAME.match(base):
        base = f"m-{base}"[:60]
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def beside(file: str, path: str) -> str:
    """A path that a file names, relative to the folder of that file."""
    return str(Path(file).parent / path)
