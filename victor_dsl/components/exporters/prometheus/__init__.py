"""The exporter that shows totals to Prometheus."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import frozen
from pydantic import Field

from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, Secret
from victor_dsl.lazy import Lazy
from victor_dsl.values.event import Event

if TYPE_CHECKING:
    from aiohttp import web

    from victor_dsl.components.exporters.prometheus.totals import Totals
else:
    web = Lazy("aiohttp.web")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CLOSING_SECONDS = 2.0


class Config(ExporterConfig):
    """Shows totals of turns, calls, tokens, costs and errors at `http://HOST:PORT/metrics`, in Prometheus's text format.

    Totals begin with the process, as Prometheus expects of counters. A family has at most 1,000 sets of labels; further ones are
    counted as `other`. `outcome` keeps turns that a rule refused apart from those that failed.
    """

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="The address to listen on. By default it can be reached from this machine only.",
    )
    port: int = Field(9464, ge=0, le=65535, description="The port to listen on; 0 chooses a free one.")
    token: Secret | None = Field(
        None,
        description="The token that Prometheus must send (`authorization` in its scrape configuration). By default it needs none.",
        examples=["${env:METRICS_TOKEN}"],
    )
    most_tenants: int = Field(
        0,
        ge=0,
        le=1_000,
        description="How many tenants have their own turns and costs, by the label `tenant`; further ones are `other`. By default "
        "there is no such label.",
    )


EXAMPLE = "{type: prometheus, port: 9464}"


@frozen(eq=False)
class Prometheus:
    """Totals of the events; `url` shows them."""

    totals: Totals
    url: str

    async def export(self, events: Sequence[Event]) -> None:
        self.totals.add(events)

    def text(self) -> str:
        """The totals in Prometheus's text format."""
        return self.totals.text()


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[Prometheus]:
    """The exporter, while its server runs. Raises SecretError, and ComponentError if it cannot listen."""
    from victor_dsl.components.exporters.prometheus.totals import Totals

    totals = Totals(config.most_tenants)
    expected = None if config.token is None else _digest(f"Bearer {context.secret(config.token)}")

    async def metrics(request: web.Request) -> web.Response:
        given = _digest(request.headers.get("Authorization", ""))
        if expected is not None and not hmac.compare_digest(expected, given):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return web.Response(body=totals.text().encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSING_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, config.host, config.port).start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            hint = None
            if error.errno == errno.EADDRINUSE:
                hint = "another run of this spec may have it; end that, or write another `port` (0 takes a free one)"
            message = f"cannot listen on {config.host}:{config.port}: {reason}"
            raise ComponentError(message, node=context.node, hint=hint) from error
        shown = f"[{config.host}]" if ":" in config.host else config.host
        yield Prometheus(totals, f"http://{shown}:{runner.addresses[0][1]}/metrics")
    finally:
        await runner.cleanup()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
