"""The work of validating grows with the number of items, in every list and map: calls are counted, and no time is measured."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bench.growth import PRODUCTS, SPECS
from victor_dsl.compiler import compile_spec, work
from victor_dsl.interfaces.cli.diagnostics import FORMATS, Found
from victor_dsl.interfaces.cli.options import Reading
from victor_dsl.language.registry import Registry

REGISTRY = Registry(entry_points=False)
FEW = 200


def calls(text: str, folder: Path) -> int:
    """How many functions are called to compile a spec and to show what was found, those of C included."""
    (folder / "victor.yml").write_text(text)
    counted = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    with contextlib.chdir(folder):
        sys.setprofile(count)
        try:
            compiled = compile_spec("victor.yml", environment={}, registry=REGISTRY)
            found = Found.of(["victor.yml"], compiled.diagnostics, compiled.files, Reading())
            for show, most in FORMATS.values():
                show(found, False, most)
        finally:
            sys.setprofile(None)
    return counted


@pytest.mark.parametrize("name", SPECS)
def test_four_times_the_items_are_at_most_six_times_the_work(name: str, tmp_path: Path) -> None:
    calls(SPECS[name](1), tmp_path)  # imports, and fills caches
    assert calls(SPECS[name](4 * FEW), tmp_path) <= 6 * calls(SPECS[name](FEW), tmp_path)


@pytest.mark.parametrize(
    "name", [name for name in PRODUCTS if "templates" not in name]
)  # they have a bound of their own
def test_a_product_is_refused_before_it_is_much_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MOST_WORK", 50_000)
    calls(PRODUCTS[name](1), tmp_path)
    assert max(calls(PRODUCTS[name](size), tmp_path) for size in (50, 100, 200)) <= 50 * work.MOST_WORK
    assert calls(PRODUCTS[name](400), tmp_path) <= 6 * work.MOST_WORK
