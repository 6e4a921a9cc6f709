"""Values that turns share are read like any others, and not changed."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pytest

from victor_dsl.values.frozen import freeze
from victor_dsl.values.message import NO_USAGE, Usage

VALUE: dict[str, Any] = {"a": [1, {"b": [2]}], "t": ({"x": 1},), "s": "text"}


def test_a_frozen_value_is_equal_and_json_writes_it_alike() -> None:
    frozen = freeze(VALUE)
    assert frozen == VALUE
    assert json.dumps(frozen) == json.dumps(VALUE)
    assert orjson.dumps(frozen) == orjson.dumps(VALUE)
    assert repr(frozen) == repr(VALUE)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(a=1),
        lambda value: value.__setitem__("a", 1),
        lambda value: value.pop("a"),
        lambda value: value["a"].append(1),
        lambda value: value["a"].__iadd__([1]),
        lambda value: value["a"][1]["b"].clear(),
        lambda value: value["t"][0].setdefault("y", 1),
    ],
)
def test_it_cannot_be_changed_at_any_depth(change: Callable[[Any], Any]) -> None:
    frozen = freeze(VALUE)
    with pytest.raises(TypeError, match="change a copy"):
        change(frozen)
    assert frozen == VALUE


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_can_be_changed(copied: Callable[[Any], Any]) -> None:
    frozen = freeze(VALUE)
    other = copied(frozen)
    other["a"][1]["b"].append(3)
    assert other != VALUE
    assert frozen == VALUE


def test_what_is_frozen_is_not_frozen_again() -> None:
    frozen = freeze(VALUE)
    assert freeze(frozen) is frozen


def test_a_value_that_every_turn_makes_is_compared_hashed_and_copied_as_a_frozen_one() -> None:
    usage = Usage(3, 4)
    assert usage == Usage(3, 4) != NO_USAGE
    assert {usage: 1}[Usage(3, 4)] == 1
    assert pickle.loads(pickle.dumps(usage)) == copy.deepcopy(usage) == usage
    assert attrs.evolve(usage, output_tokens=5) == Usage(3, 5)
    assert usage == Usage(3, 4)
