"""Globs over the paths of values."""

from __future__ import annotations

import sys

import pytest

from victor_dsl.values.path_globs import PathGlobs, leaves


@pytest.mark.parametrize(
    ("glob", "path", "covered"),
    [
        ("settings.model", "settings.model", True),
        ("settings.model", "settings.models", False),
        ("settings.model", "vars.model", False),
        ("settings.limits", "settings.limits.tools.deny", True),
        ("settings.limits.*", "settings.limits.tools.deny", True),
        ("settings.limits.*", "settings.limits", False),
        ("settings.*_penalty", "settings.presence_penalty", True),
        ("*.tools", "settings.limits.tools", False),
        ("*", "vars.legal", True),
        ("**", "vars.legal", True),
        ("vars.[ab]?", "vars.b1", True),
        ("vars.[ab", "vars.[ab", True),
        ("vars.", "vars.x", False),
        ("", "vars", False),
        ("vars.$(x)|y", "vars.y", False),
        ("vars.Ä*", "vars.Ärger", True),
    ],
)
def test_a_glob_covers_what_it_matches_and_all_below(glob: str, path: str, covered: bool) -> None:
    for globs in ([glob], ["nothing.at.all", glob]):
        assert PathGlobs(globs).covering(tuple(path.split("."))) == (glob if covered else None)


@pytest.mark.parametrize("glob", ["settings.limits.tools.deny", "settings.limits.t*.d*"])
def test_a_value_above_touches_what_is_below_unless_it_is_an_empty_map(glob: str) -> None:
    globs = PathGlobs([glob])
    for path in (("settings",), ("settings", "limits"), ("settings", "limits", "tools")):
        assert globs.touched(path, None) == glob
        assert globs.touched(path, {}) is None
        assert globs.covering(path) is None
    assert globs.touched(("settings", "limits", "tools", "deny"), {}) == glob
    assert globs.touched(("settings", "limits", "concurrency"), None) is None


def test_leaves_are_values_and_empty_maps_at_any_depth() -> None:
    deep: dict[str, object] = {"end": 1}
    for _ in range(sys.getrecursionlimit() * 2):
        deep = {"a": deep}
    [(path, value)] = leaves(deep)
    assert (len(path), value) == (sys.getrecursionlimit() * 2 + 1, 1)
    assert list(leaves({"a": {}, "b": [{"c": 1}], "d": {"e": None}}, ("vars",))) == [
        (("vars", "a"), {}),
        (("vars", "b"), [{"c": 1}]),
        (("vars", "d", "e"), None),
    ]
    assert list(leaves({})) == []
