"""Merges a spec with the specs that it extends: each file once, parents first, siblings must agree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from victor_dsl.compiler.overlays import Overlay, leaves, same
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.extends import Family
from victor_dsl.source.located import Located, Path


def merge_family(family: Family) -> tuple[Located | None, list[Diagnostic]]:
    """One document out of a tree of them, without `extends`; None where the top one could not be read."""
    top = family.document
    if top is None or not isinstance(top.value, dict):
        return top, []
    overlay = Overlay()
    merged: Located | None = None
    for member in _lineage(family):
        if member.document is not None:
            own = _without_extends(member.document)
            merged = own if merged is None else overlay.lay(merged, own, ())
    assert merged is not None
    disagreements = [fault for member in _lineage(family) for fault in _disagreements(member)]
    return Located(merged.value, top.span, top.key_span), [*overlay.diagnostics, *disagreements]


def documents(family: Family) -> list[Located]:
    """Every document of the tree, the top one first."""
    *parents, top = _lineage(family)
    return [member.document for member in (top, *parents) if member.document is not None]


def complete(family: Family) -> bool:
    """Whether every file of the tree was read; else a name may be said to be missing that another file has."""
    return all(member.document is not None for member in _lineage(family)) and not any(
        "extends" in fault.code for fault in family.diagnostics
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
    own = dict(_set([family])) if len(family.parents) > 1 else {}
    lineages = [_lineage(parent) for parent in family.parents]
    for first, second in combinations(lineages, 2):
        shared = {id(member) for member in first} & {id(member) for member in second}
        others = dict(_set([member for member in first if id(member) not in shared]))
        for path, leaf in dict(_set([member for member in second if id(member) not in shared])).items():
            other = others.get(path)
            if other is not None and path not in own and not same(other, leaf):
                yield Diagnostic(
                    "siblings-disagree",
                    f"two parents set {'.'.join(map(str, path))} differently",
                    leaf.span,
                    path,
                    f"set it in {family.name}, which extends both, or take it out of one of them",
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
