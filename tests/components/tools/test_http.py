"""Requests to HTTP APIs as tools, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from tests.components.context import TURN, surroundings
from tests.components.tools.calling import answer, answer_message
from victor_dsl.components.tools.http import Config, build
from victor_dsl.components.tools.http.parameters import json_schema
from victor_dsl.components.tools.http.request import filled
from victor_dsl.errors import ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import ToolSource
from victor_dsl.values.images import image_part
from victor_dsl.values.message import ToolCall

ENVIRONMENT = {"TOKEN": "s3cret-token", "KEY": "k3y"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(9)
ANY = {"a": {}, "b": {"default": None}}


class Api:
    """A server that returns the request it received, or misbehaves, depending on the path."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.sent = 0
        self.port = 0
        self.elsewhere = ""
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:  # noqa: C901 -- a list of misdeeds
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        request_data = {"method": request.method, "path": request.raw_path, "body": body.decode(), "headers": headers}
        self.requests.append(request_data)
        match request.path.split("/")[1]:
            case "missing":
                return web.json_response({"error": f"no order; you sent {headers.get('authorization')}"}, status=404)
            case "huge":
                return await self._huge(request)
            case "hang":
                await self.over.wait()
            case "picture":
                return web.Response(body=b"\x89PNG" * 100, content_type="image/png")
            case "photo":
                return web.Response(body=PNG, content_type="image/jpeg")  # a type that is wrong
            case "photo_of_bytes":
                return web.Response(body=PNG, content_type="application/octet-stream")
            case "photo_large":
                return web.Response(body=PNG + bytes(3_000_000), content_type="image/png")
            case "photo_enormous":
                return web.Response(body=PNG + bytes(9_000_000), content_type="image/png")
            case "photo_of_an_error":
                return web.Response(body=PNG, content_type="image/png", status=404)
            case "latin":
                return web.Response(
                    body="Grüße".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"}
                )
            case "odd":
                return web.Response(body=b"caf\xc3\xa9 \xff", headers={"Content-Type": "text/plain; charset=no-such"})
            case "near":
                raise web.HTTPTemporaryRedirect("/echo/again")
            case "seeother":
                raise web.HTTPSeeOther("/echo/seen")
            case "far":
                raise web.HTTPFound(self.elsewhere)
            case "round":
                raise web.HTTPFound("/round")
            case "nowhere":
                return web.Response(status=302, headers={"Location": "http://[broken"})
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "text/plain"})
                await response.prepare(request)
                await response.write(b"half")
                assert request.transport is not None
                request.transport.abort()
                return response
        return web.json_response(request_data)

    async def _huge(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        try:
            for _ in range(800):
                await response.write(b"x" * 65_536)
                self.sent += 65_536
        except ConnectionError:
            pass
        return response


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", api.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.port = runner.addresses[0][1]
    yield api
    api.over.set()
    await runner.cleanup()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return surroundings(tmp_path, "tools/api", environment=ENVIRONMENT).context


@asynccontextmanager
async def tool(context: Context, api: Api, path: str, **options: Any) -> AsyncIterator[ToolSource]:
    async with build(config(api, path, **options), context) as live:
        yield live


def config(api: Api, path: str, **options: Any) -> Config:
    return Config(name="api", description="Asks.", url=f"http://127.0.0.1:{api.port}{path}", **options)


async def call(live: ToolSource, **arguments: Any) -> Any:
    async with asyncio.timeout(30):
        return await live.call(ToolCall("1", "api", json.dumps(arguments)), TURN)


async def request_seen(
    context: Context, api: Api, path: str, arguments: dict[str, Any], **options: Any
) -> dict[str, Any]:
    async with tool(context, api, path, **options) as live:
        answer: dict[str, Any] = json.loads(await call(live, **arguments))
        return answer


async def test_the_definition_is_that_of_the_spec(context: Context, api: Api) -> None:
    async with tool(context, api, "/a/{n}", parameters={"n": "integer"}, cost="low", domain="orders") as live:
        (offered,) = await live.tools()
        assert (offered.name, offered.description, offered.cost, offered.domain) == ("api", "Asks.", "low", "orders")
        assert offered.parameters == json_schema({"n": "integer"})
        assert await live.tools() is await live.tools()


async def test_arguments_fill_the_gaps_of_path_and_query(context: Context, api: Api) -> None:
    parameters = {
        "order": "integer",
        "lines": "integer?",
        "tags": {"type": "array", "default": ["a", "b c"]},
        "q": "string?",
    }
    path = "/orders/{order}/lines?n={lines}&tag={tags}&fixed=1"
    seen = await request_seen(context, api, path, {"order": 7, "q": "x&y"}, parameters=parameters)
    assert seen["path"] == "/orders/7/lines?tag=a&tag=b%20c&fixed=1&q=x%26y"
    seen = await request_seen(context, api, path, {"order": 7, "lines": 2, "tags": []}, parameters=parameters)
    assert seen["path"] == "/orders/7/lines?n=2&fixed=1"


async def test_a_body_is_the_arguments_or_that_of_the_spec(context: Context, api: Api) -> None:
    parameters = {"id": "integer", "note": "string?", "items": "array?"}
    seen = await request_seen(context, api, "/o/{id}", {"id": 7, "note": "é"}, method="POST", parameters=parameters)
    assert (seen["method"], seen["path"], json.loads(seen["body"])) == ("POST", "/o/7", {"note": "é"})
    assert seen["headers"]["content-type"] == "application/json"
    body = {"order": {"id": "{id}", "lines": ["{items}", "{note}"]}, "text": "No. {id}{note}", "n": 3, "note": "{note}"}
    arguments = {"id": 7, "items": [1, {"a": "{id}"}]}
    seen = await request_seen(context, api, "/o", arguments, method="PUT", parameters=parameters, body=body)
    assert json.loads(seen["body"]) == {"order": {"id": 7, "lines": [[1, {"a": "{id}"}]]}, "text": "No. 7", "n": 3}


@pytest.mark.parametrize(
    "value",
    ["../admin", "..", ".", "a/../b", "..\\x", "a\\..", "%2e%2e/x", "/../", ""],
)
async def test_no_argument_leaves_its_place_in_the_path(context: Context, api: Api, value: str) -> None:
    async with tool(context, api, "/orders/{order}/lines", parameters={"order": "string"}) as live:
        if value == "%2e%2e/x":  # escaped once more, it is a name like any other
            await call(live, order=value)
            assert api.requests[0]["path"] == "/orders/%252e%252e%2Fx/lines"
            return
        with pytest.raises(ToolError):
            await call(live, order=value)
        assert api.requests == []


@given(st.text(), st.text())
def test_arguments_change_neither_host_nor_path_nor_the_other_fields(a: str, b: str) -> None:
    try:
        url = URL(filled("GET", "http://h.example:81/x/{a}/y?p={b}&q=1", None, {"a": a, "b": b}).url, encoded=True)
    except ToolError:
        return
    assert (url.scheme, url.host, url.port, url.fragment) == ("http", "h.example", 81, "")
    assert url.raw_path.count("/") == 3
    assert url.raw_path.startswith("/x/")
    assert url.raw_path.endswith("/y")
    assert url.raw_query_string.startswith("p=")
    assert url.raw_query_string.endswith("&q=1")
    assert url.raw_query_string.count("&") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("{}", "'n' is a required property"),
        ('{"n": "7"}', "the argument 'n': '7' is not of type 'integer'"),
        ('{"n": true}', "the argument 'n': True is not of type 'integer'"),
        ('{"n": 1, "m": 2}', "unknown argument 'm'; there are: n, size, to"),
        ('{"n": 1, "siez": "s"}', "unknown argument 'siez'; did you mean 'size'"),
        ('{"n": 1, "size": "big"}', "the argument 'size': 'big' is not one of \\['s', 'l'\\]"),
        ('{"n": 1, "to": {"street": 7}}', "the argument 'to.street': 7 is not of type 'string'"),
        ('{"n": 1, "to": {}}', "the argument 'to': 'street' is a required property"),
        (
            '{"n": 0, "size": 1}',
            "the argument 'n': 0 is less than the minimum of 1; the argument 'size': 1 is not one of",
        ),
    ],
)
async def test_wrong_arguments_are_explained_to_the_model(
    context: Context, api: Api, arguments: str, expected: str
) -> None:
    parameters = {
        "n": {"type": "integer", "minimum": 1},
        "size": {"enum": ["s", "l"], "default": "s"},
        "to": {"type": "object", "properties": {"street": {"type": "string"}}, "required": ["street"], "default": None},
    }
    async with tool(context, api, "/o/{n}", parameters=parameters) as live:
        with pytest.raises(ToolError, match=expected):
            await live.call(ToolCall("1", "api", arguments), TURN)
    assert api.requests == []


