"""Posts batches of events over HTTP, and tells what the receiver refuses from what may pass by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from victor_dsl.components.http_tools import Redaction
from victor_dsl.errors import StoreError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import aiohttp
else:
    aiohttp = Lazy("aiohttp")

REFUSALS = frozenset({400, 413, 415, 422})
"""The statuses that are about the events sent. All others are about the receiver, which may be mended: the events are kept."""
MOST_READ = 64 * 1024
"""How many bytes of an answer are read."""
MOST_QUOTED = 300


class EventPosts:
    """Posts to one address. Secrets in `headers` are removed from messages."""

    def __init__(self, session: aiohttp.ClientSession, url: str, node: str, secrets: Redaction) -> None:
        self._session = session
        self._url = url
        self._node = node
        self._secrets = secrets

    async def post(self, body: bytes, headers: Mapping[str, str], *, path: str = "") -> bytes:
        """Posts a body; returns the answer's. Raises StoreError, transient unless the receiver refuses these events."""
        url = self._url + path
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.content.read(MOST_READ)
        except TimeoutError as error:
            raise StoreError(f"{self._url}: no answer in time", node=self._node, transient=True) from error
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise StoreError(f"cannot reach {self._url}: {reason}", node=self._node, transient=True) from error
        if 200 <= answer.status < 300:
            return text
        said = self._secrets.redact(" ".join(text[:MOST_QUOTED].decode("utf-8", "replace").split()))
        message = f"{url} answered {answer.status}{f': {said}' if said else ''}"
        raise StoreError(message, node=self._node, transient=answer.status not in REFUSALS)


@asynccontextmanager
async def event_posts(
    url: str, node: str, headers: Mapping[str, str], secret_headers: Mapping[str, str], timeout_seconds: float
) -> AsyncIterator[EventPosts]:
    """Posts with these headers to an address; each ends within the time limit."""
    limit = aiohttp.ClientTimeout(total=timeout_seconds)
    all_headers = {"User-Agent": "victor_dsl", **headers, **secret_headers}
    async with aiohttp.ClientSession(
        headers=all_headers, timeout=limit, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield EventPosts(session, url, node, Redaction(secret_headers.values()))
