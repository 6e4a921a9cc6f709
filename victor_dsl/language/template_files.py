"""The templates that a template names: by plain text, and in the folder of the first one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen
from jinja2 import nodes


@frozen
class Reference:
    """An `include`, `import`, `from … import` or `extends`.

    `names` are the templates that it tries in turn, None where a name is computed. `context` says that the template
    sees the names of this one; `extends` that this one also sees its names. `optional` allows that there is none.
    """

    node: nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends
    names: tuple[str, ...] | None
    line: int
    context: bool
    optional: bool


def references(tree: nodes.Template) -> Iterator[Reference]:
    """What a parsed template names, in its order."""
    found: Iterator[Any] = tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport))
    for node in found:
        context = isinstance(node, nodes.Extends) or bool(node.with_context)
        yield Reference(node, _names(node.template), node.lineno, context, getattr(node, "ignore_missing", False))


def _names(written: nodes.Expr) -> tuple[str, ...] | None:
    items: list[Any]
    if isinstance(written, nodes.Const):
        items = list(written.value) if isinstance(written.value, list | tuple) else [written.value]
    elif isinstance(written, nodes.List | nodes.Tuple):
        items = [item.value if isinstance(item, nodes.Const) else None for item in written.items]
    else:
        return None
    return tuple(items) if items and all(isinstance(item, str) for item in items) else None


def confined(folder: Path, name: str) -> Path:
    """The file of that name in the folder. Raises PermissionError where the name, or a link, leads out of it."""
    parts = PurePosixPath(name)
    path = folder / parts
    inside = not parts.is_absolute() and ".." not in parts.parts and "\\" not in name and "\0" not in name
    # `resolve` raises where links form a circle
    if not inside or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise PermissionError(None, "it is outside the template's folder", name)
    return path
