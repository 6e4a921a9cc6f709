"""The dashboard's server: the page, signing in, and the WebSocket with the events."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError
from attrs import field, frozen

from victor_dsl.components.exporters.websocket.access import Access, TooManyWrongTokens
from victor_dsl.components.exporters.websocket.hub import Client, Hub, Scope
from victor_dsl.errors import ComponentError
from victor_dsl.values.event import Event

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
LARGEST_BODY = 4096
"""The most bytes that a client may send; it sends nothing but a token."""
TOKEN_SECONDS = 5.0
"""Time limit for the token of a socket that was opened without one."""
WAITING_SOCKETS = 20
"""How many sockets may wait for their token. Over that, the one that waited longest is closed."""
SEND_SECONDS = 30.0
"""Time limit for sending one message."""
BEAT_SECONDS = 5.0
PING_SECONDS = 20.0
CLOSING_SECONDS = 2.0

UNAUTHORIZED = 4401
TOO_MANY = 4429

http_logger = logging.getLogger("victor_dsl.dashboard")
BAD_REQUEST = (HttpProcessingError, web.RequestPayloadError)
"""What aiohttp raises for a request that is not HTTP, has a line that is too long, or a body that cannot be decoded."""


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """False for what aiohttp logs of a bad request: the record would quote it."""
    return not (record.exc_info and isinstance(record.exc_info[1], BAD_REQUEST))


http_logger.addFilter(_is_no_bad_request)


@frozen(eq=False)
class Dashboard:
    """The live exporter, whose page is at `url`."""

    hub: Hub
    url: str

    async def export(self, events: Sequence[Event]) -> None:
        await self.hub.export(events)

    def watch(self, statuses: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Shows the delivery status of all exporters."""
        self.hub.watch(statuses)


@asynccontextmanager
async def serving(
    hub: Hub, open_access: Callable[[], Access], *, host: str, port: int, most_clients: int, node: str
) -> AsyncIterator[Dashboard]:
    """The dashboard, while its server runs. Raises ComponentError if the port is in use, and what `open_access` raises."""
    access = open_access()
    routes = _Routes(hub, access, await asyncio.to_thread(_read_page), most_clients)
    runner = web.AppRunner(
        routes.app(), access_log=None, handle_signals=False, shutdown_timeout=CLOSING_SECONDS, logger=http_logger
    )
    await runner.setup()
    assert runner.server is not None
    runner.server.request_factory = partial(_Request, loop=asyncio.get_running_loop(), client_max_size=LARGEST_BODY)
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            hint = None
            if error.errno == errno.EADDRINUSE:
                hint = "another run of this spec may have it; end that, or write another `port` (0 takes a free one)"
            raise ComponentError(f"cannot listen on {host}:{port}: {reason}", node=node, hint=hint) from error
        bound = runner.addresses[0][1]
        access.allow_this_machine(bound)
        url = f"http://{f'[{host}]' if ':' in host else host}:{bound}/"
        http_logger.info("%s: the dashboard is at %s", node, url)
        beating = asyncio.create_task(_beat(hub), name="beat of the dashboard")
        try:
            yield Dashboard(hub, url)
        finally:
            beating.cancel()
            await asyncio.wait([beating])
    finally:
        await runner.cleanup()


async def _beat(hub: Hub) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        hub.beat()


def _read_page() -> dict[str, tuple[bytes, str]]:
    """The page's files with their types. Only these files are served."""
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in PAGE.iterdir() if path.suffix in TYPES}


