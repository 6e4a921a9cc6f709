"""Sends events to all connected clients. Each has a bounded queue, so that a slow one does not delay the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field, frozen

from victor_dsl.components.exporters.websocket.history import History
from victor_dsl.language.component import Clock
from victor_dsl.values.event import Event

QUEUE = 64
"""The most messages that wait for one client. Over that the oldest are dropped, and the client is sent their number."""


@frozen
class Scope:
    """The events that a client sees: all, or those of one tenant."""

    tenant: str | None = None


EVERYONE = Scope()


@define(eq=False)
class Client:
    """A connected client and the messages that wait for it."""

    scope: Scope
    waiting: deque[str] = field(factory=deque)
    dropped: int = 0
    has_messages: asyncio.Event = field(factory=asyncio.Event)

    def put(self, message: str) -> None:
        """Adds a message to the queue. Never waits."""
        if len(self.waiting) >= QUEUE:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(message)
        self.has_messages.set()


class Hub:
    """The exporter behind the dashboard: a history for each scope, and the clients.

    Messages are JSON objects with a `type`: `snapshot` has the whole history, `update` what changed, `beat` shows that the
    server is alive, `dropped` how many messages the client missed. All have the delivery status of the exporters.
    """

    def __init__(self, scopes: Iterable[Scope], minutes: int, clock: Clock) -> None:
        self._histories = {scope: History(minutes) for scope in scopes}
        self._clock = clock
        self._clients: set[Client] = set()
        self._statuses: Callable[[], Sequence[Mapping[str, Any]]] | None = None

    def __len__(self) -> int:
        return len(self._clients)

    async def export(self, events: Sequence[Event]) -> None:
        for scope, history in self._histories.items():
            visible = events if scope == EVERYONE else [event for event in events if event.tenant == scope.tenant]
            if visible:
                self._send(scope, "update", history.add(visible, self._clock.now()))

    def watch(self, statuses: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Sets the function that returns the delivery status of all exporters."""
        self._statuses = statuses

    def join(self, scope: Scope) -> Client:
        """A new client; its first message is a snapshot."""
        client = Client(scope)
        client.put(self._snapshot(scope))
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Removes a client."""
        self._clients.discard(client)

    def beat(self) -> None:
        """Sends a `beat` to all clients."""
        for scope in self._histories:
            self._send(scope, "beat", {})

    async def next_messages(self, client: Client) -> list[str]:
        """The client's next messages, once there are some. After dropped messages: their number, and a new snapshot."""
        await client.has_messages.wait()
        client.has_messages.clear()
        messages = list(client.waiting)
        client.waiting.clear()
        if client.dropped:
            gap = self._message("dropped", client.scope, {"count": client.dropped})
            client.dropped = 0
            return [gap, self._snapshot(client.scope)]
        return messages

    def _snapshot(self, scope: Scope) -> str:
        return self._message("snapshot", scope, self._histories[scope].as_json(self._clock.now()))

    def _send(self, scope: Scope, type: str, body: Mapping[str, Any]) -> None:
        clients = [client for client in self._clients if client.scope == scope]
        if clients:
            message = self._message(type, scope, body)
            for client in clients:
                client.put(message)

    def _message(self, type: str, scope: Scope, body: Mapping[str, Any]) -> str:
        # The delivery status covers the events of all tenants, so a single tenant does not see it.
        statuses = self._statuses() if self._statuses and scope == EVERYONE else []
        about = {"type": type, "now": self._clock.now(), "tenant": scope.tenant, "exporters": statuses, **body}
        try:
            return orjson.dumps(about).decode()
        except TypeError:  # a lone surrogate in a name
            return orjson.dumps(_encodable(about)).decode()


def _encodable(value: Any) -> Any:
    """The value with lone surrogates replaced by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    return [_encodable(inner) for inner in value] if isinstance(value, list | tuple) else value