async def test_secrets_are_sent_and_never_shown(context: Context, api: Api) -> None:
    secrets: dict[str, Any] = {
        "bearer_token": Secret("env", "TOKEN"),
        "secret_headers": {"X-Key": Secret("env", "KEY")},
    }
    async with tool(context, api, "/{what}", parameters={"what": "string"}, headers={"X-Team": "a"}, **secrets) as live:
        seen = json.loads(await call(live, what="echo"))
        assert seen["headers"]["authorization"] == "Bearer ***"
        assert (seen["headers"]["x-key"], seen["headers"]["x-team"]) == ("***", "a")
        for what in ("missing", "cut", "far", "nowhere"):
            with pytest.raises(ToolError) as raised:
                await call(live, what=what)
            assert "s3cret" not in "".join(traceback.format_exception(raised.value))
    assert api.requests[0]["headers"]["authorization"] == "Bearer s3cret-token"


async def test_an_answer_of_50_mb_is_cut_while_it_is_read(context: Context, api: Api) -> None:
    async with tool(context, api, "/huge", max_result_tokens=1000) as live:
        text = await answer(live, config(api, "/huge", max_result_tokens=1000), "{}")
    assert text == "x" * 4000 + "\n[cut: only the first 1,000 tokens are shown]"
    assert api.sent < 10_000_000, "the connection was closed"


