"""The configuration of components that call an HTTP server, whatever their kind."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from victor_dsl.language.config import Model, Secret
from victor_dsl.transport.server_config import checked_address, checked_headers


class HttpConfig(Model):
    """The fields of every component that calls an HTTP server.

    `RESERVED_FIELDS` are the fields of a request's body that the component itself sets.
    """

    RESERVED_FIELDS: ClassVar[frozenset[str]] = frozenset()

    base_url: str = Field(description="The address that the API's paths are appended to.")
    api_key: Secret | None = Field(None, description="The API key.")
    api_key_header: str = Field(
        "Authorization",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The header that carries the key: as a bearer token in `Authorization`, unchanged in any other.",
        examples=["api-key"],
    )
    connect_timeout_seconds: float = Field(
        10.0, gt=0, description="The time limit for opening a connection, TLS included."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="More headers for every request. Write keys as `api_key`, which keeps them secret.",
        examples=[{"OpenAI-Organization": "org-123"}],
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="More fields for the JSON body of every request, for features that only this server has.",
        examples=[{"user": "support"}],
    )
    proxy: str | None = Field(
        None,
        description="The URL of an HTTP proxy to send requests through. The default is no proxy; the environment is ignored.",
    )

    @field_validator("base_url")
    @classmethod
    def _base_url_is_an_address(cls, base_url: str) -> str:
        return checked_address(base_url)

    @field_validator("headers")
    @classmethod
    def _headers_are_allowed(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_headers(headers)

    @field_validator("extra_body")
    @classmethod
    def _extra_body_replaces_nothing(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(cls.RESERVED_FIELDS & extra.keys()):
            raise ValueError(f"'extra_body' cannot set '{name}', which the component itself sets")
        return extra

    @field_validator("proxy")
    @classmethod
    def _proxy_is_an_address(cls, proxy: str | None) -> str | None:
        return proxy if proxy is None else checked_address(proxy)


class OpenAIServerConfig(HttpConfig):
    """The address and the key of OpenAI, or of another server with one of OpenAI's APIs."""

    base_url: str = Field(
        "https://api.openai.com/v1",
        description="The address that the API's paths are appended to.",
        examples=["http://127.0.0.1:11434/v1"],
    )
    api_key: Secret | None = Field(
        None, description="The API key. A server of your own may need none.", examples=["${env:OPENAI_API_KEY}"]
    )

    @model_validator(mode="after")
    def _openai_needs_a_key(self) -> Self:
        if self.api_key is None and self.base_url.startswith("https://api.openai.com/"):
            raise ValueError("api.openai.com needs an `api_key`; for another server, set `base_url`")
        return self
