"""The tests of a spec as programs run them, without the command line."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from attrs import frozen

from victor_dsl.compiler import Compilation
from victor_dsl.compiler.spec_tests import SpecTest
from victor_dsl.errors import VictorError
from victor_dsl.interfaces.python import compile
from victor_dsl.workbench.spec_tests import FOLDER, Recordings, Result, Suite, failure_text

__all__ = ["OpenSuite", "failure_text", "open_suite", "recordings_path"]


@frozen
class OpenSuite:
    """A spec's tests, and what runs them."""

    suite: Suite
    tests: tuple[SpecTest, ...]

    def result(self, test: SpecTest) -> Result:
        """The result of one test; it runs an event loop of its own."""
        (result,) = asyncio.run(self.suite.run([test]))
        return result


def open_suite(spec: str) -> OpenSuite | str:
    """The tests of a spec; why they cannot be run, where it has faults or no tests."""
    compilation = compile(spec, require_environment=True, allow_retired=True)
    if compilation.program is None:
        return "\n".join(
            f"{d.span.file}:{d.span.line}:{d.span.column}: {d.message} [{d.code}]" for d in compilation.errors
        )
    if not compilation.tests:
        return f"{spec}: the spec has no tests"
    try:
        names = [one.test.name for one in compilation.tests]
        recordings = Recordings.read(recordings_path(spec, compilation), spec, names)
    except VictorError as error:
        return str(error)
    suite = Suite(compilation.program, recordings, command=f"victor test {spec} --record")
    return OpenSuite(suite, compilation.tests)


def recordings_path(spec: str, compilation: Compilation, folder: str | None = None) -> Path:
    """The file of a spec's recordings: in the folder, else in `recordings` beside the spec, with the spec's `name`."""
    assert compilation.program is not None, "a spec with faults has no tests to run"
    beside = os.path.join(os.path.dirname(spec), FOLDER)
    return Path(beside if folder is None else folder) / f"{compilation.program.name}.jsonl"
