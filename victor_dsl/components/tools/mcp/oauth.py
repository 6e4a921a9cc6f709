"""Access tokens by OAuth's client credentials (RFC 6749, 4.4): fetched when needed, and once more where the server refuses one."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx2

from victor_dsl.components.http_tools import Redaction
from victor_dsl.components.tools.mcp.config import ClientCredentials
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Clock
from victor_dsl.language.http_config import is_header_text

Send = Callable[[httpx2.Request], Awaitable[httpx2.Response]]

EARLY_SECONDS = 30.0
"""A token is replaced so long before it expires."""

MOST_CHARACTERS = 300

NOT_AUTHORIZED = "no access token"


class TokenSource:
    """The tokens for one server, shared by all its connections. Each is kept out of all texts by `redaction`."""

    def __init__(self, config: ClientCredentials, secret: str, url: str, clock: Clock, redaction: Redaction) -> None:
        self._config = config
        self._secret = secret
        self._url = url
        self._clock = clock
        self._redaction = redaction
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._expires = float("inf")
        self._endpoint = config.token_url

    async def token(self, send: Send, refused: str | None = None) -> str:
        """A token that is valid and is not the one that the server has just refused. Raises ComponentError."""
        async with self._lock:
            if self._token is None or self._token == refused or self._clock.monotonic() >= self._expires:
                self._token = None
                self._token = await self._fetch(send)
            return self._token

    async def _fetch(self, send: Send) -> str:
        if self._endpoint is None:
            self._endpoint = await self._discover(send)
        form = {"grant_type": "client_credentials", "resource": self._url}
        if self._config.scope is not None:
            form["scope"] = self._config.scope
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._config.credentials_in == "header":
            pair = f"{quote_plus(self._config.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._config.client_id, "client_secret": self._secret}
        found = await self._json(send, httpx2.Request("POST", self._endpoint, content=urlencode(form), headers=headers))
        token, seconds = found.get("access_token"), found.get("expires_in")
        if not isinstance(token, str) or not token or not is_header_text(token):
            raise self._failure("its answer has no `access_token`")
        self._expires = float("inf")
        if isinstance(seconds, int | float):
            self._expires = self._clock.monotonic() + max(seconds - EARLY_SECONDS, seconds / 2)
        self._redaction.add(token)
        return token

    async def _discover(self, send: Send) -> str:
        """The token endpoint that the issuer's metadata names (RFC 8414)."""
        issuer = self._config.issuer or ""
        parts = urlsplit(issuer)
        address = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
        found = await self._json(send, httpx2.Request("GET", address, headers={"Accept": "application/json"}))
        endpoint = found.get("token_endpoint")
        if str(found.get("issuer")).rstrip("/") != issuer.rstrip("/") or not isinstance(endpoint, str):
            raise self._failure("its metadata is not that of the `issuer`, or has no `token_endpoint`")
        if urlsplit(endpoint).scheme not in ("https", parts.scheme):
            raise self._failure("its `token_endpoint` is not an address with https")
        return endpoint

    async def _json(self, send: Send, request: httpx2.Request) -> dict[str, Any]:
        try:
            response = await send(request)
            body = await response.aread()
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self._failure(str(error) or type(error).__name__) from None
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        answer = found if isinstance(found, dict) else {}
        if response.status_code != 200:
            words = [str(answer[key]) for key in ("error", "error_description") if answer.get(key)]
            raise self._failure(f"HTTP {response.status_code} {': '.join(words)}".rstrip())
        return answer

    def _failure(self, reason: str) -> ComponentError:
        host = urlsplit(self._endpoint or self._config.issuer or "").hostname
        text = self._redaction.redact("".join(c if c.isprintable() else " " for c in reason))[:MOST_CHARACTERS]
        return ComponentError(f"{NOT_AUTHORIZED} from {host}: {text}; check `auth`")
