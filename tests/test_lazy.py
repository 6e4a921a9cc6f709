"""Modules that are imported at their first use."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from victor_dsl.lazy import Lazy


def test_a_lazy_module_is_imported_at_its_first_use() -> None:
    program = (
        "import sys\n"
        "from victor_dsl.lazy import Lazy\n"
        "colorsys = Lazy('colorsys')\n"
        "print('colorsys' in sys.modules)\n"
        "colorsys.rgb_to_hsv\n"
        "print('colorsys' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_lazy_module_gives_the_module_s_own_attributes() -> None:
    import math

    lazy = Lazy("math")
    assert lazy.pi is math.pi
    assert lazy.pi is math.pi


def test_a_lazy_module_that_is_missing_raises_at_its_first_use() -> None:
    missing = Lazy("victor_dsl_has_no_such_module")
    with pytest.raises(ModuleNotFoundError, match="victor_dsl_has_no_such_module"):
        missing.anything  # noqa: B018


def test_an_attribute_that_the_module_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        Lazy("math").no_such_name  # noqa: B018


def test_looking_at_a_lazy_module_imports_nothing() -> None:
    missing = Lazy("victor_dsl_has_no_such_module")
    assert inspect.unwrap(missing) is missing  # type: ignore[arg-type]  # doctest asks for anything
    assert not hasattr(missing, "__wrapped__")
