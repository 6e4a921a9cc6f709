"""Merges a spec with the specs that it extends: parents first, siblings must agree."""

from __future__ import annotations

from victor_dsl.compiler.overlays import Overlay, leaves, same
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.extends import Family
from victor_dsl.source.located import Located


def merge_family(family: Family) -> tuple[Located | None, list[Diagnostic]]:
    """One document out of a tree of them, without `extends`; None where the top one could not be read."""
    diagnostics: list[Diagnostic] = []
    merged = _merged(family, diagnostics)
    return merged, diagnostics


def documents(family: Family) -> list[Located]:
    """Every document of the tree, the top one first."""
    found = [family.document] if family.document is not None else []
    for parent in family.parents:
        found += documents(parent)
    return found


def _merged(family: Family, diagnostics: list[Diagnostic]) -> Located | None:
    own = family.document
    if own is None or not isinstance(own.value, dict):
        return own
    if not family.parents:
        return _without_extends(own)
    parents = [(parent, merged) for parent in family.parents if (merged := _merged(parent, diagnostics)) is not None]
    below: Located | None = None
    overlay = Overlay(diagnostics=diagnostics)
    for i, (parent, merged) in enumerate(parents):
        for earlier, before in parents[:i]:
            _agree(earlier, before, parent, merged, own, diagnostics)
        below = merged if below is None else overlay.lay(below, merged, ())
    without = _without_extends(own)
    if below is None:
        return without
    top = overlay.lay(below, without, ())
    return Located(top.value, own.span, own.key_span)


def _agree(
    a: Family, merged_a: Located, b: Family, merged_b: Located, own: Located, diagnostics: list[Diagnostic]
) -> None:
    """Siblings may not set one leaf differently; what both have from a common parent, either may override."""
    common = _files(a) & _files(b)
    set_by_a = {path: leaf for path, leaf in leaves(merged_a) if leaf.span.file not in common}
    for path, leaf in leaves(merged_b):
        other = set_by_a.get(path)
        if other is None or leaf.span.file in common or path in (("name",), ("description",)) or same(other, leaf):
            continue
        if own.at(path).span.file == own.span.file and _sets(own, path):
            continue
        diagnostics.append(
            Diagnostic(
                "siblings-disagree",
                f"two parents set {'.'.join(map(str, path))} differently",
                leaf.span,
                path,
                "set it in the spec that extends both, or take it out of one of them",
                related=(Related("the other one", other.span),),
            )
        )


def _without_extends(document: Located) -> Located:
    if "extends" not in document.value:
        return document
    return Located({k: v for k, v in document.value.items() if k != "extends"}, document.span, document.key_span)


def _sets(document: Located, path: tuple[str | int, ...]) -> bool:
    here: Located | None = document
    for step in path:
        here = here.get(str(step)) if here is not None else None
    return here is not None


def _files(family: Family) -> frozenset[str]:
    own = {family.document.span.file} if family.document is not None else set()
    return frozenset(own.union(*(_files(parent) for parent in family.parents)) if family.parents else own)