async def test_a_missing_answer_is_an_error_at_the_time_limit(context: Context, api: Api) -> None:
    async with tool(context, api, "/hang") as live:
        text = await answer(live, config(api, "/hang", timeout_seconds=0.05), "")
    assert text == "Error: the tool 'api' exceeded its time limit of 0.05 s"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/latin", "Grüße"),
        ("/odd", "café \ufffd"),
        ("/picture", "[image/png, 400 bytes; it cannot be shown as text]"),
        ("/photo_enormous", "[image/png, more than 5,000,000 bytes; it cannot be shown]"),
    ],
)
async def test_an_answer_becomes_text(context: Context, api: Api, path: str, expected: str) -> None:
    async with tool(context, api, path) as live:
        assert await call(live) == expected


@pytest.mark.parametrize(("path", "size"), [("/photo", 17), ("/photo_of_bytes", 17), ("/photo_large", 3_000_017)])
async def test_an_image_is_shown_to_the_model(context: Context, api: Api, path: str, size: int) -> None:
    async with tool(context, api, path) as live:
        message = await answer_message(live, config(api, path), "")
    assert message.content == (image_part(PNG + bytes(size - len(PNG))),)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/photo_of_an_error", r"HTTP 404 Not Found: \[image/png, 17 bytes; it cannot be shown as text\]"),
        ("/missing", 'HTTP 404 Not Found: {"error": "no order'),
        ("/cut", "the request to 127.0.0.1 failed"),
        ("/round", "redirects more than 5 times"),
        ("/nowhere", "redirects to something that is not an address"),
    ],
)
async def test_a_failed_request_is_an_error_for_the_model(context: Context, api: Api, path: str, expected: str) -> None:
    async with tool(context, api, path) as live:
        with pytest.raises(ToolError, match=expected):
            await call(live)


