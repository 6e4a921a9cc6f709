"""What tools behind HTTP share: checked addresses, and headers whose secrets never reach a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.language.http_config import checked_headers, is_header_text

MOST_ADDED = 16
"""How many short-lived secrets, such as tokens, are replaced in texts: the latest ones."""

_RESERVED_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def checked_url(url: str) -> str:
    """An http or https address of a host, without credentials. Raises ValueError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"'{url}' is not an HTTP address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"'{url}' is not an HTTP address: it must start with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise ValueError("an address cannot contain a user and password: write them under `secret_headers`")
    if not url.isprintable() or " " in url or "\\" in url or parts.fragment:
        raise ValueError(f"'{url}' contains a space, a backslash or a '#', which are not allowed in an address")
    return url


def checked_tool_headers(headers: dict[str, str]) -> dict[str, str]:
    """Headers that a request may carry and that contain no secret. Raises ValueError."""
    return checked_headers(headers, key_fields="`secret_headers` or `bearer_token`", reserved=_RESERVED_HEADERS)


def is_text_type(type: str) -> bool:
    """Whether a media type is that of text."""
    return type.startswith("text/") or type.endswith(("json", "xml", "yaml", "javascript", "x-www-form-urlencoded"))


def secret_headers(headers: Mapping[str, Secret], bearer_token: Secret | None, context: Context) -> dict[str, str]:
    """The headers that carry secrets. Raises SecretError, and ComponentError for a text that no header can carry."""
    found = {name: context.secret(secret) for name, secret in headers.items()}
    if bearer_token is not None:
        found["Authorization"] = f"Bearer {context.secret(bearer_token)}"
    for name, value in found.items():
        if not is_header_text(value):
            raise ComponentError(
                f"the secret of the header '{name}' contains characters that are not allowed in a header"
            )
    return found


class Redaction:
    """Replaces secrets in texts, the longest first: one may be a part of another."""

    def __init__(self, secrets: Iterable[str]) -> None:
        tokens = {secret.removeprefix("Bearer ") for secret in secrets}
        self._secrets = sorted(filter(None, tokens), key=len, reverse=True)
        self._added: list[str] = []

    def add(self, secret: str) -> None:
        """Also replaces this one, which was not known before; of those that were added the latest ones."""
        self._added = [secret, *self._added[: MOST_ADDED - 1]]

    def redact(self, text: str) -> str:
        """The text with `***` instead of each secret."""
        for secret in (*self._added, *self._secrets):
            text = text.replace(secret, "***")
        return text
