"""The tree of files that a spec extends: read with its cycles and gaps reported, then merged, parents first.

Each file is read and merged once. Siblings must agree, unless the spec that extends them decides.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from itertools import combinations

from attrs import frozen

from victor_dsl.compiler.additions import Additions, plain_path
from victor_dsl.compiler.extends_path import ExtendsPath, read_path
from victor_dsl.compiler.overlays import Overlay, leaves, same
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.source.reader import STDIN, Files, too_large

MAX_FILES_DEEP = 32

_SYNTAX = "write one path, or a list of paths, parents first"


@frozen
class Family:
    """A file and its parents, in the order of `extends`. A file that is reached twice is one `Family`.

    `document` is the file's own map, `extends` included; None where it could not be read. `diagnostics` are those
    of the file and of all that it extends, each once; `chosen` their paths that variables choose.
    """

    name: str
    document: Located | None
    parents: tuple[Family, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    chosen: tuple[ExtendsPath, ...] = ()


def read_family(files: Files, name: str, environment: Mapping[str, str]) -> Family:
    """Reads a file and all that it extends. Cycles and missing files are diagnostics; what could be read is there."""
    return _Reading(files, environment).read(name, ())


@frozen
class _Writer:
    """A file on the way from the top to the one being read, and the place that named the next."""

    name: str
    identity: str
    place: Span


class _Reading:
    def __init__(self, files: Files, environment: Mapping[str, str]) -> None:
        self.files = files
        self.environment = environment
        self.known: dict[str, Family] = {}
        self.size = 0

    def read(self, name: str, way: tuple[_Writer, ...]) -> Family:
        """`way` leads from the top to this file."""
        identity = _identity(name)
        if identity in self.known:
            return self.known[identity]
        result = self.files.read(name)
        self.size += self.files.size(name)
        if self.size > self.files.max_bytes and result.document is not None:
            result = too_large(name, self.files.max_bytes)
        diagnostics = list(result.diagnostics)
        parents: list[Family] = []
        written = result.document.get("extends") if result.document is not None else None
        paths = self.paths(written, diagnostics)
        chosen = [path for path in paths if path.pieces]
        for path in paths:
            parent = self.parent(path, (*way, _Writer(name, identity, path.written.span)), diagnostics)
            if parent is not None:
                parents.append(parent)
                diagnostics.extend(parent.diagnostics)
                chosen.extend(parent.chosen)
        family = Family(name, result.document, tuple(parents), tuple(dict.fromkeys(diagnostics)), tuple(chosen))
        self.known[identity] = family
        return family

    def parent(self, path: ExtendsPath, way: tuple[_Writer, ...], diagnostics: list[Diagnostic]) -> Family | None:
        """The family of one path, or None, with a diagnostic unless a variable is not set."""
        name, node, at = path.name, path.written, path.at
        if name is None:
            return None
        identity = _identity(name)
        names = [writer.name for writer in way]
        loop = [writer.identity for writer in way]
        if identity in loop:
            chain = [*names[loop.index(identity) :], name]
            message = f"{chain[0]} extends itself: {' -> '.join(chain)}" if len(chain) > 2 else f"{name} extends itself"
            related = tuple(Related("extended here", w.place) for w in way[loop.index(identity) : -1])
            diagnostics.append(
                Diagnostic("extends-cycle", message, node.span, at, "remove one of these `extends`", related=related)
            )
            return None
        if len(way) > MAX_FILES_DEEP:
            message = f"more than {MAX_FILES_DEEP} files extend one another here"
            diagnostics.append(Diagnostic("bad-extends", message, node.span, at, "make the chain shorter"))
            return None
        family = self.read(name, way)
        missing = next(
            (d for d in family.diagnostics if d.code == "unreadable-file" and d.span.file == family.name), None
        )
        if missing is not None:
            diagnostics.append(path.missing(missing.message.removeprefix(f"cannot read '{name}': ")))
            return None
        return family

    def paths(self, written: Located | None, diagnostics: list[Diagnostic]) -> list[ExtendsPath]:
        """The paths of an `extends` value; what is no path is a diagnostic."""
        if written is None or written.value is None:
            return []
        nodes: list[tuple[Path, Located]] = [(("extends",), written)]
        if isinstance(written.value, list):
            nodes = [(("extends", i), node) for i, node in enumerate(written.value)]
        found = []
        for at, node in nodes:
            if not isinstance(node.value, str) or not node.value.strip():
                diagnostics.append(Diagnostic("bad-extends", "`extends` expects a path", node.span, at, _SYNTAX))
                continue
            path, faults = read_path(node, at, self.environment, self.files)
            diagnostics += faults
            found += [path] if path is not None else []
        return found


def _identity(name: str) -> str:
    """One word for a file, however its path is written. A path that the system refuses is its own word."""
    if name == STDIN:
        return name
    try:
        return os.path.realpath(name)
    except (OSError, ValueError):
        return name


def merge_family(family: Family) -> tuple[Located | None, list[Diagnostic]]:
    """One document out of a tree of them, without `extends`; None where the top one could not be read."""
    top = family.document
    if top is None or not isinstance(top.value, dict):
        return top, []
    overlay, additions = Overlay(), Additions()
    merged: Located | None = None
    for member in _lineage(family):
        if member.document is not None:
            own = _without_extends(member.document)
            merged = additions.settle(own) if merged is None else overlay.lay(merged, own, ())
    assert merged is not None
    merged = additions.settle(merged)
    disagreements = [fault for member in _lineage(family) for fault in _disagreements(member)]
    return Located(merged.value, top.span, top.key_span), [*overlay.diagnostics, *additions.diagnostics, *disagreements]


def nulls(family: Family) -> dict[Path, Located]:
    """Every `null` by which a file removes something that another sets; of those at one path the last."""
    if not family.parents:
        return {}
    return {path: leaf for path, leaf in _set(_lineage(family)) if leaf.value is None}


def documents(family: Family) -> list[Located]:
    """Every document of the tree, the top one first."""
    found = members(family)
    return [*found[-1:], *found[:-1]]


def members(family: Family) -> tuple[Located, ...]:
    """Every document of the tree, each after those that it extends."""
    return tuple(member.document for member in _lineage(family) if member.document is not None)


def complete(family: Family) -> bool:
    """Whether every file of the tree was read; else a name may be said to be missing that another file has."""
    return (
        all(member.document is not None for member in _lineage(family))
        and not any(fault.path[:1] == ("extends",) for fault in family.diagnostics)
        and all(path.name is not None for path in family.chosen)
    )


def _lineage(family: Family) -> list[Family]:
    """Every file of the tree once, after all that it extends; so an override by one sibling outlasts the other's parents."""
    found: dict[int, Family] = {}

    def visit(member: Family) -> None:  # no deeper than files may extend one another
        for parent in member.parents:
            if id(parent) not in found:
                visit(parent)
        found[id(member)] = member

    visit(family)
    return list(found.values())


