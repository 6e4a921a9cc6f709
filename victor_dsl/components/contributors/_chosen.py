"""A choice from names that are known only when a Config is read."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic_core import PydanticKnownError


def one_of(names: Iterable[str], given: str) -> str:
    """The name itself. Raises what a `Literal` of the names would, so that the fault is placed and the nearest shown."""
    known = [f"'{name}'" for name in dict.fromkeys(names)]
    if f"'{given}'" not in known:
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(known[:-1])} or {known[-1]}"})
    return given
