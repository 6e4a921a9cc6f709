"""The exporter that sends spans, metrics and logs to an OpenTelemetry collector or back end."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import orjson
from attrs import define, field
from pydantic import Field, field_validator

from victor_dsl.components.event_posts import EventPosts, event_posts
from victor_dsl.components.http_tools import checked_tool_headers, checked_url, secret_headers
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context, Report
from victor_dsl.language.config import ExporterConfig, Secret
from victor_dsl.lazy import Lazy
from victor_dsl.values.event import Event

if TYPE_CHECKING:
    import asyncio

    from victor_dsl.components.exporters.otlp import conventions, logs, metrics, spans, values
else:
    asyncio = Lazy("asyncio")
    conventions = Lazy("victor_dsl.components.exporters.otlp.conventions")
    logs = Lazy("victor_dsl.components.exporters.otlp.logs")
    metrics = Lazy("victor_dsl.components.exporters.otlp.metrics")
    spans = Lazy("victor_dsl.components.exporters.otlp.spans")
    values = Lazy("victor_dsl.components.exporters.otlp.values")

Signal = Literal["traces", "metrics", "logs"]
MOST_REMEMBERED = 100_000
"""How many events are remembered of a batch that some of the signals did not take."""


class Config(ExporterConfig):
    """Sends spans, metrics and logs over OTLP/HTTP, as JSON.

    A turn is a span `invoke_agent`, with spans `chat` for calls of models and `execute_tool` for calls of tools below it. Names
    follow OpenTelemetry's conventions for generative AI at a stated commit (`conventions.py`). Ids of traces and spans follow from
    the events' ids: the trace of a turn is the id of its `turn` event without dashes. Exposures are log events
    `feature_flag.evaluation`, feedback `gen_ai.evaluation.result`, failed calls `gen_ai.client.operation.exception`.

    A receiver that is away is tried again. A batch that is sent again has the same spans; the metrics of a batch whose answer was
    lost may count twice. Events that the receiver refuses (400, or a whole request by `partialSuccess`) become dead letters. Where
    it rejects a part of a request, which part is unknown: this is reported, and not sent again.
    """

    endpoint: str = Field(
        "http://127.0.0.1:4318",
        description="The address that `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended to, as in "
        "`OTEL_EXPORTER_OTLP_ENDPOINT`.",
        examples=["https://otlp.example.com"],
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="More headers for every request, without secrets."
    )
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict,
        description="Headers whose values are secrets.",
        examples=[{"X-Api-Key": "${env:OTLP_KEY}"}],
    )
    bearer_token: Secret | None = Field(None, description="The token for the header `Authorization: Bearer …`.")
    signals: list[Signal] = Field(["traces", "metrics", "logs"], min_length=1, description="What is sent.")
    semconv: Literal["latest", "stable"] = Field(
        "latest",
        description="The names: `latest` those of the conventions' stated commit, such as the counters "
        "`gen_ai.client.inference.usage.input_tokens`; `stable` older ones that more back ends know, such as the histogram "
        "`gen_ai.client.token.usage`.",
    )
    service_name: str = Field("victor", min_length=1, description="The `service.name` of all that is sent.")
    compression: Literal["gzip", "none"] = Field("gzip", description="Whether requests are compressed.")
    timeout_seconds: float = Field(10.0, gt=0, le=60, description="The time limit for one request.")

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_an_address(cls, endpoint: str) -> str:
        return checked_url(endpoint).rstrip("/")

    @field_validator("headers")
    @classmethod
    def _headers_have_no_secrets(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_tool_headers(headers)


EXAMPLE = '{type: otlp, endpoint: "http://127.0.0.1:4318", service_name: shop}'


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[Otlp]:
    """The exporter. Raises SecretError."""
    secrets = secret_headers(config.secret_headers, config.bearer_token, context)
    async with event_posts(config.endpoint, context.node, config.headers, secrets, config.timeout_seconds) as posts:
        yield Otlp(posts, config, context.node, context.report)


@define
class Otlp:
    """Sends each signal by a request of its own. A batch that is passed again is sent only to the signals that did not take it."""

    posts: EventPosts
    config: Config
    node: str
    report: Report
    taken: dict[str, dict[str, None]] = field(factory=dict)
    """The events that a signal took of batches that other signals did not take yet, in the order of taking."""

    async def export(self, events: Sequence[Event]) -> None:
        for signal in self.config.signals:
            taken = self.taken.setdefault(signal, {})
            left = [event for event in events if event.id not in taken]
            count, body, headers = await asyncio.to_thread(_request, signal, left, self.config)
            if count:
                self._check(signal, count, await self.posts.post(body, headers, path=f"/v1/{signal}"))
            taken |= dict.fromkeys(event.id for event in left)
            while len(taken) > MOST_REMEMBERED:
                del taken[next(iter(taken))]
        for taken in self.taken.values():
            for event in events:
                taken.pop(event.id, None)

    def _check(self, signal: str, sent: int, answer: bytes) -> None:
        """Reads what the receiver rejected. Raises StoreError where it was all."""
        rejected, reason = _rejected(answer)
        if rejected >= sent:
            raise StoreError(f"the receiver rejected the {signal}: {reason or 'without a reason'}", node=self.node)
        if rejected:
            message = f"the receiver rejected a part of the {signal}: {reason or 'without a reason'}"
            self.report(message, {"rejected": rejected, "sent": sent})
        elif reason:
            self.report(f"the receiver took the {signal}, and said: {reason}", {})


def _request(signal: str, events: Sequence[Event], config: Config) -> tuple[int, bytes, dict[str, str]]:
    """The number of items, the body and the headers of a request."""
    names = conventions.NAMES[config.semconv]
    user = "user.id" if config.store_user else "user.hash"
    scope = {"name": "victor_dsl"}
    resource = {"attributes": values.attributes({"service.name": config.service_name})}

    def whole(outer: str, inner: str, key: str, items: list[dict[str, Any]]) -> Mapping[str, Any]:
        return {outer: [{"resource": resource, inner: [{"scope": scope, key: items}]}]}

    if signal == "traces":
        items = spans.spans(events, names, user)
        body = whole("resourceSpans", "scopeSpans", "spans", items)
        count = len(items)
    elif signal == "logs":
        items = logs.logs(events, user)
        body = whole("resourceLogs", "scopeLogs", "logRecords", items)
        count = len(items)
    else:
        items = metrics.metrics(events, names)
        body = whole("resourceMetrics", "scopeMetrics", "metrics", items)
        count = sum(len((item.get("sum") or item["histogram"])["dataPoints"]) for item in items)
    headers = {"Content-Type": "application/json"}
    written = orjson.dumps(body)
    if config.compression == "gzip":
        headers["Content-Encoding"] = "gzip"
        written = gzip.compress(written, 5, mtime=0)
    return count, written, headers


def _rejected(answer: bytes) -> tuple[int, str]:
    """How many items the answer says were rejected, and why. An answer that is not OTLP's says nothing."""
    try:
        said = orjson.loads(answer)["partialSuccess"]
        counts = [
            int(said[key]) for key in ("rejectedSpans", "rejectedDataPoints", "rejectedLogRecords") if key in said
        ]
        return max(counts, default=0), str(said.get("errorMessage", ""))[:300]
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, ""
