"""The gaps in addresses and bodies, `{name}`, that a model's arguments fill."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

GAP = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
BODILESS = frozenset({"GET", "HEAD", "DELETE"})


def gaps(text: str) -> list[str]:
    """The names in braces."""
    return GAP.findall(text)


def gaps_of_body(body: Any) -> Iterator[str]:
    """The names in braces in any text of a body."""
    if isinstance(body, str):
        yield from gaps(body)
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from gaps_of_body(value)
    elif isinstance(body, list):
        for value in body:
            yield from gaps_of_body(value)
