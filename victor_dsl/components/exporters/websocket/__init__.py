"""The exporter that shows events live in a web page, the dashboard."""

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
"""A token with fewer characters can be guessed, and is reported."""


class Config(ExporterConfig):
    """Serves a live dashboard: tokens, tool calls, latency, cost, errors, variants side by side and the last turns.

    The page is at `http://HOST:PORT/`, and asks for the token. Its events come from a WebSocket at `/ws`. Other programs
    can read it too, with `Authorization: Bearer TOKEN`, or with `{"token": "…"}` as their first message. The history is in
    memory and starts with the process. On a network, put a TLS proxy in front of it, and list the page's address in
    `origins`.
    """

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="The address to listen on. By default it can be reached from this machine only.",
    )
    port: int = Field(8765, ge=0, le=65535, description="The port to listen on; 0 chooses a free one.")
    token: Secret = Field(description="The token that shows the events of all tenants.", examples=["${env:DASH_TOKEN}"])
    tenant_tokens: Mapping[str, Secret] = Field(
        default_factory=dict,
        description="A token for each tenant that may use the dashboard; it shows only that tenant's events.",
        examples=[{"acme": "${env:ACME_DASH_TOKEN}"}],
    )
    origins: list[str] = Field(
        [],
        description="Further addresses under which browsers open the page: `https://dash.example.com`. Required if `host` "
        "can be reached from other machines.",
        examples=[["https://dash.example.com"]],
    )
    history: int = Field(
        1440,
        ge=1,
        le=10_080,
        description="The length of the aggregated history in minutes. It is in memory. The default is a day.",
    )
    max_clients: int = Field(100, ge=1, le=10_000, description="The largest number of clients at a time.")
    flush_seconds: float = Field(
        0.25, gt=0, description="How long an event waits for others, so that they are sent together."
    )

    @model_validator(mode="after")
    def _check_origins(self) -> Self:
        if self.host not in LOOPBACK and not self.origins:
            raise ValueError("this host can be reached from other machines: set the page's address in 'origins'")
        for origin in self.origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ValueError(f"'{origin}' is not an origin; write it as https://dash.example.com")
        return self


EXAMPLE = '{type: websocket, port: 8765, token: "${env:DASH_TOKEN}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; its server runs while it is entered."""
    from victor_dsl.components.exporters.websocket.access import Access
    from victor_dsl.components.exporters.websocket.hub import EVERYONE, Hub, Scope
    from victor_dsl.components.exporters.websocket.server import serving

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
