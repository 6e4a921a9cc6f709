"""Reads the marks of a Config's fields: which are references, children, paths, templates, functions, programs, secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from victor_dsl.language.config import Config, Mark, Secret


@cache
def marks(config: type[Config]) -> Mapping[str, Mark | type[Secret]]:
    """Each marked field's mark; a secret field's is the class `Secret`."""
    found: dict[str, Mark | type[Secret]] = {}
    for name, field in config.model_fields.items():
        for mark in (*field.metadata, *_inside(field.annotation)):
            if mark is Secret or isinstance(mark, Mark):
                found[name] = mark
    return found


def _inside(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from _inside(argument)
