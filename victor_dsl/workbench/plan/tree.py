"""Trees of values with their places, which `victor plan` compares."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen


@frozen
class Leaf:
    """One value, as it may be shown, and its place.

    `content` says that it is the text of a file; `default` that it says no more than leaving it out.
    """

    value: Any
    file: str
    line: int
    content: bool = False
    default: bool = False

    def plain(self) -> Any:
        """The value."""
        return self.value


@define(eq=False)
class Branch:
    """Values by name, and the place of the whole. `order` are the names of items whose order counts."""

    file: str
    line: int
    children: dict[str, Leaf | Branch] = field(factory=dict)
    order: list[str] = field(factory=list)

    def plain(self) -> Any:
        """The values as maps, without the texts of further files."""
        return {key: child.plain() for key, child in self.children.items() if "/" not in key or not _is_text(child)}


Tree = Leaf | Branch


def _is_text(tree: Tree) -> bool:
    return isinstance(tree, Leaf) and tree.content


def as_json(tree: Tree) -> list[Any]:
    """A tree for another process."""
    if isinstance(tree, Leaf):
        return [tree.file, tree.line, tree.value, tree.content, tree.default]
    return [tree.file, tree.line, {key: as_json(child) for key, child in tree.children.items()}, tree.order]


def from_json(value: list[Any]) -> Tree:
    """The tree that another process sent."""
    file, line, content, *rest = value
    if len(rest) == 2:
        return Leaf(content, file, line, *rest)
    return Branch(file, line, {key: from_json(child) for key, child in content.items()}, rest[0])
