"""Hypothesis strategies for located values, overlays of specs among them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from victor_dsl.source.located import Located, Span

NOWHERE = Span("spec.yml", 1, 1, 1, 1)


def located(value: Any) -> Located:
    """A plain value as if it had been read."""
    if isinstance(value, dict):
        return Located({key: located(child) for key, child in value.items()}, NOWHERE, NOWHERE)
    if isinstance(value, list):
        return Located([located(child) for child in value], NOWHERE, NOWHERE)
    return Located(value, NOWHERE, NOWHERE)


def plain(value: Located) -> Any:
    """The value without its places."""
    if isinstance(value.value, dict):
        return {key: plain(child) for key, child in value.value.items()}
    if isinstance(value.value, list):
        return [plain(child) for child in value.value]
    return value.value


names = st.sampled_from(["a", "b", "c", "d"])
values = st.integers(0, 3) | st.booleans() | st.sampled_from(["x", "y"])
maps = st.recursive(
    st.dictionaries(names, values, max_size=3), lambda inner: st.dictionaries(names, values | inner, max_size=3)
)

_fields = st.fixed_dictionaries({}, optional={"priority": st.integers(0, 99), "text": st.sampled_from(["x", "y", "z"])})
_items = st.dictionaries(names, _fields, max_size=4)

bases = st.fixed_dictionaries(
    {"victor": st.just(1)},
    optional={
        "vars": maps,
        "contributors": _items.map(lambda found: [{"type": "text", "name": name, **f} for name, f in found.items()]),
        "models": st.dictionaries(names, st.fixed_dictionaries({"type": st.just("echo"), "n": values}), max_size=3),
        "compaction": st.fixed_dictionaries({"type": st.just("recent")}, optional={"threshold": st.floats(0, 1)}),
    },
)
"""Specs, as plain values."""

overlays = st.fixed_dictionaries(
    {},
    optional={
        "vars": maps,
        "contributors": _items.map(lambda found: {name: {"type": "text", **f} for name, f in found.items()}),
        "models": st.dictionaries(names, st.fixed_dictionaries({"type": st.just("echo")}, optional={"n": values})),
        "compaction": st.fixed_dictionaries({}, optional={"threshold": st.floats(0, 1)}),
    },
)
"""Overlays that fit any of `bases`, as plain values: they change and add, and so can be joined with one another."""

_lists = st.dictionaries(
    st.sampled_from(["list", "+list", "+other"]), st.lists(st.integers(0, 3), max_size=2), max_size=3
).filter(lambda found: not {"list", "+list"} <= found.keys())
additions = st.fixed_dictionaries({}, optional={"vars": _lists, "prompt": st.dictionaries(names, _lists, max_size=2)})
"""Overlays that set lists and add to them, as plain values."""
