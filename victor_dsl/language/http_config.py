"""The configuration of components that call an HTTP server, whatever their kind."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

from pydantic import Field, field_validator, model_validator

from victor_dsl.language.annotations import Secret
from victor_dsl.language.config import Model
from victor_dsl.values.faults import Fault, Faulty

_RESERVED_HEADERS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept"})
NAMES_A_KEY = re.compile(r"key|token|secret|passw|signature|credential|auth|^(sig|code)$", re.IGNORECASE)
"""What names of parameters and fields contain that carry a key."""
_ENDPOINT = re.compile(
    r"/(?:chat/completions|completions|responses|messages(?:/count_tokens)?|embeddings|v\d+(?P<models>/models))$"
    r"|(?P<ollama>/api/(?:chat|generate|embed|embeddings|tags|show))$"
)
"""The paths of requests that people copy from the documentation of an API."""
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})


class HttpConfig(Model):
    """The fields of every component that calls an HTTP server.

    `RESERVED_FIELDS` are the fields of a request's body that the component itself sets.
    """

    RESERVED_FIELDS: ClassVar[frozenset[str]] = frozenset()

    base_url: str = Field(description="The address that the API's paths are appended to.")
    api_key: Secret | None = Field(None, description="The API key.")
    api_key_header: str = Field(
        "Authorization",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The header that carries the key: as a bearer token in `Authorization`, unchanged in any other.",
        examples=["api-key"],
    )
    connect_timeout_seconds: float = Field(
        10.0, gt=0, description="The time limit for opening a connection, TLS included."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="More headers for every request. Write keys as `api_key`, which is never logged.",
        examples=[{"OpenAI-Organization": "org-123"}],
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description="The query of every request's address. Write keys as `api_key`: an address is logged by every proxy.",
        examples=[{"api-version": "2025-04-01-preview"}],
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="More fields for the JSON body of every request, for features that only this server has.",
        examples=[{"user": "support"}],
    )
    proxy: str | None = Field(
        None,
        description="The URL of an HTTP proxy to send requests through. The default is no proxy; the environment is ignored.",
    )

    @field_validator("base_url")
    @classmethod
    def _base_url_is_an_address(cls, base_url: str) -> str:
        address, mark, query = base_url.partition("?")
        address, path = without_endpoint(checked_address(address))
        if mark:
            message, hint = "must end with its path; write what follows the '?' as `query`", ""
            names = parse_qsl(query)
            if names and not any(NAMES_A_KEY.search(name) for name, _ in names):
                hint = f" and `query: {{{', '.join(f'{name}: {json.dumps(value)}' for name, value in names)}}}`"
            raise Faulty([Fault((), message, f"write `base_url: {address}`{hint}")])
        if path:
            message = f"must end before '{path}', which is appended to it"
            raise Faulty([Fault((), message, f"write `base_url: {address}`")])
        return address

    @field_validator("headers")
    @classmethod
    def _headers_are_allowed(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_headers(headers)

    @field_validator("query")
    @classmethod
    def _query_is_allowed(cls, query: dict[str, str]) -> dict[str, str]:
        for name, value in query.items():
            if NAMES_A_KEY.search(name):
                raise ValueError(f"the parameter '{name}' carries a key: write it as `api_key`, which keeps it secret")
            if not name or not name.isprintable() or not value.isprintable():
                raise ValueError(f"the parameter '{name}' is empty or contains characters that cannot be printed")
        return query

    @field_validator("extra_body")
    @classmethod
    def _extra_body_replaces_nothing(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(cls.RESERVED_FIELDS & extra.keys()):
            raise ValueError(f"cannot set '{name}', which the component itself sets")
        return extra

    @field_validator("proxy")
    @classmethod
    def _proxy_is_an_address(cls, proxy: str | None) -> str | None:
        return proxy if proxy is None else checked_address(proxy)


class OpenAIServerConfig(HttpConfig):
    """The address and the key of OpenAI, or of another server with one of OpenAI's APIs."""

    base_url: str = Field(
        "https://api.openai.com/v1",
        description="The address that the API's paths are appended to.",
        examples=["http://127.0.0.1:11434/v1"],
    )
    api_key: Secret | None = Field(
        None, description="The API key. A server of your own may need none.", examples=["${env:OPENAI_API_KEY}"]
    )

    @model_validator(mode="after")
    def _openai_needs_a_key(self) -> Self:
        if self.api_key is None and self.base_url.startswith("https://api.openai.com/"):
            raise ValueError("api.openai.com needs an `api_key`; for another server, set `base_url`")
        return self


def without_endpoint(address: str) -> tuple[str, str]:
    """An address without the path of one of its API's requests, and that path."""
    found = _ENDPOINT.search(address)
    if found is None:
        return address, ""
    begin = found.start("models") if found["models"] else found.start()
    return address[:begin] + ("/v1" if found["ollama"] else ""), address[begin:]


def checked_address(address: str) -> str:
    """An http or https address without credentials and query, and without a slash at its end. Raises ValueError."""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in ("http", "https") or not rest.strip("/"):
        raise ValueError(f"'{address}' is not an HTTP address: it must start with http:// or https:// and name a host")
    if "@" in rest.split("/", 1)[0]:
        raise ValueError("an address cannot contain a user and password, because errors show it; use `api_key`")
    if any(c in rest for c in "?#") or not rest.isprintable() or " " in rest:
        raise ValueError(f"'{address}' must end with its path: '?', '#' and spaces are not allowed")
    return address.rstrip("/")


def checked_headers(
    headers: dict[str, str], key_fields: str = "`api_key`", reserved: Collection[str] = _RESERVED_HEADERS
) -> dict[str, str]:
    """The headers, if they contain no key and can be sent. Raises ValueError.

    `key_fields` are the fields for keys, and `reserved` the headers (lower case) that the component itself sets.
    """
    for name, value in headers.items():
        if name.lower() in _KEY_HEADERS:
            raise ValueError(f"the header '{name}' carries a key: write it as {key_fields}, which keeps it secret")
        if name.lower() in reserved:
            raise ValueError(f"the header '{name}' is set for every request and cannot be changed")
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not is_header_text(value):
            raise ValueError(f"the header '{name}' contains characters that are not allowed in a header")
    return headers


def is_header_text(value: str) -> bool:
    """Whether a header can carry the text: Latin-1 without control characters."""
    return all(" " <= c <= "\xff" and c != "\x7f" for c in value)
