"""One HTTP request as a tool: its answer is bounded, it is led to no other host, and its secrets are in no text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from victor_dsl.components.http_tools import Redaction, is_text_type, secret_headers
from victor_dsl.components.tools.http.config import Config
from victor_dsl.components.tools.http.parameters import Arguments
from victor_dsl.components.tools.http.request import Request, filled
from victor_dsl.errors import ToolError
from victor_dsl.language.component import Context
from victor_dsl.values.images import MOST_IMAGE_BYTES, bytes_note, image_part
from victor_dsl.values.message import Content, ToolCall
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})

BYTES_PER_CHARACTER = 4
"""At most, in UTF-8. What is read of an answer is always longer than what the model may see of it, so that the cut shows."""

HEADERS = {
    "User-Agent": "victor_dsl",
    "Accept": "application/json, text/*;q=0.9, image/*;q=0.1",
    "Accept-Encoding": "identity",  # so that the bytes that are counted are those of the text
}


@asynccontextmanager
async def http_tool(config: Config, context: Context) -> AsyncIterator[HttpTool]:
    """The tool, with its connections and its secrets. Raises SecretError and ComponentError."""
    secrets = secret_headers(config.secret_headers, config.bearer_token, context)
    schema = config.json_schema()
    arguments = Arguments(schema)
    tool = config.tool(config.name or "http", config.description, schema, context.node)
    # The runtime limits the time of a call. Proxies and .netrc of the environment are not used, and no cookie is stored.
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield HttpTool(config, tool, arguments, session, secrets)


class HttpTool:
    """One request, offered under the item's name."""

    def __init__(
        self,
        config: Config,
        tool: Tool,
        arguments: Arguments,
        session: aiohttp.ClientSession,
        secrets: Mapping[str, str],
    ) -> None:
        self._config = config
        self.fixed_tools = (tool,)
        self._arguments = arguments
        self._session = session
        self._headers = HEADERS | config.headers
        self._secrets = secrets
        self._redaction = Redaction(secrets.values())
        self._host = URL(config.url.replace("{", "(").replace("}", ")")).origin()
        self._most_bytes = (config.max_result_tokens * CHARACTERS_PER_TOKEN + 1) * BYTES_PER_CHARACTER

    async def tools(self) -> Sequence[Tool]:
        return self.fixed_tools

    async def call(self, call: ToolCall, turn: Turn) -> Content:
        arguments = self._arguments.read(call.arguments)
        request = filled(self._config.method, self._config.url, self._config.body, arguments)
        try:
            return await self._answer(request)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = self._redaction.redact(str(error) or type(error).__name__)
            # Not chained: some errors of aiohttp hold the request's headers, and so its secrets.
            raise ToolError(f"the request to {self._host.host} failed: {reason}") from None

    async def _answer(self, request: Request) -> Content:
        url, method, body = URL(request.url, encoded=True), request.method, request.body
        for _ in range(MOST_REDIRECTS + 1):
            headers = {**self._headers, **(self._secrets if url.origin() == self._host else {})}
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                try:
                    if response.status not in REDIRECTS:
                        return await self._result(response)
                    url = self._next(response)
                    if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                        method, body = "GET", None
                finally:
                    if not response.content.at_eof():
                        response.close()  # reading the rest, to use the connection again, may take for ever
        raise ToolError(f"{self._host.host} redirects more than {MOST_REDIRECTS} times")

    def _next(self, response: aiohttp.ClientResponse) -> URL:
        """Where a redirect leads. Raises ToolError for another host, unless the spec allows it."""
        try:
            target = response.url.join(URL(response.headers.get("Location", ""), encoded=True))
            origin = target.origin()
        except ValueError as error:
            raise ToolError(f"{self._host.host} redirects to something that is not an address") from error
        if origin != self._host and (target.host not in self._config.allow_hosts or target.scheme != "https"):
            raise ToolError(f"{self._host.host} redirects to {origin}, which is not in `allow_hosts`")
        return target

    async def _result(self, response: aiohttp.ClientResponse) -> Content:
        is_ok = 200 <= response.status < 300
        is_image = is_ok and response.content_type.startswith("image/")
        body, is_whole = await self._read(response, MOST_IMAGE_BYTES if is_image else self._most_bytes)
        if "Content-Type" in response.headers and not is_text_type(response.content_type):
            if is_ok and is_whole and (image := image_part(body)) is not None:
                return (image,)
            text = bytes_note(body, response.content_type)
            if not is_whole:
                text = f"[{response.content_type}, more than {len(body):,} bytes; it cannot be shown]"
        else:
            text = self._redaction.redact(_decoded(body, response.charset))
        if not is_ok:
            raise ToolError(f"HTTP {response.status} {response.reason or ''}: {text}".rstrip(": "))
        return text

    async def _read(self, response: aiohttp.ClientResponse, most_bytes: int) -> tuple[bytes, bool]:
        """The body, or as much of it as is allowed; and whether that is all."""
        body = bytearray()
        async for chunk in response.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > most_bytes:
                return bytes(body[:most_bytes]), False
        return bytes(body), True


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")
