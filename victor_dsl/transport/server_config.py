"""An HTTP server as a spec describes it: its address, key, headers and time limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

_RESERVED_HEADERS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept"})
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})


class ServerConfig(Protocol):
    """The part of a component's Config that the HTTP client reads."""

    @property
    def api_key(self) -> object | None:
        """A reference to the secret key."""
        ...

    @property
    def api_key_header(self) -> str:
        """The header that carries the key."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """The time limit for a whole answer."""
        ...

    @property
    def connect_timeout_seconds(self) -> float:
        """The time limit for opening a connection."""
        ...

    @property
    def chunk_timeout_seconds(self) -> float:
        """The longest silence in a stream."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """More headers for every request."""
        ...

    @property
    def proxy(self) -> str | None:
        """The URL of an HTTP proxy."""
        ...


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
