"""The requests of tests, for commands that read request lines: `victor render --input tests/orders.yml`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

import orjson

from victor_dsl.compiler.spec_tests import tests_in
from victor_dsl.errors import UsageError
from victor_dsl.source.reader import Files


def holds_tests(path: str) -> bool:
    """Whether a file of requests is YAML, and so holds tests."""
    return path.lower().endswith((".yml", ".yaml"))


@contextmanager
def request_lines_of(path: str) -> Iterator[BinaryIO]:
    """The requests of the tests in a YAML file, a list of tests or a spec, as a temporary file of request lines.

    The id of a line is the test's name; forced arms are its `arms`. Raises UsageError for a file with faults, or without tests.
    """
    tests, diagnostics = tests_in(path, Files())
    faults = [f"{d.span.file}:{d.span.line}: {d.message}" for d in diagnostics if d.severity == "error"]
    if faults or not tests:
        raise UsageError("\n".join(faults) or f"{path}: the file has no test")
    with NamedTemporaryFile(suffix=".jsonl", buffering=0) as file:
        for one in tests:
            given = one.test.given
            line = {"id": one.test.name, **given.line(), **({"arms": given.arms} if given.arms else {})}
            file.write(orjson.dumps(line) + b"\n")
        file.seek(0)
        yield cast("BinaryIO", file)
