"""What components that ask a server over HTTP can be told, whatever their kind."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from victor_dsl.language.config import Model, Secret
from victor_dsl.transport.address import checked_address, checked_headers


class Served(Model):
    """What every component behind HTTP can be told. `OWN_FIELDS` are those of a request's body that it sets itself."""

    OWN_FIELDS: ClassVar[frozenset[str]] = frozenset()

    connect_timeout_seconds: float = Field(10.0, gt=0, description="How long a connection, with TLS, may take to open.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers of every request. A key belongs into `api_key`, where it is kept secret.",
        examples=[{"OpenAI-Organization": "org-123"}],
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="Further fields of every request's JSON body, for what this server has beyond the usual.",
        examples=[{"user": "support"}],
    )
    proxy: str | None = Field(
        None,
        description="The URL of an HTTP proxy that requests go through. Left out: none, whatever the environment says.",
    )

    @field_validator("headers")
    @classmethod
    def _headers_are_plain(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_headers(headers)

    @field_validator("extra_body")
    @classmethod
    def _body_is_not_replaced(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(cls.OWN_FIELDS & extra.keys()):
            raise ValueError(f"extra_body cannot set '{name}', which every request has of its own")
        return extra

    @field_validator("proxy")
    @classmethod
    def _proxy_is_an_address(cls, proxy: str | None) -> str | None:
        return proxy if proxy is None else checked_address(proxy)


class ServedByOpenAI(Served):
    """The address and the key of OpenAI, or of a server that speaks one of its APIs."""

    base_url: str = Field(
        "https://api.openai.com/v1",
        description="The address that the API's paths are added to.",
        examples=["http://127.0.0.1:11434/v1"],
    )
    api_key: Secret | None = Field(
        None, description="The API key. Servers of your own may need none.", examples=["${env:OPENAI_API_KEY}"]
    )
    api_key_header: str = Field(
        "Authorization",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The header that carries the key: `Authorization` as a bearer token, any other as it is.",
        examples=["api-key"],
    )

    @field_validator("base_url")
    @classmethod
    def _base_url_is_an_address(cls, base_url: str) -> str:
        return checked_address(base_url)

    @model_validator(mode="after")
    def _openai_needs_a_key(self) -> Self:
        if self.api_key is None and self.base_url.startswith("https://api.openai.com/"):
            raise ValueError("api.openai.com needs an `api_key`; for another server, write its `base_url`")
        return self
