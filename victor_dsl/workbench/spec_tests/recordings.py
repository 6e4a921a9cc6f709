"""Recordings: what models and tools answered to a test, so that it runs again without them.

A recording is a file of JSON Lines beside the spec. A line is one call, of a model or of a tool, in the order of the tests:

    {"test": "it knows its orders", "call": 1, "request": {"model": "main", …}, "response": {"message": {…}, …}}
    {"test": "it knows its orders", "call": 2, "tool": "lookup_order", "id": "call_1", "arguments": "{…}", "result": "…"}

`spec`, the last key, tells specs of one name apart: each reads its own lines, and leaves those of other specs that exist as they are.
`repeat` is there from a test's second repeat on. Requests are what the model component gets, without keys, and without
what looks like one in a text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field

from victor_dsl.errors import EXIT_SPEC, VictorError
from victor_dsl.regular_file import read_regular
from victor_dsl.workbench.spec_tests.tape import Asking, Record, Tape, played

FOLDER = "recordings"
MOST_BYTES = 256 << 20
"""The largest recording that is read."""

Key = tuple[str, int]
"""A test's name and the number of its repeat, from 1."""


class BadRecording(VictorError):
    """A file of recordings cannot be read."""

    code = "bad-recording"
    exit_code = EXIT_SPEC


@define
class Recordings:
    """The recordings of a spec's tests. `used` are those that a test of this run needed, `new` those that it recorded.

    `spec` is the spec's file, and `names` are its tests; `others` are the lines of other specs. `moved` are recordings of tests
    that are gone, each with the test of another name that asks the same.
    """

    path: Path
    spec: str = ""
    names: frozenset[str] = frozenset()
    records: dict[Key, list[Record]] = field(factory=dict)
    used: set[Key] = field(factory=set)
    new: dict[Key, list[Record]] = field(factory=dict)
    others: list[str] = field(factory=list)
    moved: dict[Key, Key] = field(factory=dict)

    @classmethod
    def read(cls, path: Path, spec: str = "", names: Iterable[str] = ()) -> Recordings:
        """The recordings of a file, none where there is no such file. Raises BadRecording at the line at fault."""
        own = cls(path, spec, frozenset(names))
        try:
            data, _ = read_regular(str(path), MOST_BYTES)
        except FileNotFoundError:
            return own
        except OSError as error:
            raise BadRecording(f"cannot read '{path}': {error.strerror or error}") from error
        if len(data) > MOST_BYTES:
            raise BadRecording(f"'{path}' has more than {MOST_BYTES:,} bytes")
        for number, text in enumerate(data.split(b"\n"), start=1):
            if text.strip():
                key, record, of = _read(text, f"{path}:{number}")
                if of not in (None, own.written_spec) and (path.parent / str(of)).is_file():
                    own.others.append(text.decode() + "\n")
                else:
                    own.records.setdefault(key, []).append(record)
        return own

    @property
    def written_spec(self) -> str | None:
        """The spec as lines name it: relative to the folder of recordings."""
        if not self.spec:
            return None
        return os.path.relpath(os.path.realpath(self.spec), os.path.realpath(self.path.parent)).replace(
            os.path.sep, "/"
        )

    def tape(self, key: Key, asking: Asking) -> Tape:
        """What plays and records the calls of one run of a test."""
        self.used.add(key)
        if asking.always:
            return Tape((), asking)
        calls = tuple(self.records.get(key, ()))
        return Tape(calls, asking, elsewhere=None if calls else partial(self._of_a_renamed_test, key))

    def _of_a_renamed_test(self, key: Key, request: Any) -> Sequence[Record]:
        """The recording of a test that is gone and asked the same; none where there are several."""
        found = [
            other
            for other, calls in self.records.items()
            if other[0] not in self.names and other[1] == key[1] and other not in self.moved and _asks(calls, request)
        ]
        if not self.names or len(found) != 1:
            return ()
        self.moved[found[0]] = key
        return self.records[found[0]]

    def keep(self, key: Key, calls: Sequence[Record]) -> None:
        """Records the calls of a run that came to its end."""
        if calls:
            self.new[key] = list(calls)

    def unused(self, names: set[str]) -> list[Key]:
        """Recordings that no test needs. `names` are the tests that were run; those of others that exist are needed."""
        return [key for key in self.records if key not in {*self.used, *self.moved} and key[0] in names]

    def write(self, names: Sequence[str], *, unneeded: Sequence[Key]) -> bool:
        """Writes the file, in the order of the tests; whether anything changed. What others wrote meanwhile stays."""
        now = Recordings.read(self.path, self.spec)
        gone = {*unneeded, *(old for old, key in self.moved.items() if key in self.new)}
        kept = {key: calls for key, calls in {**now.records, **self.new}.items() if key not in gone}
        order = {name: place for place, name in enumerate(names)}
        lines = [
            _line(self.written_spec, key, number, call)
            for key in sorted(kept, key=lambda key: (order.get(key[0], len(order)), key))
            for number, call in enumerate(kept[key], start=1)
        ]
        text = "".join([*lines, *now.others])
        before = self.path.read_text("utf-8") if self.path.exists() else ""
        if text == before:
            return False
        if not text:
            self.path.unlink()
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path)
        return True


def _asks(calls: Sequence[Record], request: Any) -> bool:
    """Whether a recording begins with the request."""
    return next((call["request"] == request for call in calls if "request" in call), False)


def _read(text: bytes, place: str) -> tuple[Key, Record, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "resolve the conflict, or delete the file and record anew with --record"
        raise BadRecording(f"{place}: not JSON", hint=hint) from error
    repeat = record.get("repeat", 1) if _is_call(record) else None
    if not isinstance(repeat, int):
        raise BadRecording(f"{place}: not the record of a call", hint="delete the line, and record anew with --record")
    call = {k: v for k, v in record.items() if k not in ("spec", "test", "repeat", "call")}
    return (record["test"], repeat), call, record.get("spec")


def _is_call(record: Any) -> bool:
    """Whether a line has what its answer is played from."""
    if not isinstance(record, dict) or not isinstance(record.get("test"), str):
        return False
    if not isinstance(record.get("latency_ms", 0.0), int | float):
        return False
    if "tool" in record:
        texts = all(isinstance(record.get(key), str) for key in ("tool", "id", "arguments"))
        return texts and isinstance(record["error"] if "error" in record else record.get("result"), str | list)
    if not isinstance(record.get("request"), dict):
        return False
    if "error" in record:
        return isinstance(record["error"], dict)
    try:
        played(record)
    except (AttributeError, KeyError, TypeError, ValueError, VictorError):
        return False
    return True


def _line(spec: str | None, key: Key, number: int, call: Record) -> str:
    name, repeat = key
    of = {"spec": spec} if spec is not None else {}
    about: dict[str, Any] = {"test": name, **({"repeat": repeat} if repeat > 1 else {}), "call": number}
    return json.dumps({**about, **call, **of}, ensure_ascii=False) + "\n"
