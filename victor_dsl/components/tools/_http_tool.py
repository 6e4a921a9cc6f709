"""One request to one host as a tool: bounded while it is read, led to no other host, and told without secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from yarl import URL

from victor_dsl.components.tools._headers import is_header_text
from victor_dsl.components.tools._http_request import Request, filled
from victor_dsl.components.tools._parameters import faults
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.values.message import ToolCall
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.tools.http import Config

MOST_REDIRECTS = 5
ERROR_CHARACTERS = 500
CUT = "\n[cut: the answer is longer]"
BYTES_PER_CHARACTER = 4
"""At most, in UTF-8: so much is read of a result of which the model is told so many characters."""


@asynccontextmanager
async def http_tool(config: Config, context: Context) -> AsyncIterator[HttpTool]:
    """The tool, with its connections and its secrets. Raises SecretError and ComponentError."""
    secrets = {name: context.secret(secret) for name, secret in config.secret_headers.items()}
    hidden = list(secrets.values())
    if config.bearer_token is not None:
        hidden.append(context.secret(config.bearer_token))
        secrets["Authorization"] = f"Bearer {hidden[-1]}"
    for name, value in secrets.items():
        if not is_header_text(value):
            raise ComponentError(f"the secret of the header '{name}' has characters that a header cannot carry")
    timeout = aiohttp.ClientTimeout(total=config.timeout_seconds)
    # Nothing is taken up from the environment (a proxy, a .netrc), and no cookie is kept from one call to the next.
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield HttpTool(config, context, session, secrets, tuple(hidden))


class HttpTool:
    """One request, offered under the node's name."""

    def __init__(
        self,
        config: Config,
        context: Context,
        session: aiohttp.ClientSession,
        secrets: Mapping[str, str],
        hidden: tuple[str, ...],
    ) -> None:
        self._config = config
        self._session = session
        self._headers = {
            "User-Agent": "victor_dsl",
            "Accept": "application/json, text/*;q=0.9",
            "Accept-Encoding": "identity",
        }
        self._headers |= config.headers
        self._secrets = secrets
        self._hidden = sorted(filter(None, hidden), key=len, reverse=True)
        self._host = URL(config.url.replace("{", "(").replace("}", ")")).origin()
        self._most_bytes = config.max_result_tokens * CHARACTERS_PER_TOKEN * BYTES_PER_CHARACTER
        self._schema = config.json_schema()
        self._tools = (
            Tool(
                name=config.name or "http",
                description=config.description,
                parameters=self._schema,
                cost=config.cost,
                cost_usd=config.cost_usd,
                domain=config.domain,
                source=context.node,
            ),
        )

    async def tools(self) -> Sequence[Tool]:
        return self._tools

    async def call(self, call: ToolCall, turn: Turn) -> str:
        request = filled(self._config.method, self._config.url, self._config.body, self._arguments(call.arguments))
        try:
            return await self._answer(request)
        except TimeoutError as error:
            raise ToolError(f"{self._host.host} gave no answer within {self._config.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            told = self._without_secrets(str(error) or type(error).__name__)[:ERROR_CHARACTERS]
            # aiohttp keeps the request's headers, and so its secrets, on some of its errors: they may not be chained.
            raise ToolError(f"the request to {self._host.host} failed: {told}") from None

    def _arguments(self, text: str) -> dict[str, Any]:
        try:
            arguments = orjson.loads(text or "{}")
        except orjson.JSONDecodeError as error:
            raise ToolError(f"arguments are not JSON: {error}") from error
        if not isinstance(arguments, dict):
            raise ToolError("arguments must be a JSON object")
        if found := faults(arguments, self._schema):
            raise ToolError("; ".join(found))
        for name, schema in self._schema["properties"].items():
            if name not in arguments and isinstance(schema, dict) and "default" in schema:
                arguments[name] = schema["default"]
        return arguments

    async def _answer(self, request: Request) -> str:
        url, method, body = URL(request.url, encoded=True), request.method, request.body
        for _ in range(MOST_REDIRECTS + 1):
            headers = {**self._headers, **(self._secrets if url.origin() == self._host else {})}
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                try:
                    if response.status not in {301, 302, 303, 307, 308}:
                        return await self._result(response)
                    url = self._next(response)
                    if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                        method, body = "GET", None
                finally:
                    if not response.content.at_eof():
                        response.close()  # what was not read is not worth its time
        raise ToolError(f"{self._host.host} redirects more than {MOST_REDIRECTS} times")

    def _next(self, response: aiohttp.ClientResponse) -> URL:
        """Where a redirect leads. Raises ToolError for another host, unless the spec allows it."""
        try:
            target = response.url.join(URL(response.headers.get("Location", ""), encoded=True))
            origin = target.origin()
        except ValueError as error:
            raise ToolError(f"{self._host.host} redirects to what is no address") from error
        if origin != self._host and (target.host not in self._config.allow_hosts or target.scheme != "https"):
            raise ToolError(f"{self._host.host} redirects to {origin}, where this tool may not go")
        return target

    async def _result(self, response: aiohttp.ClientResponse) -> str:
        body, whole = await self._read(response)
        type = response.content_type
        if "Content-Type" in response.headers and not _is_text(type):
            size = f"{len(body):,} bytes" if whole else f"more than {len(body):,} bytes"
            text = f"[{type}, {size}; it cannot be shown as text]"
        else:
            text = self._without_secrets(_decoded(body, response.charset))
            if not whole:
                text = text[: self._config.max_result_tokens * CHARACTERS_PER_TOKEN - len(CUT)] + CUT
        if not 200 <= response.status < 300:
            raise ToolError(f"HTTP {response.status} {response.reason or ''}: {text[:ERROR_CHARACTERS]}".rstrip(": "))
        return text

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """As much of the body as the model may be told, and whether that is all."""
        body = bytearray()
        async for chunk in response.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > self._most_bytes:
                return bytes(body[: self._most_bytes]), False
        return bytes(body), True

    def _without_secrets(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text


def _is_text(type: str) -> bool:
    return type.startswith("text/") or type.endswith(("json", "xml", "yaml", "javascript", "x-www-form-urlencoded"))


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")
