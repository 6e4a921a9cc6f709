"""What holds for every overlay: laying is associative, the empty overlay changes nothing, the base is never changed."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given

from tests.compiler.located import additions, bases, located, overlays, plain
from victor_dsl.compiler.additions import Additions
from victor_dsl.compiler.overlays import Overlay, deep, leaves, same
from victor_dsl.source.located import Located


def lay(base: Located, over: Located) -> Located:
    overlay = Overlay()
    merged = overlay.lay(base, over, ())
    assert overlay.diagnostics == []
    return merged


@given(bases)
def test_the_empty_overlay_changes_nothing(base: dict[str, Any]) -> None:
    assert plain(lay(located(base), located({}))) == base


@given(bases, overlays)
def test_neither_the_base_nor_the_overlay_is_changed(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    first, second = located(base), located(over)
    lay(first, second)
    assert (plain(first), plain(second)) == before


@given(bases, overlays)
def test_an_overlay_laid_twice_is_an_overlay_laid_once(base: dict[str, Any], over: dict[str, Any]) -> None:
    once = lay(located(base), located(over))
    assert plain(lay(once, located(over))) == plain(once)


@given(bases, overlays, overlays)
def test_overlays_associate(base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]) -> None:
    """Two overlays written as maps may be joined to one, which does what the two do one after the other."""
    one_by_one = lay(lay(located(base), located(first)), located(second))
    joined = lay(located(base), deep(located(first), located(second)))
    assert plain(one_by_one) == plain(joined)


@given(bases, overlays)
def test_what_an_overlay_sets_is_what_the_merged_spec_has(base: dict[str, Any], over: dict[str, Any]) -> None:
    merged = lay(located(base), located(over))
    for path, leaf in leaves(located(over)):
        if path[0] == "contributors" and len(path) == 3:
            item = next(item for item in merged.value["contributors"].value if plain(item)["name"] == path[1])
            assert plain(item)[path[2]] == leaf.value
        elif path[0] != "contributors" and leaf.value != {}:
            assert plain(merged.at(path)) == plain(leaf)


@given(bases)
def test_a_value_is_the_same_as_itself_written_elsewhere(base: dict[str, Any]) -> None:
    assert same(located(base), located(copy.deepcopy(base)))


@given(bases, bases)
def test_same_is_equality_of_meaning(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(located(one), located(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: Any) -> Any:
    """A value in which 1, 1.0 and True differ, as they do in a spec, and the order of keys does not count."""
    if isinstance(value, dict):
        return {key: repr_of(child) for key, child in value.items()}
    if isinstance(value, list):
        return [repr_of(child) for child in value]
    return (type(value), value)


@given(bases, additions, additions)
def test_overlays_that_add_associate(base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]) -> None:
    one_by_one = lay(lay(located(base), located(first)), located(second))
    joined = lay(located(base), deep(located(first), located(second)))
    assert plain(Additions().settle(one_by_one)) == plain(Additions().settle(joined))