async def test_a_redirect_within_the_host_is_followed(context: Context, api: Api) -> None:
    seen = await request_seen(context, api, "/near", {"a": 1}, method="POST", parameters={"a": "integer"})
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/echo/again", '{"a":1}')
    seen = await request_seen(context, api, "/seeother", {"a": 1}, method="POST", parameters={"a": "integer"})
    assert (seen["method"], seen["path"], seen["body"]) == ("GET", "/echo/seen", "")


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "//localhost/", "file:///etc/passwd"]
)
async def test_a_redirect_to_another_host_is_refused(context: Context, api: Api, target: str) -> None:
    api.elsewhere = target
    async with tool(context, api, "/far", bearer_token=Secret("env", "TOKEN"), allow_hosts=["169.254.169.254"]) as live:
        with pytest.raises(ToolError, match=r"not in `allow_hosts`|not an address"):
            await call(live)


async def test_an_unreachable_server_is_an_error(context: Context, api: Api) -> None:
    api.port = 1
    async with tool(context, api, "/") as live:
        with pytest.raises(ToolError, match=r"the request to 127.0.0.1 failed"):
            await call(live)


async def test_a_proxy_of_the_environment_is_not_used(
    context: Context, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await request_seen(context, api, "/echo", {}))["path"] == "/echo"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"url": "http://{host}/a", "parameters": {"host": "string"}}, "the host must not contain a `{gap}`"),
        ({"url": "http://a:{p}/", "parameters": {"p": "integer"}}, "is not an HTTP address"),
        ({"url": "{u}", "parameters": {"u": "string"}}, "is not an HTTP address"),
        ({"url": "ftp://a/b"}, "must start with http"),
        ({"url": "http://u:p@a/b"}, "cannot contain a user and password"),
        ({"url": "http://a/{n}"}, "`parameters` has no 'n'"),
        ({"url": "http://a/{n}", "parameters": {"n": "string?"}}, "must be required or have a default"),
        (
            {"url": "http://a/", "parameters": {"n": "strin"}},
            "'strin' is not a type for the parameter 'n'; did you mean",
        ),
        ({"url": "http://a/", "parameters": {"n": 3}}, "has a number instead of a type"),
        ({"url": "http://a/", "parameters": {"a b": "string"}}, "'a b' is not a parameter's name"),
        ({"url": "http://a/", "parameters": {"type": "object", "required": ["x"]}}, "`required` names 'x'"),
        ({"url": "http://a/", "parameters": {"type": "object", "required": 3}}, "3 is not of type 'array'"),
        ({"url": "http://a/", "parameters": {"type": "object", "required": None}}, "None is not of type 'array'"),
        ({"url": "http://a/", "parameters": {"type": "object", "required": [["a"]]}}, "is not of type 'string'"),
        ({"url": "http://a/", "parameters": {"type": "object", "required": "a"}}, "'a' is not of type 'array'"),
        ({"url": "http://a/", "parameters": {"a": {"type": "strng"}}}, "'strng' is not a type; did you mean 'string'"),
        ({"url": "http://a/", "parameters": {"a": {"enum": "abc"}}}, "'abc' is not of type 'array'"),
        ({"url": "http://a/", "parameters": {"type": "object", "properties": {"a": 5}}}, "5 is not of type 'object'"),
        ({"url": "http://a/", "parameters": {"a": {"$ref": "https://example.com/a"}}}, "is not in this schema"),
        ({"url": "http://a/", "parameters": {"a": {"$ref": "#/$defs/a"}}}, "'#/$defs/a' is not in this schema"),
        ({"url": "http://a/", "parameters": {"a": {"minimum": "1"}}}, "'1' is not of type 'number'"),
        ({"url": "http://a/", "parameters": {"a": {"pattern": "("}}}, "'(' is not a 'regex'"),
        ({"url": "http://a/", "body": {"a": 1}}, "a GET request has no `body`"),
        ({"url": "http://a/", "method": "POST", "body": {"a": ["{b}"]}}, "`parameters` has no 'b'"),
        (
            {"url": "http://a/", "headers": {"Cookie": "a"}},
            "carries a key: write it as `secret_headers` or `bearer_token`",
        ),
        ({"url": "http://a/", "headers": {"X-A": "a\r\nb: c"}}, "characters that are not allowed in a header"),
    ],
)
def test_a_config_that_makes_no_request_is_refused(written: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Config(**{"description": "Asks.", **written})
    assert expected in str(raised.value)


OPEN: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"$ref": "#/$defs/count"}, "flag": {"enum": [1, "x"]}},
    "patternProperties": {"^x-": {"type": "string"}},
    "allOf": [{"properties": {"tags": {"type": "array", "uniqueItems": True, "maxItems": 2}}}],
    "dependentRequired": {"n": ["flag"]},
    "$defs": {"count": {"type": "integer", "multipleOf": 5}},
}
CHECKED: list[tuple[dict[str, Any], str | None]] = [
    ({"more": 1}, None),
    ({"x-a": "b"}, None),
    ({"x-a": 1}, "the argument 'x-a': 1 is not of type 'string'"),
    ({"n": 10, "flag": 1}, None),
    ({"n": 10}, "'flag' is a dependency of 'n'"),
    ({"n": 7, "flag": "x"}, "the argument 'n': 7 is not a multiple of 5"),
    ({"flag": True}, "the argument 'flag': True is not one of [1, 'x']"),
    ({"tags": [1, 1]}, "the argument 'tags': [1, 1] has non-unique elements"),
    ({"tags": [1, 2, 3]}, "the argument 'tags': [1, 2, 3] is too long"),
]


