"""Hands events to everyone who looks on, each with a bounded queue: who does not read holds up nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field, frozen

from victor_dsl.components.exporters._dashboard.history import History
from victor_dsl.language.component import Clock
from victor_dsl.values.event import Event

QUEUE = 64
"""How many messages wait for one client at most; over that the oldest are dropped, and it is told how many."""


@frozen
class Scope:
    """Whose events may be seen: everyone's, or those of one tenant."""

    tenant: str | None = None


EVERYONE = Scope()


@define(eq=False)
class Client:
    """One who looks on."""

    scope: Scope
    waiting: deque[str] = field(factory=deque)
    dropped: int = 0
    some: asyncio.Event = field(factory=asyncio.Event)

    def put(self, message: str) -> None:
        """Takes a message to be sent. Never waits."""
        if len(self.waiting) >= QUEUE:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(message)
        self.some.set()


class Hub:
    """The exporter behind the dashboard: a history for each scope that a token opens, and the clients.

    Messages are JSON objects with a `type`: `snapshot` has everything, `update` what changed, `beat` says that the
    server lives and how delivery to the exporters stands, `dropped` how many messages the client did not take.
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
            seen = events if scope == EVERYONE else [event for event in events if event.tenant == scope.tenant]
            if seen:
                self._tell(scope, "update", history.add(seen, self._clock.now()))

    def watch(self, statuses: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Takes what tells how the delivery to all exporters stands."""
        self._statuses = statuses

    def join(self, scope: Scope) -> Client:
        """A new client; what it is sent first is everything so far."""
        client = Client(scope)
        client.put(self._snapshot(scope))
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Forgets a client."""
        self._clients.discard(client)

    def beat(self) -> None:
        """Tells everyone that the server lives."""
        for scope in self._histories:
            self._tell(scope, "beat", {})

    async def next_messages(self, client: Client) -> list[str]:
        """What the client is to be sent next. After a gap: how large it is, and everything anew."""
        await client.some.wait()
        client.some.clear()
        messages = list(client.waiting)
        client.waiting.clear()
        if client.dropped:
            gap = self._message("dropped", client.scope, {"count": client.dropped})
            client.dropped = 0
            return [gap, self._snapshot(client.scope)]
        return messages

    def _snapshot(self, scope: Scope) -> str:
        return self._message("snapshot", scope, self._histories[scope].as_json(self._clock.now()))

    def _tell(self, scope: Scope, type: str, body: Mapping[str, Any]) -> None:
        clients = [client for client in self._clients if client.scope == scope]
        if clients:
            message = self._message(type, scope, body)
            for client in clients:
                client.put(message)

    def _message(self, type: str, scope: Scope, body: Mapping[str, Any]) -> str:
        # How delivery stands is about everybody's events, and so no tenant's to see.
        statuses = self._statuses() if self._statuses and scope == EVERYONE else []
        about = {"type": type, "now": self._clock.now(), "tenant": scope.tenant, "exporters": statuses, **body}
        try:
            return orjson.dumps(about).decode()
        except TypeError:  # a lone surrogate in a name
            return orjson.dumps(_told(about)).decode()


def _told(value: Any) -> Any:
    """The value with U+FFFD for lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_told(key): _told(inner) for key, inner in value.items()}
    return [_told(inner) for inner in value] if isinstance(value, list | tuple) else value
