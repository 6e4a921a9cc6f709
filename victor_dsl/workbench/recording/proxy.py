"""A proxy on loopback between an application and a model's API: bytes pass as they come, and requests are recorded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from attrs import define, field
from multidict import CIMultiDict
from yarl import URL

from victor_dsl.storage.line_file import LineFile
from victor_dsl.values.traffic import MOST_LINE_BYTES, TrafficWriter
from victor_dsl.workbench.recording.answers import AnswerReader
from victor_dsl.workbench.recording.recorder import Exchange, Recorder
from victor_dsl.workbench.recording.requests import READERS

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade", "host", "expect"),
    }
)
"""Headers of one connection (RFC 9110, §7.6.1), and those that aiohttp writes itself."""
ADDED_BY_CLIENTS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
"""What aiohttp would add to requests that lack it."""
MOST_HEADER_BYTES = 1 << 16
"""The longest line of a request's or an answer's head."""
_SILENT = logging.getLogger(f"{__name__}.aiohttp")
_SILENT.disabled = True
"""aiohttp would log requests that are not HTTP, with what they contain."""
CONNECT_SECONDS = 30.0
GRACE_SECONDS = 5.0
"""How long requests under way may continue when the proxy ends."""


@asynccontextmanager
async def recording(
    upstream: URL, port: int, file: LineFile, writer: TrafficWriter, warn: Callable[[str], None]
) -> AsyncIterator[tuple[int, Recorder]]:
    """Serves on 127.0.0.1, at the port that it yields, and ends when all is written. Raises OSError for a port in use."""
    recorder = Recorder(file, writer, warn)
    writing = asyncio.create_task(recorder.run(), name="recorded requests")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            auto_decompress=False,
            skip_auto_headers=ADDED_BY_CLIENTS,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
        ) as session:
            proxy = Proxy(upstream, session, recorder, warn)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", proxy.pass_on)
            app.on_response_prepare.append(_without_own_headers)
            runner = web.AppRunner(
                app,
                access_log=None,
                logger=_SILENT,
                auto_decompress=False,
                handler_cancellation=True,
                shutdown_timeout=GRACE_SECONDS / 2,  # aiohttp waits so long twice
                max_line_size=MOST_HEADER_BYTES,
                max_field_size=MOST_HEADER_BYTES,
            )
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", port)
                await site.start()
                yield runner.addresses[0][1], recorder
            finally:
                proxy.ending = True
                await runner.cleanup()
    finally:
        recorder.close()
        await writing
        file.close()


@define(eq=False)
class Proxy:
    """Passes each request on to the upstream, whose path is put before the request's."""

    upstream: URL
    session: aiohttp.ClientSession
    recorder: Recorder
    warn: Callable[[str], None]
    ending: bool = False
    _warned: set[str] = field(factory=set)

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """The upstream's answer, byte for byte."""
        started, now = time.monotonic(), time.time()
        copy = _Copy(self.recorder, _api(request))
        seen: dict[str, Any] = {}
        try:
            return await self._exchange(request, copy, seen)
        except asyncio.CancelledError:
            seen.setdefault("error", "the recording ended" if self.ending else "the client went away")
            raise
        finally:
            latency_ms = round((time.monotonic() - started) * 1000, 3)
            copy.record(request, now, {**_reported(seen), "latency_ms": latency_ms})

    async def _exchange(self, request: web.Request, copy: _Copy, seen: dict[str, Any]) -> web.StreamResponse:
        if "upgrade" in request.headers.get("Connection", "").lower() or not request.raw_path.startswith("/"):
            return _refusal(501, "only plain HTTP requests pass; WebSockets do not")
        body = copy.passing(request) if request.body_exists else None
        response: web.StreamResponse | None = None
        try:
            async with self.session.request(
                request.method,
                self._target(request.raw_path),
                headers=_end_to_end(request.headers),
                data=body,
                allow_redirects=False,
            ) as answer:
                seen["status"] = answer.status
                response = _Passed(status=answer.status, reason=answer.reason, headers=_end_to_end(answer.headers))
                reader = seen["reader"] = AnswerReader(
                    answer.headers.get("Content-Type", ""), answer.headers.get("Content-Encoding", "").lower()
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                    if copy.api is not None:
                        reader.feed(chunk)
                await response.write_eof()
                return response
        except (aiohttp.ClientConnectionResetError, ConnectionResetError):
            if request.transport is None or request.transport.is_closing():
                seen["error"] = "the client went away"
                return response or web.Response(status=499)
            return self._broken(request, response, seen, "the connection was reset")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._broken(request, response, seen, str(error) or type(error).__name__)

    def _broken(
        self, request: web.Request, response: web.StreamResponse | None, seen: dict[str, Any], why: str
    ) -> web.StreamResponse:
        """Ends the client's connection where an answer has begun, so that it does not look whole; else an error."""
        message = f"{self.upstream} did not answer: {why}" if response is None else f"{self.upstream} broke off: {why}"
        if message not in self._warned and len(self._warned) < 100:
            self._warned.add(message)
            self.warn(message)
        if response is None or not response.prepared:
            return _refusal(502, message)
        seen["error"] = "the upstream broke off"
        if request.transport is not None:
            request.transport.close()
        return response

    def _target(self, path: str) -> URL:
        """The address of a path at the upstream. A `/v1` that both have counts once."""
        base = str(self.upstream).rstrip("/")
        if path.startswith("/v1/"):
            base = base.removesuffix("/v1")
        return URL(base + path, encoded=True)


class _Copy:
    """The body of one request, collected while it passes, if it is one to record and not too long."""

    def __init__(self, recorder: Recorder, api: str | None) -> None:
        self.api = api
        self._recorder = recorder
        self._pieces: list[bytes] = []
        self._size = 0
        self._fault: str | None = None

    async def passing(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body's pieces as they come."""
        async for piece in request.content.iter_any():
            if self.api is not None and self._fault is None:
                self._add(piece)
            yield piece

    def record(self, request: web.Request, now: float, recorded: Mapping[str, Any]) -> None:
        """Passes the request to the recorder if it was answered, or began to be."""
        if self.api is None:
            return
        status = recorded.get("status")
        if self._fault is not None:
            self._recorder.skip(self._fault)
        elif status is None:
            self._recorder.skip("not answered")
        elif not 200 <= status < 300:
            self._recorder.skip(f"answered with status {status}")
        else:
            encoding = request.headers.get("Content-Encoding", "").lower()
            exchange = Exchange(self.api, b"".join(self._pieces), encoding, now, recorded)
            self._pieces = []
            self._recorder.put(exchange)
            return
        self._drop()

    def _add(self, piece: bytes) -> None:
        if self._size + len(piece) > MOST_LINE_BYTES:
            self._fault = "too long"
        elif not self._recorder.hold(len(piece)):
            self._fault = "too many at once"
        else:
            self._pieces.append(piece)
            self._size += len(piece)
            return
        self._drop()

    def _drop(self) -> None:
        self._recorder.release(self._size)
        self._pieces, self._size = [], 0


def _api(request: web.Request) -> str | None:
    """Which of the recorded APIs a request is for; None for all others, which pass."""
    if request.method != "POST":
        return None
    path = request.path.rstrip("/")
    return next((end for end in READERS if path.endswith(end)), None)


def _reported(seen: Mapping[str, Any]) -> dict[str, Any]:
    reader = seen.get("reader")
    reported = reader.recorded() if isinstance(reader, AnswerReader) else {}
    return {**reported, **{key: value for key, value in seen.items() if key != "reader"}}


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers without those of the connection."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP and name.lower() not in named
    )


class _Passed(web.StreamResponse):
    """An answer with the headers of the upstream's, also where these name no type of content."""

    def __init__(self, *, headers: CIMultiDict[str], **fields: Any) -> None:
        super().__init__(headers=headers, **fields)
        self.has_type = "Content-Type" in headers


async def _without_own_headers(_: web.Request, response: web.StreamResponse) -> None:
    if response.headers.get("Server") == SERVER_SOFTWARE:
        del response.headers["Server"]
    if isinstance(response, _Passed) and not response.has_type:
        response.headers.popall("Content-Type", None)


def _refusal(status: int, message: str) -> web.Response:
    error = {"message": f"victor record: {message}", "type": "victor_record"}
    return web.json_response({"type": "error", "error": error}, status=status)
