"""A pytest plugin that collects the tests of specs: `pytest victor.yml`.

Only YAML files with the top-level keys `victor` and `tests` are specs with tests; others are left to whom they belong. What runs a spec
is imported when the first one is collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MOST_BYTES = 4 << 20
_VICTOR = re.compile(rb"^[\"']?victor[\"']?[ \t]*:", re.MULTILINE)
_TESTS = re.compile(rb"^[\"']?\+?tests[\"']?[ \t]*:", re.MULTILINE)


def load() -> ModuleType:
    """What runs specs. Not a `Lazy`: pytest looks for fixtures in a plugin's objects, and would import it."""
    from victor_dsl.interfaces import spec_suites

    return spec_suites


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SpecFile | None:
    """The spec in a YAML file; None for other files. Of a spec without tests that the command line names, too: that is an error."""
    if file_path.suffix not in (".yml", ".yaml"):
        return None
    try:
        with file_path.open("rb") as file:
            text = file.read(MOST_BYTES)
    except OSError:
        return None
    if not _VICTOR.search(text) or not (_TESTS.search(text) or parent.session.isinitpath(file_path)):
        return None
    spec: SpecFile = SpecFile.from_parent(parent, path=file_path)
    return spec


class SpecFile(pytest.File):
    """A spec with its tests."""

    def collect(self) -> Iterator[SpecItem]:
        """An item for each test. A spec with faults, or without tests, is an error of collection."""
        here = Path.cwd()
        inside = self.path.is_relative_to(here)
        suite = load().open_suite(str(self.path.relative_to(here) if inside else self.path))
        if isinstance(suite, str):
            raise self.CollectError(suite)
        for test in suite.tests:
            yield SpecItem.from_parent(self, name=test.test.name, suite=suite, test=test)


class SpecItem(pytest.Item):
    """One test of a spec."""

    def __init__(self, *, suite: Any, test: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.funcargs: dict[str, Any] = {}  # other plugins look for an item's fixtures: pytest-lsp fails without
        self.suite = suite
        self.test = test

    def runtest(self) -> None:
        """Runs the test; recordings and models that need no network answer."""
        result = self.suite.result(self.test)
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.failures:
            raise SpecFailure(load().failure_text(result))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The failure as `victor test` prints it."""
        if isinstance(excinfo.value, SpecFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The place of the test, its line from 0."""
        return self.path, self.test.span.line - 1, self.name


class SpecFailure(Exception):
    """A test of a spec that did not pass."""