@pytest.mark.parametrize(("arguments", "expected"), CHECKED, ids=[str(row[0]) for row in CHECKED])
async def test_arguments_are_checked_by_all_of_json_schema(
    context: Context, api: Api, arguments: dict[str, Any], expected: str | None
) -> None:
    text = json.dumps(arguments)
    async with tool(context, api, "/echo", parameters=OPEN) as live:
        result = await answer(live, config(api, "/echo", parameters=OPEN), text)
    assert len(api.requests) == (expected is None)
    assert expected is None or result == f"Error: {expected}"


@pytest.mark.parametrize(
    ("written", "path", "body"),
    [
        ("3.0", "/o/3", "3"),
        ("1e2", "/o/100", "100"),
        ("-0.0", "/o/0", "0"),
        ("18446744073709551617", "/o/18446744073709551617", "18446744073709551617"),
    ],
)
async def test_integers_are_sent_as_integers(context: Context, api: Api, written: str, path: str, body: str) -> None:
    parameters = {
        "n": "integer",
        "in": {"type": "object", "properties": {"of": {"type": "array", "items": {"type": "integer"}}}},
    }
    settings: dict[str, Any] = {"parameters": parameters, "method": "POST", "body": ["{in}"]}
    async with tool(context, api, "/o/{n}", **settings) as live:
        await live.call(ToolCall("1", "api", f'{{"n": {written}, "in": {{"of": [{written}]}}}}'), TURN)
    assert api.requests[0]["path"] == path
    assert api.requests[0]["body"] == f'[{{"of":[{body}]}}]'


def test_a_parameter_named_type_is_written_in_the_short_form() -> None:
    assert json_schema({"type": "string"})["properties"] == {"type": {"type": "string"}}
