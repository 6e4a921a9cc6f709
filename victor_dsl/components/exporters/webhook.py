"""The exporter that posts batches of events to an address of your own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
from attrs import frozen
from pydantic import Field, field_validator

from victor_dsl.components.event_lines import json_line
from victor_dsl.components.event_posts import EventPosts, event_posts
from victor_dsl.components.http_tools import checked_tool_headers, checked_url, secret_headers
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Clock, Context
from victor_dsl.language.config import ExporterConfig, Secret
from victor_dsl.values.event import Event

PREFIX = "whsec_"
"""Begins secrets of Standard Webhooks; the rest is base64."""


class Config(ExporterConfig):
    """Posts batches of events, as a JSON array, to an address.

    Each event follows `schemas/event.schema.json`. A batch that was not answered with a status of 2xx is posted again; so a receiver
    may get an event twice, and knows it by its `id`. The statuses 400, 413, 415 and 422 refuse events: the batch is halved until the
    refused ones are found, which become dead letters. All others are taken for a receiver that will be mended.

    With a `secret` each request is signed as in Standard Webhooks 1.0: `webhook-signature` is the HMAC-SHA-256 of `webhook-id`,
    `webhook-timestamp` and the body. `webhook-id` is the same for the same events.
    """

    url: str = Field(description="The address.", examples=["https://hooks.example.com/victor"])
    headers: dict[str, str] = Field(
        default_factory=dict, description="More headers for every request, without secrets."
    )
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict,
        description="Headers whose values are secrets.",
        examples=[{"X-Api-Key": "${env:HOOK_KEY}"}],
    )
    bearer_token: Secret | None = Field(None, description="The token for the header `Authorization: Bearer …`.")
    secret: Secret | None = Field(
        None, description="The key that requests are signed with: text, or base64 after `whsec_`."
    )
    timeout_seconds: float = Field(10.0, gt=0, le=60, description="The time limit for one request.")

    @field_validator("url")
    @classmethod
    def _url_is_an_address(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("headers")
    @classmethod
    def _headers_have_no_secrets(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_tool_headers(headers)


EXAMPLE = '{type: webhook, url: "https://hooks.example.com/victor", secret: "${env:HOOK_SECRET}"}'


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[Webhook]:
    """The exporter. Raises SecretError, and ComponentError for a secret that cannot be used."""
    key = None if config.secret is None else _key(context.secret(config.secret))
    secrets = secret_headers(config.secret_headers, config.bearer_token, context)
    async with event_posts(config.url, context.node, config.headers, secrets, config.timeout_seconds) as posts:
        yield Webhook(posts, key, context.clock)


@frozen
class Webhook:
    """Posts events; `key` signs them."""

    posts: EventPosts
    key: bytes | None
    clock: Clock

    async def export(self, events: Sequence[Event]) -> None:
        lines = [json_line(event).rstrip(b"\n") for event in events]
        body = b"[" + b",".join(lines) + b"]"
        headers = {"Content-Type": "application/json", "webhook-id": batch_id(events)}
        if self.key is not None:
            headers |= signed(headers["webhook-id"], int(self.clock.now()), body, self.key)
        await self.posts.post(body, headers)


def batch_id(events: Sequence[Event]) -> str:
    """A name of a batch, the same for the same events."""
    return f"batch_{hashlib.sha256(orjson.dumps([event.id for event in events])).hexdigest()[:32]}"


def signed(id: str, timestamp: int, body: bytes, key: bytes) -> dict[str, str]:
    """The headers that sign a request (Standard Webhooks 1.0): `timestamp` is in Unix seconds."""
    digest = hmac.digest(key, b"%b.%d.%b" % (id.encode(), timestamp, body), hashlib.sha256)
    return {"webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ComponentError(f"what follows {PREFIX} in the secret is not base64") from error
