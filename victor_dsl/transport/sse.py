"""Server-sent events: the data of events from bytes that may be cut anywhere (WHATWG HTML, §9.2.6)."""

from __future__ import annotations


class ErrorData(bytes):
    """The data of an event that is named `error`, or of a line `error: …`, which older llama.cpp servers send."""


class Decoder:
    """Reads one stream. Lines may end in LF, CRLF or CR. Comments, ids and event names other than `error` are ignored.

    The data is enough, because both model APIs repeat an event's name in it.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        self._is_error = False
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that this chunk completes."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        if not lines:
            self._rest.append(rest)
            return []
        lines[0] = b"".join([*self._rest, lines[0]])
        self._rest = [rest]
        events: list[bytes] = []
        for line in lines:
            self._add_line(line, events)
        return events

    def finish(self) -> list[bytes]:
        """The data of a last event whose blank line the server left out."""
        events: list[bytes] = []
        self._add_line(b"".join(self._rest), events)
        self._add_line(b"", events)
        self._rest = []
        return events

    def _add_line(self, line: bytes, events: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                data = b"\n".join(self._data)
                events.append(ErrorData(data) if self._is_error else data)
                self._data = []
            self._is_error = False
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif line == b"data":
            self._data.append(b"")
        elif line.startswith(b"event:"):
            self._is_error = line[6:].strip() == b"error"
        elif line.startswith(b"error:"):
            self._is_error = True
            self._data.append(line[6:].removeprefix(b" "))
