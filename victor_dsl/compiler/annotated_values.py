"""The values of a Config's annotated fields, as an item writes them: references, nested components, paths and secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from victor_dsl.language.annotations import Annotation, FilePath, Secret, annotated_fields, nested_secrets
from victor_dsl.language.config import Config
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path


def annotated_values(config: type[Config], body: Located) -> Iterator[tuple[Annotation | type[Secret], Path, Located]]:
    """Each value of an annotated field, with the annotation and its path in the item; of a list or a map of secrets, each one.

    A path that is left out is its default, as if the item's file had written it.
    """
    for name, annotation in annotated_fields(config).items():
        value = body.get(name)
        if value is None or value.value is None:
            default = config.model_fields[name].default
            if not isinstance(annotation, FilePath) or not isinstance(default, str):
                continue
            value = Located(default, body.span)
        if isinstance(value.value, dict) and annotation is Secret:
            yield from ((annotation, (name, key), leaf) for key, leaf in value.value.items())
        elif isinstance(value.value, list) and annotation is not Secret:
            yield from ((annotation, (name, i), leaf) for i, leaf in enumerate(value.value))
        else:
            yield annotation, (name,), value
    for name, inner in nested_secrets(config):
        group = body.get(name)
        value = group.get(inner) if group is not None and isinstance(group.value, dict) else None
        if value is not None and value.value is not None:
            yield Secret, (name, inner), value


def secret_of(value: Any) -> Secret | None:
    """The secret that a leaf refers to, where it is exactly one reference without a default."""
    if isinstance(value, Interpolated) and len(value.references) == 1:
        reference = value.references[0]
        if reference.default is None and value.text == f"${{{reference.source}:{reference.name}}}":
            path = os.path.abspath(reference.path) if reference.source == "file" else ""
            return Secret(reference.source, reference.name, path)
    return None


def text_of(leaf: Located) -> str | None:
    """A leaf's text; None where it is not known, or no text."""
    if isinstance(leaf.value, Interpolated):
        return leaf.value.value
    return leaf.value if isinstance(leaf.value, str) else None


def put(value: dict[str, Any], path: Path, new: Any) -> None:
    """Sets a field of a plain map, or an item of a list or map in it."""
    if len(path) == 1:
        value[path[0]] = new  # type: ignore[index]
    elif isinstance(inner := value.get(path[0]), dict):  # type: ignore[arg-type]
        inner[path[1]] = new
    elif isinstance(value.get(path[0]), list) and isinstance(path[1], int) and path[1] < len(value[path[0]]):  # type: ignore[arg-type, index]
        value[path[0]][path[1]] = new  # type: ignore[index]