def _disagreements(family: Family) -> Iterator[Diagnostic]:
    """Siblings may not set one leaf differently, unless the spec that extends them does; a common parent is no sibling."""
    own = {plain_path(path) for path, _ in _set([family])} if len(family.parents) > 1 else set()
    lineages = [_lineage(parent) for parent in family.parents]
    for first, second in combinations(lineages, 2):
        shared = {id(member) for member in first} & {id(member) for member in second}
        others = {
            plain_path(path): (path, leaf) for path, leaf in _set([one for one in first if id(one) not in shared])
        }
        for path, leaf in dict(_set([member for member in second if id(member) not in shared])).items():
            place, other = others.get(plain_path(path), (path, leaf))
            both_add = place == path != plain_path(path)
            if plain_path(path) not in own and not both_add and not (place == path and same(other, leaf)):
                yield Diagnostic(
                    "siblings-disagree",
                    f"two parents set {'.'.join(map(str, path))} differently",
                    leaf.span,
                    path,
                    f"set it in {family.name}, which extends both, or remove it from one of them",
                    related=(Related("the other one", other.span),),
                )


def _set(members: list[Family]) -> Iterator[tuple[Path, Located]]:
    """What files set, the later ones last; their names and descriptions are their own."""
    for member in members:
        if member.document is not None and isinstance(member.document.value, dict):
            for path, leaf in leaves(member.document):
                if path[0] not in ("name", "description", "extends"):
                    yield path, leaf


def _without_extends(document: Located) -> Located:
    if "extends" not in document.value:
        return document
    return Located({k: v for k, v in document.value.items() if k != "extends"}, document.span, document.key_span)
