"""The exporter that shows events in browsers, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Self

from pydantic import Field, model_validator

from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, Secret
from victor_dsl.language.kinds import Exporter

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHORT = 16
"""A token of fewer characters can be guessed; that is said once."""


class Config(ExporterConfig):
    """Serves a dashboard: tokens, calls of each tool, latency, cost, errors, variants side by side and the last turns.

    The page is at `http://HOST:PORT/`, and asks for the token. Events come over a WebSocket at `/ws`, which other programs
    may read as well: with `Authorization: Bearer TOKEN`, or with `{"token": "…"}` as their first message. The history is
    in memory: it begins when the process does. Over the network, put a server that speaks TLS before it, and name the page's
    address in `origins`.
    """

    host: str = Field(
        "127.0.0.1", min_length=1, description="The address to listen on. By default only this machine can look."
    )
    port: int = Field(8765, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    token: Secret = Field(description="Who knows it sees the events of all tenants.", examples=["${env:DASH_TOKEN}"])
    tenant_tokens: Mapping[str, Secret] = Field(
        default_factory=dict,
        description="A token for each tenant that may look for itself: it sees its own events and no others.",
        examples=[{"acme": "${env:ACME_DASH_TOKEN}"}],
    )
    origins: list[str] = Field(
        [],
        description="Where the page may be served from beside this machine: `https://dash.example.com`. Required where "
        "`host` is not an address of this machine alone.",
        examples=[["https://dash.example.com"]],
    )
    history: int = Field(
        1440,
        ge=1,
        le=10_080,
        description="How many minutes of rolled-up history are kept in memory. The default is a day.",
    )
    max_clients: int = Field(100, ge=1, le=10_000, description="How many may look on at once.")
    flush_seconds: float = Field(0.25, gt=0, description="How long an event waits for others to be shown with.")

    @model_validator(mode="after")
    def _known_origins(self) -> Self:
        if self.host not in LOOPBACK and not self.origins:
            raise ValueError("others can reach this host: name the page's address in 'origins'")
        for origin in self.origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ValueError(f"'{origin}' is no origin; write it as https://dash.example.com")
        return self


EXAMPLE = '{type: websocket, port: 8765, token: "${env:DASH_TOKEN}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; its server listens while it is entered."""
    from victor_dsl.components.exporters._dashboard.access import Access
    from victor_dsl.components.exporters._dashboard.hub import EVERYONE, Hub, Scope
    from victor_dsl.components.exporters._dashboard.server import serving

    scopes = {EVERYONE: config.token, **{Scope(tenant): secret for tenant, secret in config.tenant_tokens.items()}}

    def open_access() -> Access:
        tokens = [(context.secret(secret), scope) for scope, secret in scopes.items()]
        if any(len(token) < SHORT for token, _ in tokens):
            context.report(f"a token of the dashboard has fewer than {SHORT} characters", {"code": "short-token"})
        return Access.of(tokens, config.origins, context.clock)

    return serving(
        Hub(scopes, config.history, context.clock),
        open_access,
        host=config.host,
        port=config.port,
        most_clients=config.max_clients,
        node=context.node,
    )
