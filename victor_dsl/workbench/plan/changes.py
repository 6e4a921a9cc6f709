"""The changes between the meanings of two specs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal

from attrs import frozen

from victor_dsl.source.located import Path, pointer
from victor_dsl.workbench.plan.tree import Branch, Leaf, Tree

Kind = Literal["added", "removed", "changed"]

_ITEMS = 2
"""How deep items lie: a new one is one change, with all that it holds."""


@frozen
class Change:
    """One change. `path` has names in the place of indices; `file` and `line` are in the new spec, of what was removed in the old one.

    `diff` shows the changed lines of a text of several lines.
    """

    path: Path
    kind: Kind
    old: Any
    new: Any
    file: str
    line: int
    diff: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The change, its path as a JSON pointer."""
        return {
            "path": pointer(self.path),
            "kind": self.kind,
            "old": self.old,
            "new": self.new,
            "file": self.file,
            "line": self.line,
        }


def changes(old: Tree, new: Tree, path: Path = ()) -> Iterator[Change]:
    """What is added, removed and changed, in the order of the new spec; what was removed comes where it stood."""
    if isinstance(old, Branch) and isinstance(new, Branch):
        for key in _keys(old, new):
            before, after = old.children.get(key), new.children.get(key)
            below = (*path, *key.split("/", 1)) if _is_file(before, after) else (*path, key)
            if before is None and after is not None:
                yield from _whole("added", after, below)
            elif after is None and before is not None:
                yield from _whole("removed", before, below)
            elif before is not None and after is not None:
                yield from changes(before, after, below)
        yield from _moved(old, new, path)
        return
    was, now = old.plain(), new.plain()
    if was != now or (type(was) is not type(now) and isinstance(was, bool) != isinstance(now, bool)):
        yield Change(path, "changed", was, now, new.file, new.line, _diff(was, now))


def _whole(kind: Kind, tree: Tree, path: Path) -> Iterator[Change]:
    """A section that comes or goes is one change for each of its items."""
    if isinstance(tree, Branch) and len(path) < _ITEMS and all(isinstance(c, Branch) for c in tree.children.values()):
        for key, child in tree.children.items():
            yield from _whole(kind, child, (*path, key))
        return
    if says_nothing(tree):
        return
    value = tree.plain()
    old, new = (None, value) if kind == "added" else (value, None)
    yield Change(path, kind, old, new, tree.file, tree.line)


def says_nothing(tree: Tree) -> bool:
    """Whether a tree holds nothing but defaults."""
    if isinstance(tree, Leaf):
        return tree.default
    return bool(tree.children) and all(map(says_nothing, tree.children.values()))


def _moved(old: Branch, new: Branch, path: Path) -> Iterator[Change]:
    """A change of the order in which the items stand that both have."""
    stayed = {name for name in old.order if name in new.children and _priority(old, name) == _priority(new, name)}
    before = [name for name in old.order if name in stayed]
    after = [name for name in new.order if name in stayed]
    if before != after and sorted(before) == sorted(after):
        yield Change(path, "changed", before, after, new.file, new.line)


def _priority(section: Branch, name: str) -> Any:
    item = section.children[name]
    priority = item.children.get("priority") if isinstance(item, Branch) else None
    return None if priority is None else priority.plain()


def _keys(old: Branch, new: Branch) -> list[str]:
    keys = list(new.children)
    for place, key in enumerate(old.children):
        if key not in new.children:
            keys.insert(place, key)
    return keys


def _is_file(*trees: Tree | None) -> bool:
    return any(isinstance(tree, Leaf) and tree.content for tree in trees)


def _diff(old: Any, new: Any) -> tuple[str, ...]:
    if not isinstance(old, str) or not isinstance(new, str) or "\n" not in old.strip() + new.strip():
        return ()
    return tuple(line_diff(old.splitlines(), new.splitlines()))


def line_diff(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The lines that differ, with one more around them: two blanks before what is the same, `- ` and `+ ` before what is not."""
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(1)):
        if number:
            yield "…"
        for tag, i, j, k, m in group:
            if tag == "equal":
                yield from (f"  {line}".rstrip() for line in old[i:j])
            else:
                yield from (f"- {line}" for line in old[i:j])
                yield from (f"+ {line}" for line in new[k:m])
