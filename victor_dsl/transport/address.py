"""What a spec may say of an HTTP server: its address and the headers of its requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

_OWN_HEADERS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept"})
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})


class ServerConfig(Protocol):
    """What a Config says of how a server is asked."""

    @property
    def timeout_seconds(self) -> float:
        """How long a whole answer may take."""
        ...

    @property
    def connect_timeout_seconds(self) -> float:
        """How long a connection may take to open."""
        ...

    @property
    def chunk_timeout_seconds(self) -> float:
        """How long a stream may be silent."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of every request."""
        ...

    @property
    def proxy(self) -> str | None:
        """The URL of an HTTP proxy."""
        ...


def checked_address(address: str) -> str:
    """An http or https address without credentials and query, its last slash cut. Raises ValueError."""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in ("http", "https") or not rest.strip("/"):
        raise ValueError(f"'{address}' is no address: it begins with http:// or https:// and names a host")
    if "@" in rest.split("/", 1)[0]:
        raise ValueError("an address cannot hold a user and password: they would be shown in errors; use `api_key`")
    if any(c in rest for c in "?#") or not rest.isprintable() or " " in rest:
        raise ValueError(f"'{address}' ends with the path: no '?', '#' or space can stand in it")
    return address.rstrip("/")


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers that hold no key and can be sent. Raises ValueError."""
    for name, value in headers.items():
        if name.lower() in _KEY_HEADERS:
            raise ValueError(f"the header '{name}' holds a key: write it as `api_key`, where it is kept secret")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header '{name}' is set with every request and cannot be changed")
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not is_header_text(value):
            raise ValueError(f"the header '{name}' has characters that a header cannot carry")
    return headers


def is_header_text(value: str) -> bool:
    """Whether a header can carry the text: Latin-1 without control characters."""
    return all(" " <= c <= "\xff" and c != "\x7f" for c in value)
