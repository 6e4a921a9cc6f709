"""The `settings` section, derived from the one definition of what a setting is (`values.settings`)."""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from attrs import fields, has
from pydantic import Field, create_model
from typing_extensions import Doc

from victor_dsl.language.config import Model
from victor_dsl.values.settings import Settings


@cache
def section(of: type = Settings) -> type[Model]:
    """The pydantic model of an attrs class of settings: every field may be left out or null, types are exact."""
    members: dict[str, Any] = {}
    hints = get_type_hints(of, include_extras=True)
    for attribute in fields(of):
        annotation, description = _written(hints[attribute.name])
        members[attribute.name] = (annotation | None, Field(None, description=description))
    return create_model(of.__name__, __base__=Model, __doc__=of.__doc__, **members)


def _written(annotation: Any) -> tuple[Any, str | None]:
    """A field's type as people write it (tuples are lists, attrs classes models), and its description."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _written(next(arm for arm in get_args(annotation) if arm is not type(None)))
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        description = next((m.documentation for m in metadata if isinstance(m, Doc)), None)
        bounds = tuple(m for m in metadata if not isinstance(m, Doc))
        written, _ = _written(inner)
        return (Annotated[written, *bounds] if bounds else written), description
    if origin is tuple:
        return list[get_args(annotation)[0]], None  # type: ignore[misc]
    if isinstance(annotation, type) and has(annotation):
        return section(annotation), None
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[str, Any], None
    return annotation, None
