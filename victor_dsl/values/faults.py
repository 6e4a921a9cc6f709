"""Faults of values from outside: each with its path, in plain words, none with the value itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

Path = tuple[str | int, ...]


@frozen
class Fault:
    """One fault of a value from outside, and the path to it; `key` is the key that is at fault, where one is."""

    path: Path
    message: str
    key: str | None = None

    @property
    def where(self) -> str:
        """The path as people write it: `settings.stop[0]`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path).removeprefix(".")

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.path else self.message


class Faulty(ValueError):
    """A value has faults; every one of them is listed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


def kind_of(value: Any) -> str:
    """What a value is, in plain words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a map" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else "something else"
