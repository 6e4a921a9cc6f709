"""Located values as plain Python, for pydantic to look at."""

from __future__ import annotations

import math
import os
from typing import Any

from attrs import define, field

from victor_dsl.language.config import Secret
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path

LEFT_OUT = object()
"""Stands for a value that is not known."""


@define
class Plain:
    """A located value as plain Python, and what of it came from `${…}`.

    `interpolated` holds each such leaf by path; `unknown` the paths of those whose value is not known (they are
    left out of `value`, so that defaults stand in).
    """

    value: Any
    interpolated: dict[Path, Interpolated] = field(factory=dict)
    unknown: set[Path] = field(factory=set)


def plain(located: Located) -> Plain:
    """The plain value of a located tree."""
    result = Plain(None)
    result.value = _plain(located, (), result)
    return result


def _plain(located: Located, path: Path, result: Plain) -> Any:
    value = located.value
    kind = type(value)
    if kind is dict:
        made = {}
        for key, child in value.items():
            leaf = child.value
            simple = type(leaf)
            if simple is str or simple is int or simple is float or simple is bool or leaf is None:
                made[key] = leaf
            elif (converted := _plain(child, (*path, key), result)) is not LEFT_OUT:
                made[key] = converted
        return made
    if kind is list:
        items = (_plain(child, (*path, i), result) for i, child in enumerate(value))
        return [item for item in items if item is not LEFT_OUT]
    if kind is Interpolated:
        result.interpolated[path] = value
        if value.value is None:
            result.unknown.add(path)
            return LEFT_OUT
        return value.value
    return value


def converted(text: str, wanted: str) -> Any:
    """What a text from outside is as the type that pydantic wanted (`int_type`, …), or None where it is none."""
    text = text.strip()
    try:
        if wanted == "int_type":
            return int(text, 10) if text.lstrip("+-").isdigit() else None
        if wanted == "float_type":
            number = float(text)
            return number if math.isfinite(number) and "_" not in text else None
    except ValueError:
        return None
    if wanted == "bool_type":
        return {"true": True, "false": False}.get(text.lower())
    return None


def secret_of(value: Any) -> Secret | None:
    """The secret that a leaf refers to, where it is exactly one reference without a default."""
    if isinstance(value, Interpolated) and len(value.references) == 1:
        reference = value.references[0]
        if reference.default is None and value.text == f"${{{reference.source}:{reference.name}}}":
            path = os.path.abspath(reference.path) if reference.source == "file" else ""
            return Secret(reference.source, reference.name, path)
    return None
