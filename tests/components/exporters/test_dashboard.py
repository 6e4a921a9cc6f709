"""The dashboard's page in a real browser, through a real run."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import victor_dsl
from tests.browser import Page, browsing
from tests.services import free_port
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request

TOKEN = "the-token-of-the-dashboard"
SPEC = """
victor: 1
name: support
models:
  main: {type: echo, input_usd_per_million: 3.0, output_usd_per_million: 15.0}
  unpriced: {type: echo}
settings: {model: main}
request: [model]
variants:
  tone: {arms: {control: {}, warm: {with: {settings: {temperature: 0.9}}}}}
databases: {app: {type: sqlite, path: app.db}}
exporters:
  - {type: sqlite, database: app, flush_seconds: 0.05}
  - {type: websocket, port: PORT, token: "${env:TOKEN}", flush_seconds: 0.05}
"""
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Orchestrator, str]]:
    port = free_port()
    spec = folder / "victor.yml"
    spec.write_text(SPEC.replace("PORT", str(port)), encoding="utf-8")
    async with victor_dsl.open(spec, env={"TOKEN": TOKEN}) as orchestrator:
        yield orchestrator, f"http://127.0.0.1:{port}/"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[tuple[Orchestrator, str]]:
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browsing(tmp_path) as made:
        yield made


async def sign_in(page: Page, url: str, token: str = TOKEN) -> None:
    await page.open(url)
    await page.until("!document.getElementById('door').hidden && document.activeElement.id === 'token'")
    await page.type(token)
    await page.press("Enter")


async def text(page: Page, id: str) -> str:
    found: str = await page.value(f"document.getElementById('{id}').innerText")
    return found


def stored(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "app.db")
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


async def test_recipe_7_the_values_on_the_page_equal_those_in_the_store(
    run: tuple[Orchestrator, str], page: Page, tmp_path: Path
) -> None:
    orchestrator, url = run
    await sign_in(page, url)
    await page.until("document.getElementById('status').textContent === 'Live'")
    for number in range(12):
        settings = {"model": "unpriced"} if number % 4 == 3 else {}
        answer = await orchestrator.answer(Request(message=f"hello {number}", session=f"s{number}", settings=settings))
        assert answer.error is None
    await page.until("document.getElementById('turns').textContent === '12'")
    wanted = "SELECT count(*) FROM analytics_events WHERE event_type = 'turn'"
    while stored(tmp_path, wanted) != [(12,)]:  # the other exporter has its own pace
        await asyncio.sleep(0)
    usage = "FROM analytics_events WHERE event_type = 'model_call'"
    ((tokens, cost, unpriced),) = stored(
        tmp_path,
        "SELECT sum(event_data->>'input_tokens') + sum(event_data->>'output_tokens'), sum(event_data->>'cost_usd'), "
        f"sum(event_data->>'cost_usd' IS NULL) {usage}",
    )
    assert await text(page, "tokens") == str(tokens)
    assert cost > 0
    assert float((await text(page, "cost")).removeprefix("$")) == pytest.approx(cost, rel=0.005)
    assert unpriced == 3
    assert "3 calls of unknown price" in await text(page, "cost-more")
    arms = stored(
        tmp_path,
        "SELECT variants->>'tone', count(*) FROM analytics_events WHERE event_type = 'turn' GROUP BY 1 ORDER BY 1",
    )
    shown = await page.value(
        "[...document.querySelectorAll('#variants tbody tr')].map((row) => [row.cells[0].innerText, Number(row.cells[1].innerText)])"
    )
    assert shown == [list(row) for row in arms]
    latencies = sorted(
        ms
        for (ms,) in stored(
            tmp_path, "SELECT event_data->>'latency_ms' FROM analytics_events WHERE event_type = 'turn'"
        )
    )
    amount, unit = (await text(page, "latency")).split()
    assert unit in {"ms", "s"}
    assert float(amount) * (1000 if unit == "s" else 1) == pytest.approx(latencies[5], rel=0.04, abs=0.01)
    delivered = "[...document.querySelectorAll('#delivery tbody tr')].map((row) => row.cells[0].innerText)"
    assert await page.value(delivered) == ["sqlite", "websocket"]
    assert page.said == []


async def test_recipe_7_nothing_of_a_user_s_text_becomes_markup(run: tuple[Orchestrator, str], page: Page) -> None:
    orchestrator, url = run
    await sign_in(page, url)
    await page.until("document.getElementById('status').textContent === 'Live'")
    await orchestrator.answer(Request(message=MARKUP, session=MARKUP, tenant=None))
    orchestrator._report("exporters/sqlite", MARKUP, {"code": MARKUP})
    await page.until("document.getElementById('errors').innerText.includes('onerror')")
    await page.until("document.getElementById('tail').innerText.includes('onerror')")
    assert (
        await page.value("document.querySelectorAll('#board img:not([src=\"/page/icon.svg\"]), #board script').length")
        == 0
    )
    assert await page.value("document.title") == "support · victor"
    assert page.said == []


async def test_markup_that_a_page_would_make_is_refused_by_its_policy(
    run: tuple[Orchestrator, str], page: Page
) -> None:
    await page.open(run[1])
    refused = (
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch (error) { return error.name } })()"
    )
    assert await page.value(refused) == "TypeError"
    await page.value(
        "(() => { const s = document.createElement('style'); s.textContent = 'body {display: none}'; document.head.append(s) })()"
    )
    assert await page.value("getComputedStyle(document.body).display") != "none"


async def test_recipe_7_a_wrong_token_shows_nothing_and_says_so(run: tuple[Orchestrator, str], page: Page) -> None:
    await sign_in(page, run[1], "wrong")
    await page.until("document.getElementById('door-error').textContent === 'The token is wrong.'")
    assert await page.value("document.getElementById('board').hidden") is True
    await page.type(TOKEN)
    await page.press("Enter")
    await page.until("document.getElementById('status').textContent === 'Live'")
    assert await page.value("document.cookie + JSON.stringify(localStorage)") == "{}"


async def test_a_page_of_another_origin_cannot_look(run: tuple[Orchestrator, str], page: Page) -> None:
    _, url = run
    await sign_in(page, url)
    await page.until("document.getElementById('status').textContent === 'Live'")
    await page.open("data:text/html,<p>elsewhere")
    opened = "new Promise((done) => { const s = new WebSocket('%s'); s.onopen = () => done('open'); s.onerror = () => done('refused') })"
    assert await page.value(opened % f"{url.replace('http', 'ws')}ws") == "refused"


async def test_the_page_signs_out_and_reconnects_after_an_outage(tmp_path: Path, page: Page) -> None:
    async with running(tmp_path) as (_, url):
        await sign_in(page, url)
        await page.until("document.getElementById('status').textContent === 'Live'")
        await page.value("document.getElementById('leave').click()")
        await page.until("performance.getEntriesByType('navigation')[0].type === 'reload'")
        await page.until("!document.getElementById('door').hidden && document.getElementById('board').hidden")
        await sign_in(page, url)
        await page.until("document.getElementById('status').textContent === 'Live'")
    await page.until("document.getElementById('status').dataset.state === 'away'")


@pytest.mark.parametrize(("width", "phone", "dark"), [(1280, False, False), (1280, False, True), (360, True, False)])
async def test_the_page_fits_its_window_and_every_control_has_a_name(
    run: tuple[Orchestrator, str], page: Page, *, width: int, phone: bool, dark: bool
) -> None:
    orchestrator, url = run
    await page.look(width=width, phone=phone, dark=dark)
    await sign_in(page, url)
    await orchestrator.answer(Request(message="hello", session="a-session-with-a-very-long-name-" * 6))
    await page.until("document.getElementById('turns').textContent === '1'")
    assert await page.value("document.documentElement.scrollWidth") == width
    ground = await page.value("getComputedStyle(document.body).backgroundColor")
    assert (sum(json.loads(f"[{ground.removeprefix('rgb(').removesuffix(')')}]")) < 200) is dark
    tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    roles = {"button", "radio", "textbox", "image", "img"}
    controls = [node for node in tree if node.get("role", {}).get("value") in roles and not node.get("ignored")]
    assert [node for node in controls if not node.get("name", {}).get("value")] == []
    names = [node["name"]["value"] for node in controls]
    assert any(name.startswith("Tokens over time. Latest, at ") for name in names)


async def test_the_arrow_keys_read_a_chart(run: tuple[Orchestrator, str], page: Page) -> None:
    orchestrator, url = run
    await sign_in(page, url)
    await orchestrator.answer(Request(message="hello", session="s"))
    await page.until("document.getElementById('turns').textContent === '1'")
    await page.value("document.querySelector('[data-chart=turns] .plot').focus()")
    await page.press("ArrowLeft")
    await page.until(
        "/answered \\d+, failed 0/.test(document.querySelector('[data-chart=turns] .readout').textContent)"
    )
    await page.value("document.querySelector('[data-chart=turns] summary').click()")
    await page.until("document.querySelector('[data-chart=turns] details tbody tr').innerText.includes('1')")
