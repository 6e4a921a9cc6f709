"""What a spec may write as an address and as headers of requests."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def checked_url(url: str) -> str:
    """An http or https address of a host, without credentials. Raises ValueError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"'{url}' is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"'{url}' is no address: it begins with http:// or https:// and names a host")
    if "@" in parts.netloc:
        raise ValueError("an address cannot hold a user and password: write them under `secret_headers`")
    if not url.isprintable() or " " in url or "\\" in url or parts.fragment:
        raise ValueError(f"'{url}' has what an address cannot hold: a space, a backslash or a '#'")
    return url


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that a request may carry and that hold no secret. Raises ValueError."""
    for name, value in headers.items():
        if name.lower() in _SECRET_HEADERS:
            raise ValueError(f"the header '{name}' holds a secret: write it under `secret_headers`, or `bearer_token`")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header '{name}' is set with every request and cannot be changed")
        if not is_header_name(name) or not is_header_text(value):
            raise ValueError(f"the header '{name}' has characters that a header cannot carry")
    return dict(headers)


def is_header_name(name: str) -> bool:
    """Whether it is a token (RFC 9110, §5.6.2), as far as people use them."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def is_header_text(value: str) -> bool:
    """Whether a header can carry the text: Latin-1 without control characters."""
    return all(" " <= c <= "\xff" and c != "\x7f" for c in value)
