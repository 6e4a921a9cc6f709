"""What Prometheus's own parser reads: names, types, labels and values."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.components.context import surroundings
from victor_dsl.components.exporters import prometheus
from victor_dsl.components.exporters.prometheus.series import MOST_SERIES
from victor_dsl.errors import ComponentError
from victor_dsl.language.config import Secret
from victor_dsl.values.event import Event, uuid7

TURN: dict[str, Any] = {"latency_ms": 640.0, "outcome": "answered", "error": None}
CALL: dict[str, Any] = {
    "model": "main",
    "latency_ms": 320.0,
    "ttft_ms": 50.0,
    "error": None,
    "input_tokens": 100,
    "output_tokens": 20,
    "cached_tokens": 60,
    "cache_write_tokens": None,
    "reasoning_tokens": 5,
    "cost_usd": 0.25,
}


def event(type: Any, tenant: str | None = None, **data: Any) -> Event:
    return Event(uuid7(1_700_000_000), type, 1_700_000_000.0, "s", tenant, "shop", "", {}, data)


@asynccontextmanager
async def exporter(folder: Path, **config: Any) -> AsyncIterator[prometheus.Prometheus]:
    made = prometheus.Config.model_validate({"port": 0, **config})
    context = surroundings(folder, "exporters/prometheus", environment={"TOKEN": "secret-token"}).context
    async with prometheus.build(made, context) as built:
        yield built


async def scrape(url: str, **headers: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return await answer.text()


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and the values of the labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_totals_are_those_of_the_events(tmp_path: Path) -> None:
    async with exporter(tmp_path) as made:
        await made.export([event("turn", **TURN), event("model_call", **CALL), event("model_call", **CALL)])
        await made.export(
            [
                event("turn", latency_ms=None, outcome="interrupted", error="interrupted"),
                event("turn", latency_ms=1.0, outcome="refused", error="rate-limited"),
                event("tool_call", tool="lookup", ok=False, error="timeout", latency_ms=90_000.0),
                event("error", code="component"),
                event("exposure", experiment="tone", arm="warm"),
            ]
        )
        text = await scrape(made.url)
        assert text == made.text()
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert families == {
        "victor_turns": "counter",
        "victor_turn_duration_seconds": "histogram",
        "victor_model_calls": "counter",
        "victor_model_call_duration_seconds": "histogram",
        "victor_time_to_first_token_seconds": "histogram",
        "victor_tokens": "counter",
        "victor_cost_usd": "counter",
        "victor_tool_calls": "counter",
        "victor_tool_call_duration_seconds": "histogram",
        "victor_errors": "counter",
        "victor_exposures": "counter",
    }
    values = samples(text)
    for outcome in ("answered", "interrupted", "refused"):
        assert values["victor_turns_total", ("shop", outcome)] == 1
    assert values["victor_turn_duration_seconds_count", ("shop",)] == 2
    assert values["victor_model_calls_total", ("shop", "main", "")] == 2
    assert values["victor_tokens_total", ("shop", "main", "input")] == 200
    assert values["victor_tokens_total", ("shop", "main", "cache_read")] == 120
    assert ("victor_tokens_total", ("shop", "main", "cache_write")) not in values
    assert values["victor_cost_usd_total", ("shop", "main")] == 0.5
    assert values["victor_tool_calls_total", ("shop", "lookup", "timeout")] == 1
    assert values["victor_tool_call_duration_seconds_bucket", ("shop", "lookup", "81.92")] == 0
    assert values["victor_tool_call_duration_seconds_bucket", ("shop", "lookup", "+Inf")] == 1
    buckets = [values["victor_model_call_duration_seconds_bucket", ("shop", "main", le)] for le in ("0.16", "0.32")]
    assert buckets == [0, 2]
    assert values["victor_model_call_duration_seconds_sum", ("shop", "main")] == pytest.approx(0.64)
    assert values["victor_errors_total", ("shop", "component")] == 1
    assert values["victor_exposures_total", ("shop", "tone", "warm")] == 1


async def test_labels_are_escaped(tmp_path: Path) -> None:
    odd = 'a"b\\n\\\n{} \U0001f600'
    async with exporter(tmp_path) as made:
        await made.export([event("tool_call", tool=odd, error=None, latency_ms=1.0), event("error", code="\ud800")])
        assert ("victor_tool_calls_total", ("shop", odd, "")) in samples(await scrape(made.url))


async def test_sets_of_labels_are_bounded_and_nothing_is_left_out(tmp_path: Path) -> None:
    async with exporter(tmp_path) as made:
        await made.export([event("error", code=f"c{number}") for number in range(2 * MOST_SERIES)])
        found = {key: value for key, value in samples(made.text()).items() if key[0] == "victor_errors_total"}
    assert len(found) == MOST_SERIES
    assert sum(found.values()) == 2 * MOST_SERIES
    assert found["victor_errors_total", ("other", "other")] == MOST_SERIES + 1


async def test_tenants_are_shown_on_request_only(tmp_path: Path) -> None:
    turns = [event("turn", tenant, **TURN) for tenant in ("a", "b", "c", "d", "a")]
    async with exporter(tmp_path) as made:
        await made.export(turns)
        assert samples(made.text())["victor_turns_total", ("shop", "answered")] == 5
    async with exporter(tmp_path, most_tenants=2) as made:
        await made.export(turns)
        values = samples(made.text())
    found = {labels[1]: value for (name, labels), value in values.items() if name == "victor_turns_total"}
    assert found == {"a": 2, "b": 1, "other": 2}


async def test_with_a_token_only_who_has_it_reads(tmp_path: Path) -> None:
    async with exporter(tmp_path, token=Secret("env", "TOKEN")) as made, aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret-token"}):
            async with session.get(made.url, headers=headers) as answer:
                assert answer.status == 401
                assert "victor_" not in await answer.text()
        assert "victor_turns_total" in await scrape(made.url, Authorization="Bearer secret-token")


async def test_a_busy_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = exporter(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ComponentError, match=r"cannot listen on 127\.0\.0\.1:") as raised:
            await made.__aenter__()
    assert raised.value.hint is not None
