"""Settings written as text (environment variables), made what their schema says they are."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import attrs
import orjson

from victor_dsl.values.settings import Settings


def settings_from_text(raw: Mapping[str, Any], schema: type[Any] = Settings) -> dict[str, Any]:
    """The map with its texts turned into numbers, lists and maps where the schema wants those.

    A list is written as JSON or with commas (`spare,other`), a map as JSON, `null` means not set. A text that is
    nothing of the kind stays a text, which the check of the values then names.
    """
    hints = get_type_hints(schema, include_extras=True)
    return {key: _read(value, _plain(hints[key])) if key in hints else value for key, value in raw.items()}


def _read(value: Any, wanted: Any) -> Any:
    if isinstance(value, Mapping):
        return settings_from_text(value, wanted) if attrs.has(wanted) else value
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text == "null":
        return None
    if wanted in (int, float, bool):
        return _scalar(text, wanted, value)
    if wanted is str:
        return value
    if text[:1] in ("[", "{"):
        return _json(text, value)
    if get_origin(wanted) is tuple:
        return [item.strip() for item in text.split(",") if item.strip()]
    return value


def _scalar(text: str, wanted: type[Any], value: str) -> Any:
    if wanted is bool:
        return {"true": True, "false": False}.get(text.lower(), value)
    try:
        return wanted(text) if "_" not in text else value
    except ValueError:
        return value


def _json(text: str, value: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return value


def _plain(annotation: Any) -> Any:
    """The type behind `Annotated[…] | None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if NoneType in (arms := get_args(annotation)):
        return _plain(next(arm for arm in arms if arm is not NoneType))
    return annotation
