"""Batches of events are posted, signed, and posted again where the receiver is at fault; refused events are found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field

from tests.components.context import surroundings
from victor_dsl.components.exporters import webhook
from victor_dsl.components.exporters.webhook import batch_id, signed
from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import Exporter
from victor_dsl.runtime.delivery.storing import store
from victor_dsl.values.event import Event, uuid7

SECRETS = {"HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "TOKEN": "secret-token"}


def event(number: int, **data: Any) -> Event:
    return Event(uuid7(1_700_000_000 + number), "turn", 1_700_000_000.0, "s", None, "p", "", {}, {"n": number, **data})


@define
class Receiver:
    """What was posted, and what is answered: a status for a body."""

    url: str = ""
    status: Callable[[list[dict[str, Any]]], int] = lambda _: 200
    requests: list[tuple[list[dict[str, Any]], dict[str, str], bytes]] = field(factory=list)
    answer: str = "thank you"

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        events = json.loads(body)
        self.requests.append((events, dict(request.headers), body))
        return web.Response(status=self.status(events), text=self.answer)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/hook", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def exporter_to(url: str, folder: Path, **config: Any) -> AsyncIterator[Exporter]:
    made = webhook.Config.model_validate({"url": url, **config})
    context = surroundings(folder, "exporters/webhook", environment=SECRETS).context
    async with webhook.build(made, context) as exporter:
        yield exporter


def secret(name: str) -> Any:
    return Secret("env", name)


async def test_a_batch_is_one_request_with_the_events_as_they_are(receiver: Receiver, tmp_path: Path) -> None:
    events = [event(1), event(2, text="\0 \ud800")]
    async with exporter_to(
        receiver.url, tmp_path, headers={"X-Team": "shop"}, bearer_token=secret("TOKEN")
    ) as exporter:
        await exporter.export(events)
    ((posted, headers, _),) = receiver.requests
    assert posted == [one.as_json() for one in events]
    assert headers["Content-Type"] == "application/json"
    assert (headers["X-Team"], headers["Authorization"]) == ("shop", "Bearer secret-token")
    assert headers["webhook-id"] == batch_id(events)
    assert "webhook-signature" not in headers


async def test_requests_are_signed(receiver: Receiver, tmp_path: Path) -> None:
    async with exporter_to(receiver.url, tmp_path, secret=secret("HOOK_SECRET")) as exporter:
        await exporter.export([event(1)])
    ((_, headers, body),) = receiver.requests
    assert headers["webhook-timestamp"] == "1700000000"
    key = webhook._key(SECRETS["HOOK_SECRET"])
    expected = signed(headers["webhook-id"], 1_700_000_000, body, key)
    assert headers["webhook-signature"] == expected["webhook-signature"]


def test_a_signature_is_that_of_the_published_example() -> None:
    # The example of Svix, from which Standard Webhooks comes: https://docs.svix.com/receiving/verifying-payloads/how-manual
    headers = signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', webhook._key(SECRETS["HOOK_SECRET"])
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 502, 503])
async def test_what_the_receiver_may_mend_is_transient(status: int, receiver: Receiver, tmp_path: Path) -> None:
    receiver.status, receiver.answer = lambda _: status, "no secret-token here"
    async with exporter_to(receiver.url, tmp_path, bearer_token=secret("TOKEN")) as exporter:
        with pytest.raises(StoreError, match=rf"answered {status}: no \*\*\* here") as raised:
            await exporter.export([event(1)])
    assert raised.value.transient


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_event_that_is_refused_is_found_and_the_others_are_posted(
    status: int, receiver: Receiver, tmp_path: Path
) -> None:
    def answer(events: Sequence[dict[str, Any]]) -> int:
        return status if any(one["data"]["n"] == 5 for one in events) else 202

    receiver.status = answer
    async with exporter_to(receiver.url, tmp_path) as exporter:
        refused = await store(exporter, [event(number) for number in range(9)])
    assert [one.event.data["n"] for one in refused] == [5]
    accepted = [one["data"]["n"] for events, _, _ in receiver.requests if answer(events) == 202 for one in events]
    assert sorted(accepted) == [0, 1, 2, 3, 4, 6, 7, 8]


async def test_a_receiver_that_is_away_is_transient(tmp_path: Path, unused_tcp_port: int) -> None:
    async with exporter_to(f"http://127.0.0.1:{unused_tcp_port}/x", tmp_path) as exporter:
        with pytest.raises(StoreError, match=r"cannot reach http://127\.0\.0\.1:") as raised:
            await exporter.export([event(1)])
    assert raised.value.transient


async def test_a_secret_that_is_no_base64_is_said_without_it(receiver: Receiver, tmp_path: Path) -> None:
    made = webhook.Config.model_validate({"url": receiver.url, "secret": secret("BAD")})
    context = surroundings(tmp_path, environment={"BAD": "whsec_!!!"}).context
    with pytest.raises(ComponentError, match="is not base64") as raised:
        async with webhook.build(made, context):
            pass
    assert "!!!" not in str(raised.value)


def test_equal_events_have_one_batch_id_whatever_else() -> None:
    assert batch_id([event(1)]) != batch_id([event(2)])
    one = event(1)
    assert batch_id([one]) == batch_id([one])
