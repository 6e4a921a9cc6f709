"""What a spec writes about a tool that is an HTTP request."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from victor_dsl.components.http_tools import checked_tool_headers, checked_url
from victor_dsl.components.tools.http.parameters import json_schema, schema_faults
from victor_dsl.components.tools.http.request import BODILESS, gaps, gaps_of_body
from victor_dsl.language.config import Secret, ToolConfig
from victor_dsl.nearest import suggest

METHODS = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Config(ToolConfig):
    """Offers one request to an HTTP API to the model.

    The spec sets the host. The model's arguments fill `{gaps}` in the path, the query and the body; they are escaped, so that
    they can change neither the host nor the path around them. A redirect to another host is refused. Arguments without a gap
    go into the query of a GET, HEAD or DELETE, and into the JSON body of others. The model receives the answer as text, up
    to `max_result_tokens`, and an answer that is not 2xx as an error. Proxies of the environment are not used.
    """

    description: str = Field(min_length=1, description="What the tool does and when to use it; the model reads this.")
    method: METHODS = Field("GET", description="The HTTP method.")
    url: str = Field(
        description="The address, with `{gaps}` for arguments in its path and its query.",
        examples=["https://api.example.com/orders/{order}?lines={lines}"],
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "The arguments: a JSON Schema of an object, or for each name a type (`string integer number boolean array object`, "
            "with a `?` where the argument may be left out) or a JSON Schema. Arguments that do not match are refused."
        ),
        examples=[{"order": "integer", "lines": "integer?"}],
    )
    body: dict[str, Any] | list[Any] | None = Field(
        None,
        description="The JSON body of a POST, PUT or PATCH; a text that is a single `{gap}` becomes that argument, of any type.",
        examples=[{"customer": {"id": "{customer}"}, "note": "from {name}"}],
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of every request.")
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict,
        description="Headers of every request whose values are secret. They are sent only to the host of the `url`.",
        examples=[{"X-Api-Key": "${env:ORDERS_KEY}"}],
    )
    bearer_token: Secret | None = Field(
        None, description="A token that is sent as a bearer token in the header `Authorization`."
    )
    allow_hosts: list[str] = Field(
        default_factory=list,
        description="More hosts that a redirect may lead to, over https; secrets are not sent there.",
    )

    @field_validator("url")
    @classmethod
    def _host_has_no_gap(cls, url: str) -> str:
        checked_url(url)
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0].partition("?")[0]
        if any(brace in scheme + host for brace in "{}"):
            raise ValueError("the host must not contain a `{gap}`: the spec sets it, not the model")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_are_allowed(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_tool_headers(headers)

    @field_validator("parameters")
    @classmethod
    def _parameters_are_a_schema(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if faults := schema_faults(parameters):
            errors = [
                InitErrorDetails(
                    type=PydanticCustomError("value_error", "{fault}", {"fault": fault}), loc=path, input=None
                )
                for path, fault in faults
            ]
            raise ValidationError.from_exception_data("parameters", errors)
        json_schema(parameters)
        return parameters

    @model_validator(mode="after")
    def _gaps_are_parameters(self) -> Config:
        schema = self.json_schema()
        path = self.url.partition("?")[0]
        for name in [*gaps(self.url), *gaps_of_body(self.body)]:
            if name not in schema["properties"]:
                raise ValueError(
                    f"`parameters` has no '{name}', which is in braces; {suggest(name, schema['properties'])}"
                )
        for name in gaps(path):
            if name not in schema.get("required", ()) and "default" not in schema["properties"][name]:
                raise ValueError(
                    f"the parameter '{name}' is part of the path, so it must be required or have a default"
                )
        if self.body is not None and self.method in BODILESS:
            raise ValueError(f"a {self.method} request has no `body`")
        return self

    def json_schema(self) -> dict[str, Any]:
        """The parameters as JSON Schema."""
        return json_schema(self.parameters)
