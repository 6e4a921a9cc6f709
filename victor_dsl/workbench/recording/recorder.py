"""Writes request lines of what passed the proxy, in a thread, without delaying anything."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from attrs import frozen

from victor_dsl.errors import RequestError
from victor_dsl.storage.file_value import reason
from victor_dsl.storage.line_file import LineFile
from victor_dsl.transport.json_values import is_shallow
from victor_dsl.values.codec import MAX_DEPTH, json_faults
from victor_dsl.values.event import rfc3339, uuid7
from victor_dsl.values.traffic import MOST_LINE_BYTES, TrafficWriter
from victor_dsl.workbench.recording.requests import READERS, Asked
from victor_dsl.workbench.recording.sessions import Sessions

MOST_HELD = 256 << 20
"""The most bytes of bodies in memory; what comes beyond that passes and is not recorded."""


@frozen
class Exchange:
    """A request that passed: the end of its path among `READERS`, its body and the body's encoding, its time in Unix seconds,
    and what was recorded of the answer."""

    api: str
    body: bytes
    encoding: str
    time: float
    recorded: Mapping[str, Any]


class Recorder:
    """Takes exchanges at once, and writes their lines in order. `skipped` counts what was not recorded, by its reason.

    `warn` gets each fault of writing, once.
    """

    def __init__(self, file: LineFile, writer: TrafficWriter, warn: Callable[[str], None]) -> None:
        self.recorded = 0
        self.skipped: Counter[str] = Counter()
        self.held = 0
        self._file = file
        self._writer = writer
        self._warn = warn
        self._warned: set[str] = set()
        self._sessions = Sessions()
        self._waiting: deque[Exchange] = deque()
        self._some = asyncio.Event()
        self._closed = False

    def hold(self, size: int) -> bool:
        """Reserves memory for a piece of a body; False where there is none left."""
        if self.held + size > MOST_HELD:
            return False
        self.held += size
        return True

    def release(self, size: int) -> None:
        """Gives reserved memory back."""
        self.held -= size

    def put(self, exchange: Exchange) -> None:
        """Takes an exchange, whose body was reserved."""
        self._waiting.append(exchange)
        self._some.set()

    def skip(self, why: str) -> None:
        """Counts a request that is not recorded."""
        self.skipped[why] += 1

    def close(self) -> None:
        """Lets `run` end when all is written."""
        self._closed = True
        self._some.set()

    async def run(self) -> None:
        """Writes until it is closed and all is written."""
        while True:
            await self._some.wait()
            while self._waiting:
                exchange = self._waiting.popleft()
                try:
                    await asyncio.to_thread(self._write, exchange)
                    self.recorded += 1
                except RequestError as error:
                    self.skip(error.message)
                except OSError as error:
                    self.skip("the file could not be written")
                    self._warn_once(f"the file cannot be written: {reason(error)}")
                except Exception as error:  # noqa: BLE001 - one request that cannot be read must not end the recording
                    self.skip(f"internal error: {type(error).__name__}")
                finally:
                    self.release(len(exchange.body))
            self._some.clear()
            if self._closed:
                return

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message)

    def _write(self, exchange: Exchange) -> None:
        id = uuid7(exchange.time)
        asked = _read(exchange)
        recorded = {"api": exchange.api, **exchange.recorded}
        if recorded.get("model") is None:
            recorded["model"] = asked.model
        if asked.left_out:
            recorded["left_out"] = asked.left_out
        fields = {
            "id": id,
            "timestamp": rfc3339(exchange.time),
            "session": self._sessions.session(asked.user, asked.messages),
            "user": asked.user,
            "settings": asked.settings,
            "tools": asked.tools,
            "recorded": recorded,
        }
        line = self._writer.line(fields, asked.messages)
        if len(line) > MOST_LINE_BYTES:
            raise RequestError("too long")
        self._file.append([(id, line)])


def _read(exchange: Exchange) -> Asked:
    """What the exchange's request asks. Raises RequestError, without what it contains."""
    text = exchange.body
    if exchange.encoding in ("gzip", "deflate"):
        inflate = zlib.decompressobj(47)
        try:
            text = inflate.decompress(text, MOST_LINE_BYTES)
        except zlib.error as error:
            raise RequestError("its body is damaged") from error
        if inflate.unconsumed_tail:
            raise RequestError("too long")
    elif exchange.encoding not in ("", "identity"):
        raise RequestError(f"its body is encoded as {exchange.encoding[:20]}")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError("its body is not JSON") from error
    if not isinstance(body, dict):
        raise RequestError("its body is not a JSON object")
    if not is_shallow(body, MAX_DEPTH) or any(json_faults(body, ())):
        raise RequestError("its body nests too deeply")
    return READERS[exchange.api](body)