@frozen(eq=False)
class _Routes:
    """The routes. Browsers send Origin with sockets and with changing requests; it must be an allowed one."""

    hub: Hub
    access: Access
    files: Mapping[str, tuple[bytes, str]]
    most_clients: int
    clients: set[web.WebSocketResponse] = field(factory=set)
    waiting: dict[web.WebSocketResponse, asyncio.Transport | None] = field(factory=dict)
    """Sockets without a token, oldest first. They do not count as clients, so that strangers cannot fill `max_clients`."""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self.page),
                web.get("/page/{name}", self.page),
                web.get("/session", self.session),
                web.post("/session", self.sign_in),
                web.delete("/session", self.sign_out),
                web.get("/ws", self.socket),
            ]
        )
        app.on_shutdown.append(self.close_sockets)
        return app

    async def page(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info.get("name", "index.html"))
        if found is None:
            raise web.HTTPNotFound
        body, type = found
        return web.Response(body=body, content_type=type, charset="utf-8")

    async def session(self, request: web.Request) -> web.Response:
        scope = self.access.session(request.cookies, _cookie(request))
        return web.json_response({"signed_in": scope is not None, "tenant": scope.tenant if scope else None})

    async def sign_in(self, request: web.Request) -> web.Response:
        self._check_origin(request, browser=True)
        try:
            token = orjson.loads(await request.read())["token"]
        except (ValueError, KeyError, TypeError, *BAD_REQUEST) as error:
            raise web.HTTPBadRequest from error
        scope = await self._scope(token)
        response = web.json_response({"tenant": scope.tenant})
        response.set_cookie(
            _cookie(request),
            self.access.open_session(scope),
            httponly=True,
            samesite="Strict",
            secure=request.headers.get("Origin", "").startswith("https:"),
            path="/",
        )
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        self._check_origin(request, browser=True)
        self.access.close_session(request.cookies, _cookie(request))
        response = web.Response(status=204)
        response.del_cookie(_cookie(request), path="/")
        return response

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """The stream of messages, for clients with a session, an `Authorization: Bearer`, or `{"token": …}` as first message."""
        self._check_origin(request, browser=False)
        scope = self.access.session(request.cookies, _cookie(request)) if "Origin" in request.headers else None
        if scope is None and "Authorization" in request.headers:
            scheme, _, token = request.headers["Authorization"].partition(" ")
            scope = await self._scope(token.strip() if scheme.lower() == "bearer" else "")
        if scope is not None and len(self.clients) >= self.most_clients:
            raise web.HTTPServiceUnavailable(text="too many clients")
        socket = web.WebSocketResponse(
            heartbeat=PING_SECONDS, timeout=CLOSING_SECONDS, max_msg_size=LARGEST_BODY, compress=False
        )
        if scope is not None:
            self.clients.add(socket)
        else:
            self._let_wait(socket, request)
        try:
            await socket.prepare(request)
            scope = scope or await self._read_token(socket)
            if scope is not None:
                await self._serve(socket, scope)
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSING_SECONDS):
                        reason = b"clients must not send messages, and must read fast enough"
                        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
        finally:
            self.clients.discard(socket)
            self.waiting.pop(socket, None)
            if request.transport is not None and socket.prepared:
                request.transport.abort()  # closing would wait for a client that does not read
        return socket

    async def close_sockets(self, app: web.Application) -> None:
        code, reason = WSCloseCode.GOING_AWAY, b"the dashboard is closed"
        closing = (
            socket.close(code=code, message=reason, drain=False)
            for socket in (*self.clients, *self.waiting)
            if socket.prepared
        )
        await asyncio.gather(*closing, return_exceptions=True)

    def _let_wait(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        if len(self.waiting) >= WAITING_SOCKETS:
            transport = self.waiting.pop(next(iter(self.waiting)))
            if transport is not None:
                transport.abort()
        self.waiting[socket] = request.transport

    async def _read_token(self, socket: web.WebSocketResponse) -> Scope | None:
        """The scope of the token in the socket's first message; the socket is closed if there is no valid one, or no room."""
        code, reason = UNAUTHORIZED, b"the token is wrong or missing"
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                message = await socket.receive()
            self.waiting.pop(socket, None)
            if message.type is WSMsgType.TEXT:
                scope = await self.access.scope_of(str(orjson.loads(message.data)["token"]))
                if scope is not None and len(self.clients) < self.most_clients:
                    self.clients.add(socket)
                    return scope
                if scope is not None:
                    code, reason = WSCloseCode.TRY_AGAIN_LATER, b"too many clients"
        except TooManyWrongTokens:
            code, reason = TOO_MANY, b"too many wrong tokens; try again"
        except (TimeoutError, ValueError, KeyError, TypeError):
            pass  # the message is not a token
        await socket.close(code=code, message=reason)
        return None

    async def _serve(self, socket: web.WebSocketResponse, scope: Scope) -> None:
        """Sends messages until the client closes the socket, sends anything, or is too slow."""
        client = self.hub.join(scope)
        tasks = [
            asyncio.create_task(_send(self.hub, socket, client), name="messages to a client"),
            asyncio.create_task(socket.receive(), name="message from a client"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.hub.leave(client)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _scope(self, token: object) -> Scope:
        try:
            scope = await self.access.scope_of(str(token))
        except TooManyWrongTokens as error:
            raise web.HTTPTooManyRequests(text="too many wrong tokens; try again") from error
        if scope is None:
            raise web.HTTPUnauthorized(text="the token is wrong")
        return scope

    def _check_origin(self, request: web.Request, *, browser: bool) -> None:
        if not self.access.allows(request.headers.get("Origin"), browser=browser):
            raise web.HTTPForbidden(text="this origin is not allowed; add it to `origins`")


async def _send(hub: Hub, socket: web.WebSocketResponse, client: Client) -> None:
    """Sends the client its messages. Raises TimeoutError if it is too slow, ConnectionError if it has gone."""
    while True:
        for message in await hub.next_messages(client):
            async with asyncio.timeout(SEND_SECONDS):
                await socket.send_str(message)


class _Request(web.Request):
    """A request whose answer has this server's headers, also where it is not HTTP and aiohttp answers by itself."""

    async def _prepare_hook(self, resp: web.StreamResponse) -> None:
        await super()._prepare_hook(resp)
        resp.headers.update(HEADERS)
        resp.headers.pop("Server", None)  # names the versions of Python and aiohttp


def _cookie(request: web.Request) -> str:
    """The cookie's name, with the port: browsers share cookies between the ports of a host, but dashboards must not."""
    port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
    return f"victor_dashboard_{port}"
