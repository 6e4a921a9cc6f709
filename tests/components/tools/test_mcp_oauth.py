"""Access tokens for MCP servers: fetched when needed, replaced once when refused, and never shown."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from attrs import define, evolve, field

from tests.components.context import TURN, surroundings
from tests.components.tools.raw_http import Seen, Sent, raw_server, result
from tests.components.tools.test_mcp import RealClock
from victor_dsl.compiler import compile_spec
from victor_dsl.components.tools.mcp import Config, build
from victor_dsl.components.tools.mcp.config import ClientCredentials
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.values.message import ToolCall


class HandClock(RealClock):
    """A clock that the test sets forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@define
class Realm:
    """An MCP server that accepts only the latest token, and the authorization server that writes them."""

    token: dict[str, Any] | Sent = field(factory=lambda: {"expires_in": 3600})
    issued: int = 0
    revoked: bool = False
    refuse: bool = False
    asked: list[Seen] = field(factory=list)
    port: int = 0

    def answer(self, seen: Seen) -> Sent | None:
        if seen.path.startswith("/.well-known/oauth-authorization-server"):
            issuer = f"http://127.0.0.1:{self.port}/realm"
            return Sent(
                json.dumps({"issuer": issuer, "token_endpoint": f"http://127.0.0.1:{self.port}/token"}).encode()
            )
        if seen.path == "/token":
            self.asked.append(seen)
            if isinstance(self.token, Sent):
                return self.token
            self.issued += 1
            self.revoked = False
            return Sent(
                json.dumps({"access_token": f"t0ken-{self.issued}", "token_type": "Bearer", **self.token}).encode()
            )
        if self.refuse or self.revoked or seen.headers.get("authorization") != f"Bearer t0ken-{self.issued}":
            challenge = 'Bearer error="invalid_token", resource_metadata="https://api.example.com/.well-known/x"'
            return Sent(b"", 401, {"WWW-Authenticate": challenge})
        if seen.body and seen.message["method"] == "tools/call":
            return result(seen.message["id"], {"content": [{"type": "text", "text": seen.headers["authorization"]}]})
        return None


@pytest.fixture
def context(tmp_path: Path) -> Context:
    around = surroundings(tmp_path, "tools/shop", environment={"SECRET": "s3cret/+"})
    return evolve(around.context, clock=HandClock())


def config(port: int, **auth: Any) -> Config:
    auth = {"token_url": f"http://127.0.0.1:{port}/token", "client_id": "support", **auth}
    made = ClientCredentials(type="client_credentials", client_secret=Secret("env", "SECRET"), **auth)
    return Config(name="shop", url=f"http://127.0.0.1:{port}/mcp", auth=made)


LOOK = ToolCall("1", "shop__look", "{}")


async def test_a_token_is_fetched_once_and_used_until_it_expires(context: Context) -> None:
    realm = Realm()
    assert isinstance(context.clock, HandClock)
    async with raw_server(realm.answer) as (port, _), build(config(port, scope="read write"), context) as tools:
        assert await tools.call(LOOK, TURN) == "Bearer ***"
        assert await tools.call(LOOK, TURN.replace(tenant="acme")) == "Bearer ***"
        [asked] = realm.asked
        assert parse_qs(asked.body.decode()) == {
            "grant_type": ["client_credentials"],
            "scope": ["read write"],
            "resource": [f"http://127.0.0.1:{port}/mcp"],
        }
        assert b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"support:s3cret%2F%2B"
        context.clock.seconds = 3580
        await tools.call(LOOK, TURN)
        assert realm.issued == 2


async def test_the_secret_may_be_sent_in_the_body(context: Context) -> None:
    realm = Realm()
    async with raw_server(realm.answer) as (port, _), build(config(port, credentials_in="body"), context):
        form = parse_qs(realm.asked[0].body.decode())
        assert (form["client_id"], form["client_secret"]) == (["support"], ["s3cret/+"])
        assert "authorization" not in realm.asked[0].headers


