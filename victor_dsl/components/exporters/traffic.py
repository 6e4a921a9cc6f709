"""The exporter that writes what turns were asked as request lines, for `victor plan` and `victor render`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from pydantic import Field

from victor_dsl.components.event_lines import line_exporter
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, FilePath
from victor_dsl.language.kinds import Exporter
from victor_dsl.storage.file_value import reason
from victor_dsl.storage.line_file import LineFile
from victor_dsl.storage.local_key import local_key
from victor_dsl.storage.permissions import EXPOSED, exposure
from victor_dsl.values.event import Contents, Event, rfc3339
from victor_dsl.values.rendezvous import uniform
from victor_dsl.values.traffic import MOST_LINE_BYTES, TrafficWriter, tool_to_json

KEY_FILE = "pseudonyms.key"
USAGE = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd")


class Config(ExporterConfig):
    """Appends a request line for each turn, which `victor plan --traffic`, `victor render --input` and `victor run --input` read.

    A line has the whole conversation as `messages`, so that rendering it gives what the turn had, and beside it `timestamp` and
    `recorded`: model, usage, latency, arms. Turns that were refused before they had a conversation have no line, nor have keys of
    callers and HTTP headers. The file is readable by its owner only, and several processes may append to it. A line that cannot be
    written for `retry_seconds` is lost: dead letters have no contents.
    """

    path: Annotated[str, FilePath()] = Field(
        description="The file, relative to the spec. Missing folders are created.", examples=[".victor/traffic.jsonl"]
    )
    sample: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The share of sessions that are recorded. A session is recorded whole or not at all, in every process alike.",
    )
    redact: bool = Field(
        True,
        description="Whether e-mail addresses, phone numbers, card numbers and IBANs are replaced by their kind, such as "
        "`[email]`, as by the middleware `redact`, and ids of sessions and users that contain one by pseudonyms. Keys are always replaced.",
    )
    max_mb: int = Field(
        1024,
        ge=1,
        description="The maximum size in MiB, together with an older file. A file that reaches half of it is renamed to `PATH.1`, "
        "in place of the older one.",
    )

    def wants_contents(self) -> bool:
        """Its lines are made of them."""
        return True


EXAMPLE = "{type: traffic, path: .victor/traffic.jsonl, sample: 0.1}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; entering it opens the file."""
    return line_exporter(Traffic(config, context), context.node)


class Traffic:
    """A file of request lines."""

    def __init__(self, config: Config, context: Context) -> None:
        self._context = context
        self._path = config.path
        self._shown = context.shown(config.path)
        self._sample = config.sample
        self._redact = config.redact
        self._most_bytes = config.max_mb << 19
        self._file = LineFile(config.path, most_bytes=self._most_bytes)
        self._writer: TrafficWriter | None = None

    def open(self) -> None:
        self._do(self._open)

    def write(self, events: Sequence[Event]) -> None:
        lines = [
            (event.id, self._line(event, event.contents))
            for event in events
            if event.contents is not None and event.contents.conversation and self._is_sampled(event)
        ]
        longest = max((len(line) for _, line in lines), default=0)
        if longest > min(self._most_bytes, MOST_LINE_BYTES):  # it is put aside, and the others are written
            raise StoreError(f"a line of {longest:,} bytes is too long", node=self._context.node)
        self._do(lambda: self._append(lines))

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        self._file.open()
        self._writer = TrafficWriter(local_key(self._context.state / KEY_FILE), personal_data=not self._redact)
        if problem := exposure(Path(self._path), self._shown, private=True):
            self._context.report(problem, {"code": EXPOSED})

    def _append(self, lines: Sequence[tuple[str, bytes]]) -> None:
        """Appends in pieces of which each fits a file."""
        piece: list[tuple[str, bytes]] = []
        size = 0
        for id, line in lines:
            if size + len(line) > self._most_bytes:
                self._file.append(piece)
                piece, size = [], 0
            piece.append((id, line))
            size += len(line)
        self._file.append(piece)

    def _is_sampled(self, event: Event) -> bool:
        return self._sample == 1 or uniform(f"traffic\0{event.tenant or ''}\0{event.session}") < self._sample

    def _line(self, event: Event, contents: Contents) -> bytes:
        assert self._writer is not None, "opened before it writes"
        request, data = contents.request, event.data
        fields = {
            "id": event.id,
            "timestamp": rfc3339(event.timestamp),
            "session": event.session,
            "tenant": event.tenant,
            "user": contents.user,
            "vars": dict(request.vars),
            "inputs": dict(request.inputs),
            "settings": dict(request.settings),
            "tools": [tool_to_json(tool) for tool in request.tools],
            "recorded": {
                "model": data["model"],
                "usage": {name: data[name] for name in USAGE},
                "latency_ms": data["latency_ms"],
                "stop_reason": data["stop_reason"],
                "plan": event.plan,
                "variants": dict(event.variants),
            },
        }
        return self._writer.line(fields, contents.conversation)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            message = f"cannot write '{self._shown}': {reason(error)}"
            raise StoreError(message, node=self._context.node, transient=True) from error
