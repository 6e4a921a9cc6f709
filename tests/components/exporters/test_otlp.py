"""What is sent is OTLP, as Protobuf's own reader of the official messages takes it: names, units, types and nesting."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.components.context import Surroundings, surroundings
from victor_dsl.components.exporters import otlp
from victor_dsl.errors import StoreError
from victor_dsl.language.config import Secret
from victor_dsl.runtime.coordinators.analytics import event_ids
from victor_dsl.runtime.delivery.storing import store
from victor_dsl.values.event import Event, uuid7

TIME = 1_700_000_000.5
TURN = uuid7(TIME)
MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cached_tokens": 60,
    "cache_write_tokens": 30,
    "reasoning_tokens": 5,
    "cost_usd": 0.25,
}


def event(type: Any, number: int = 0, *, turn: str = TURN, session: str | None = "s1", **data: Any) -> Event:
    id = event_ids(turn)(type, number)
    return Event(id, type, TIME, session, "acme", "shop", "digest1", {"tone": "warm"}, data, "user-hash")


def turn(outcome: str = "answered", error: str | None = None, **more: Any) -> Event:
    data = {"latency_ms": 2000.0, **USAGE, "model": "main", "stop_reason": "stop", "outcome": outcome, "error": error}
    return event("turn", **{**data, "values": None, "tools": None, **more})


def model_call(number: int = 0, error: str | None = None, **more: Any) -> Event:
    about = {"model": "main", "provider": "openai", "request_model": "gpt-9", "latency_ms": 640.0, "ttft_ms": 320.0}
    ended = {"response_model": "gpt-9-0101", "stop_reason": "stop", **USAGE} if error is None else {}
    return event("model_call", number, **{**about, **ended, "error": error, **more})


def tool_call(error: str | None = None) -> Event:
    return event("tool_call", tool="lookup", source="python", ok=error is None, error=error, latency_ms=10.0)


@define
class Receiver:
    """What was posted to each path, read strictly; `answer` gives a status and a body for a path and a message."""

    url: str = ""
    answer: Callable[[str, Any], tuple[int, Any]] = lambda _path, _message: (200, {})
    posted: list[tuple[str, Any, dict[str, str]]] = field(factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has undone the compression
        message = MESSAGES[request.path]()
        json_format.ParseDict(_with_base64(json.loads(body)), message)
        self.posted.append((request.path, message, dict(request.headers)))
        status, answer = self.answer(request.path, message)
        return web.json_response(answer, status=status)

    def spans(self) -> list[Any]:
        return [
            span
            for path, message, _ in self.posted
            if path == "/v1/traces"
            for span in message.resource_spans[0].scope_spans[0].spans
        ]

    def logs(self) -> list[Any]:
        return [
            record
            for path, message, _ in self.posted
            if path == "/v1/logs"
            for record in message.resource_logs[0].scope_logs[0].log_records
        ]

    def metrics(self) -> dict[str, Any]:
        return {
            metric.name: metric
            for path, message, _ in self.posted
            if path == "/v1/metrics"
            for metric in message.resource_metrics[0].scope_metrics[0].metrics
        }


def _with_base64(value: Any) -> Any:
    """OTLP's JSON has ids in hexadecimal, where Protobuf's JSON has bytes in base64."""
    if isinstance(value, list):
        return [_with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else _with_base64(one)
        for key, one in value.items()
    }


def plain(attributes: Any) -> dict[str, Any]:
    def of(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return [of(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)

    return {one.key: of(one.value) for one in attributes}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application(client_max_size=1 << 26)
    for path in MESSAGES:
        app.router.add_post(path, made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def exporter_to(url: str, around: Surroundings | Path, **config: Any) -> AsyncIterator[otlp.Otlp]:
    made = otlp.Config.model_validate({"endpoint": url, **config})
    if isinstance(around, Path):
        around = surroundings(around, "exporters/otlp", environment={"KEY": "secret-key"})
    async with otlp.build(made, around.context) as exporter:
        yield exporter


async def test_a_turn_is_a_trace_of_its_calls(receiver: Receiver, tmp_path: Path) -> None:
    async with exporter_to(receiver.url, tmp_path, signals=["traces"], service_name="shop-api") as exporter:
        await exporter.export([model_call(), tool_call(), model_call(1), turn()])
    ((_, message, headers),) = receiver.posted
    assert plain(message.resource_spans[0].resource.attributes) == {"service.name": "shop-api"}
    assert headers["Content-Encoding"] == "gzip"
    first, tool, second, root = receiver.spans()
    assert {span.trace_id.hex() for span in (first, tool, second, root)} == {turn().id.replace("-", "")}
    assert root.parent_span_id == b""
    assert {span.parent_span_id for span in (first, tool, second)} == {root.span_id}
    assert len({span.span_id for span in (first, tool, second, root)}) == 4
    assert [(span.name, span.kind) for span in (first, tool, root)] == [
        ("chat gpt-9", 3),
        ("execute_tool lookup", 1),
        ("invoke_agent shop", 1),
    ]
    assert (root.end_time_unix_nano - root.start_time_unix_nano, root.end_time_unix_nano) == (
        2_000_000_000,
        1_700_000_000_500_000_000,
    )
    about = plain(first.attributes)
    assert about == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-9",
        "gen_ai.response.model": "gpt-9-0101",
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.32,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_write.input_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.conversation.id": "s1",
        "gen_ai.agent.name": "shop",
        "gen_ai.prompt.name": "shop",
        "gen_ai.prompt.version": "digest1",
        "victor.model": "main",
        "victor.cost_usd": 0.25,
        "victor.tenant": "acme",
        "victor.arm.tone": "warm",
        "user.hash": "user-hash",
    }


async def test_a_batch_that_is_sent_again_has_the_same_spans(receiver: Receiver, tmp_path: Path) -> None:
    async with exporter_to(receiver.url, tmp_path, signals=["traces"], compression="none") as exporter:
        await exporter.export([model_call(), turn()])
        await exporter.export([model_call(), turn()])
    assert "Content-Encoding" not in receiver.posted[0][2]
    assert receiver.posted[0][1] == receiver.posted[1][1]


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [("answered", 0, None), ("refused", 0, None), ("cancelled", 0, None), ("failed", 2, "x"), ("interrupted", 2, "x")],
)
async def test_only_failures_are_errors(
    outcome: str, status: int, kind: str | None, receiver: Receiver, tmp_path: Path
) -> None:
    error = None if outcome == "answered" else "x"
    async with exporter_to(receiver.url, tmp_path) as exporter:
        await exporter.export([turn(outcome, error)])
    (span,) = receiver.spans()
    about = plain(span.attributes)
    assert (span.status.code, about.get("error.type"), about["victor.outcome"]) == (status, kind, outcome)
    (point,) = receiver.metrics()["gen_ai.invoke_agent.duration"].histogram.data_points
    assert plain(point.attributes).get("error.type") == kind


async def test_metrics_have_the_names_units_and_buckets_of_the_conventions(receiver: Receiver, tmp_path: Path) -> None:
    async with exporter_to(receiver.url, tmp_path) as exporter:
        await exporter.export([model_call(), model_call(1), tool_call("timeout"), turn()])
    metrics = receiver.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "gen_ai.client.inference.duration": "s",
        "gen_ai.client.inference.time_to_first_chunk": "s",
        "gen_ai.client.inference.usage.input_tokens": "{token}",
        "gen_ai.client.inference.usage.output_tokens": "{token}",
        "gen_ai.client.inference.usage.cache_read.input_tokens": "{token}",
        "gen_ai.client.inference.usage.cache_write.input_tokens": "{token}",
        "gen_ai.client.inference.usage.reasoning.output_tokens": "{token}",
        "gen_ai.client.inference.operation.input_tokens": "{token}",
        "gen_ai.client.inference.operation.output_tokens": "{token}",
        "gen_ai.invoke_agent.duration": "s",
        "gen_ai.execute_tool.duration": "s",
        "victor.turns": "{turn}",
        "victor.cost": "{USD}",
    }
    counter = metrics["gen_ai.client.inference.usage.input_tokens"].sum
    assert (counter.aggregation_temporality, counter.is_monotonic) == (1, True)
    assert [point.as_int for point in counter.data_points] == [200]
    assert plain(counter.data_points[0].attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-9",
        "gen_ai.response.model": "gpt-9-0101",
        "gen_ai.token.modality": "unknown",
    }
    (point,) = metrics["gen_ai.client.inference.duration"].histogram.data_points
    assert (point.count, point.sum, point.min, point.max) == (2, pytest.approx(1.28), 0.64, 0.64)
    assert list(point.explicit_bounds) == [0.01 * 2**power for power in range(14)]
    assert [count for count in point.bucket_counts if count] == [2]
    assert list(point.bucket_counts).index(2) == list(point.explicit_bounds).index(0.64)
    assert metrics["victor.cost"].sum.data_points[0].as_double == 0.5
    (tool,) = metrics["gen_ai.execute_tool.duration"].histogram.data_points
    assert plain(tool.attributes)["error.type"] == "timeout"


async def test_stable_names_are_those_before_token_counters(receiver: Receiver, tmp_path: Path) -> None:
    async with exporter_to(receiver.url, tmp_path, semconv="stable") as exporter:
        await exporter.export([model_call()])
    metrics = receiver.metrics()
    assert set(metrics) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
        "victor.cost",
    }
    points = metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {plain(point.attributes)["gen_ai.token.type"]: point.sum for point in points} == {"input": 100, "output": 20}
    assert list(points[0].explicit_bounds)[:4] == [1, 4, 16, 64]
    assert plain(receiver.spans()[0].attributes)["gen_ai.usage.cache_creation.input_tokens"] == 30


async def test_exposures_feedback_and_failures_are_log_events(receiver: Receiver, tmp_path: Path) -> None:
    exposure = event("exposure", turn="exposure\0shop", experiment="tone", arm="warm")
    feedback = event("feedback", turn="a feedback", metric="helpful", value=1)
    outside = Event(uuid7(TIME), "error", TIME, None, None, "shop", "", {}, {"code": "component", "message": "full"})
    failed = model_call(error="timeout")
    async with exporter_to(receiver.url, tmp_path) as exporter:
        await exporter.export([exposure, feedback, outside, failed, event("token_usage", model="main")])
    flag, evaluation, error, exception = receiver.logs()
    assert flag.event_name == "feature_flag.evaluation"
    about = plain(flag.attributes)
    assert (about["feature_flag.key"], about["feature_flag.result.variant"]) == ("tone", "warm")
    assert about["feature_flag.context.id"] == "user-hash"
    assert evaluation.event_name == "gen_ai.evaluation.result"
    about = plain(evaluation.attributes)
    assert (about["gen_ai.evaluation.name"], about["gen_ai.evaluation.score.value"]) == ("helpful", 1.0)
    assert (error.event_name, error.trace_id) == ("victor.error", b"")
    assert plain(error.attributes)["exception.message"] == "full"
    (span,) = receiver.spans()
    assert (exception.event_name, exception.span_id) == ("gen_ai.client.operation.exception", span.span_id)
    assert (exception.severity_number, plain(exception.attributes)["exception.type"]) == (13, "timeout")


async def test_any_text_and_number_can_be_read(receiver: Receiver, tmp_path: Path) -> None:
    odd = event("feedback", turn="odd", metric="a\0b \ud800 \U0001f600" + "x" * 10_000, value=math.nan)
    async with exporter_to(receiver.url, tmp_path) as exporter:
        await exporter.export([odd])
    about = plain(receiver.logs()[0].attributes)
    assert about["gen_ai.evaluation.name"].startswith("a\0b ")
    assert len(about["gen_ai.evaluation.name"]) < 5_000
    assert math.isnan(about["gen_ai.evaluation.score.value"])


async def test_a_signal_that_took_a_batch_does_not_get_it_again(receiver: Receiver, tmp_path: Path) -> None:
    away = True
    receiver.answer = lambda path, _: (503 if away and path == "/v1/logs" else 200, {})
    events = [model_call(error="timeout"), turn()]
    async with exporter_to(receiver.url, tmp_path) as exporter:
        with pytest.raises(StoreError) as raised:
            await exporter.export(events)
        assert raised.value.transient
        away = False
        await exporter.export(events)
        assert [path for path, *_ in receiver.posted] == ["/v1/traces", "/v1/metrics", "/v1/logs", "/v1/logs"]
        assert not any(exporter.taken.values())


@pytest.mark.parametrize("refusal", [400, "partialSuccess"])
async def test_a_poison_event_is_found_and_the_others_are_sent_once(
    refusal: int | str, receiver: Receiver, tmp_path: Path
) -> None:
    accepted: list[str] = []

    def answer(_path: str, message: Any) -> tuple[int, Any]:
        names = [span.name for span in message.resource_spans[0].scope_spans[0].spans]
        if "chat bad" not in names:
            accepted.extend(names)
            return 200, {}
        if refusal == 400:
            return 400, {"message": "a bad span"}
        return 200, {"partialSuccess": {"rejectedSpans": str(len(names)), "errorMessage": "a bad span"}}

    receiver.answer = answer
    events = [model_call(number, request_model="bad" if number == 3 else f"m{number}") for number in range(7)]
    async with exporter_to(receiver.url, tmp_path, signals=["traces"]) as exporter:
        refused = await store(exporter, events)
    assert [(one.event.id, "a bad span" in one.reason) for one in refused] == [(events[3].id, True)]
    assert sorted(accepted) == [f"chat m{number}" for number in (0, 1, 2, 4, 5, 6)]


async def test_a_part_that_was_rejected_is_reported_and_not_sent_again(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answer = lambda *_: (200, {"partialSuccess": {"rejectedSpans": 1, "errorMessage": "too old"}})
    around = surroundings(tmp_path, "exporters/otlp")
    async with exporter_to(receiver.url, around, signals=["traces"]) as exporter:
        assert await store(exporter, [model_call(), turn()]) == []
    assert around.reports == [("the receiver rejected a part of the traces: too old", {"rejected": 1, "sent": 2})]
    assert len(receiver.posted) == 1


async def test_secrets_are_sent_and_not_shown(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answer = lambda *_: (401, {"message": "bad secret-key"})
    async with exporter_to(receiver.url, tmp_path, secret_headers={"X-Api-Key": Secret("env", "KEY")}) as exporter:
        with pytest.raises(StoreError) as raised:
            await exporter.export([turn()])
    assert receiver.posted[0][2]["X-Api-Key"] == "secret-key"
    assert "secret-key" not in str(raised.value)
    assert raised.value.transient


async def test_bodies_are_compressed(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        bodies.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with exporter_to(url, tmp_path, signals=["traces"]) as exporter:
            await exporter.export([turn()])
    assert "resourceSpans" in json.loads(gzip.decompress(bodies[0]))
