"""Texts from outside (environment variables, `${env:…}`) turned into the type that their key wants, never by guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from victor_dsl.values.settings import Settings

SCALARS: Mapping[str, Callable[[str], Any]] = {
    "int_type": int,
    "float_type": float,
    "bool_type": {"true": True, "false": False}.__getitem__,
}
"""How a text is read where pydantic reports that it wants a number or a truth value."""

PARTS = frozenset({"list_type", "tuple_type", "dict_type", "model_type"})
"""Pydantic's errors where it wants a list or a map."""


def from_text(text: str, wanted: str) -> Any:
    """The text as what pydantic wanted when it reported `int_type`, `list_type` …; None where it is nothing of the kind.

    A list is written as JSON or with commas (`spare,other`), a map as JSON.
    """
    text = text.strip()
    try:
        if wanted in SCALARS:
            return SCALARS[wanted](text.lower()) if "_" not in text else None
        if wanted in PARTS and text[:1] in ("[", "{"):
            return orjson.loads(text)
    except (ValueError, KeyError):
        return None
    if wanted in ("list_type", "tuple_type"):
        return [item.strip() for item in text.split(",") if item.strip()]
    return None


def convert_texts(
    value: Any,
    errors: Sequence[Any],
    text_at: Callable[[tuple[Any, ...]], str | None],
    parts_at: Callable[[tuple[Any, ...]], bool],
) -> bool:
    """Replaces in place the texts that `errors` are about by what their keys want; whether there was any.

    `text_at` gives the text at a path, and None where a value is not to be converted; `parts_at` says whether a text may
    become a list or a map there.
    """
    converted = False
    for error in errors:
        path, wanted = error["loc"], error["type"]
        if not path or (wanted not in SCALARS and not parts_at(path)):  # a fault of the whole is of no text
            continue
        while path and text_at(path) is None:
            path = path[:-1]  # a union adds its branch to the path
        text = text_at(path) if path else None
        new = from_text(text, wanted) if text is not None else None
        if new is not None:
            holder = value
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = new
            converted = True
    return converted


def settings_from_text(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A map of settings whose leaves are texts, each as its setting wants it; `null` means not set.

    A text that is nothing of the kind stays a text, for the check of the settings to report.
    """
    settings: dict[str, Any] = _copied(raw)
    try:
        Settings.model_validate(settings)
    except ValidationError as error:
        convert_texts(settings, error.errors(include_url=False), lambda path: _text(settings, path), lambda _: True)
    return settings


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return None if isinstance(value, str) and value.strip() == "null" else value


def _text(value: Any, path: tuple[Any, ...]) -> str | None:
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value if isinstance(value, str) else None