async def test_the_token_endpoint_of_an_issuer_is_found(context: Context) -> None:
    realm = Realm()
    async with raw_server(realm.answer) as (port, received):
        realm.port = port
        async with build(config(port, token_url=None, issuer=f"http://127.0.0.1:{port}/realm"), context) as tools:
            assert await tools.call(LOOK, TURN) == "Bearer ***"
    assert received[0].path == "/.well-known/oauth-authorization-server/realm"


async def test_a_refused_token_is_replaced_once(context: Context) -> None:
    realm = Realm()
    async with raw_server(realm.answer) as (port, _), build(config(port), context) as tools:
        realm.revoked = True
        assert await tools.call(LOOK, TURN) == "Bearer ***"
        assert realm.issued == 2
        realm.refuse = True
        with pytest.raises(
            ToolError, match=r"HTTP 401 Unauthorized.*\(error: invalid_token; resource_metadata: https://api"
        ):
            await tools.call(LOOK, TURN)
        assert realm.issued == 3
        realm.refuse = False
        assert await tools.call(LOOK, TURN) == "Bearer ***"


NO_TOKEN: list[tuple[Any, str]] = [
    (Sent(b'{"error":"invalid_client","error_description":"no s3cret/+ here"}', 401), r"HTTP 401 invalid_client: no \*\*\* here; check `auth`"),
    (Sent(b"down", 503), "HTTP 503; check `auth`"),
    (Sent(b"", 302, {"Location": "https://example.com/"}), "HTTP 302; check `auth`"),
    (Sent(b"<html>"), "its answer has no `access_token`"),
    (Sent(b'{"access_token": 3}'), "its answer has no `access_token`"),
    (Sent(b'{"access_token": "a\\r\\nb: c"}'), "its answer has no `access_token`"),
    (Sent(b"x" * 20_000_000), "longer than"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "expected"), NO_TOKEN)
async def test_a_server_that_writes_no_token_is_reported(context: Context, token: Sent, expected: str) -> None:
    realm = Realm(token)
    async with raw_server(realm.answer) as (port, _):
        with pytest.raises(
            ComponentError, match=rf"^the MCP server was not called: no access token from 127.0.0.1: .*{expected}"
        ):
            async with build(config(port), context):
                pass


async def test_metadata_of_another_issuer_is_refused(context: Context) -> None:
    realm = Realm()
    async with raw_server(realm.answer) as (port, _):
        with pytest.raises(ComponentError, match="its metadata is not that of the `issuer`"):
            async with build(config(port, token_url=None, issuer=f"http://127.0.0.1:{port}"), context):
                pass
    assert realm.asked == []


SPEC = """
victor: 1
name: shop
models: {main: {type: echo}}
tools:
  - type: mcp
    name: shop
    url: https://tools.example.com/mcp
    auth: {type: client_credentials, token_url: "https://login.example.com/token", client_id: a, client_secret: CLIENT_SECRET}
"""


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda spec: spec.replace("CLIENT_SECRET", '"${env:CLIENT}"'), []),
        (lambda spec: spec, ["literal-secret"]),
        (lambda spec: spec.replace("CLIENT_SECRET", '"${env:A}-${env:B}"'), ["literal-secret"]),
        (lambda spec: spec.replace("client_secret: CLIENT_SECRET", "secret: x"), ["unknown-key"]),
        (lambda spec: spec.replace("CLIENT_SECRET", '"${env:CLIENT}", issuer: "https://a"'), ["wrong-value"]),
        (lambda spec: spec.replace("client_credentials", "authorization_code").replace("CLIENT_SECRET", '"${env:CLIENT}"'), ["wrong-value"]),
    ],
)  # fmt: skip
def test_the_secret_in_auth_is_a_reference(tmp_path: Path, change: Callable[[str], str], codes: list[str]) -> None:
    path = tmp_path / "victor.yml"
    path.write_text(change(SPEC), encoding="utf-8")
    compilation = compile_spec(str(path), environment={"CLIENT": "s3cret-text"})
    assert sorted(diagnostic.code for diagnostic in compilation.diagnostics) == codes
    if not codes:
        assert compilation.program is not None
        plan = compilation.program.plan_for(None, {})
        node: Any = plan.by_id["tools/shop"].config
        assert node.auth.client_secret == Secret("env", "CLIENT")
        assert "s3cret-text" not in repr(plan)
