"""What a spec writes about an MCP server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from victor_dsl.components.http_tools import checked_tool_headers, checked_url
from victor_dsl.language.config import CommandLine, FilePath, Model, Secret, ToolConfig

Elicitation = Literal["decline", "defaults"]


class ClientCredentials(Model):
    """A token by OAuth's client credentials: fetched when it is needed, and once more where the server refuses it."""

    type: Literal["client_credentials"] = Field(description="How a token is got. There is no login by a browser.")
    token_url: str | None = Field(
        None,
        description="The address of the authorization server's token endpoint.",
        examples=["https://login.example.com/oauth2/token"],
    )
    issuer: str | None = Field(
        None,
        description="The authorization server, whose metadata name the token endpoint; instead of `token_url`.",
        examples=["https://login.example.com"],
    )
    client_id: str = Field(min_length=1, description="The client's id at the authorization server.")
    client_secret: Secret = Field(description="The client's secret, which is sent to the authorization server alone.")
    scope: str | None = Field(
        None, description="The scopes to ask for, with spaces between them.", examples=["tools.read"]
    )
    credentials_in: Literal["header", "body"] = Field(
        "header", description="Whether the client's id and secret are sent as Basic authorization or in the body."
    )

    @field_validator("token_url", "issuer")
    @classmethod
    def _addresses(cls, url: str | None) -> str | None:
        return url if url is None else checked_url(url)

    @model_validator(mode="after")
    def _either_endpoint_or_issuer(self) -> ClientCredentials:
        if (self.token_url is None) == (self.issuer is None):
            raise ValueError("it needs either a `token_url` or an `issuer`")
        return self


class Config(ToolConfig):
    """Offers the tools of a server of the Model Context Protocol, each as `<name>__<tool>`.

    The server is a `command`, which is run as a process, or a `url` that speaks streamable HTTP. It must be reachable when the
    spec is opened. If it ends later it is started again, and the model receives an error for each call that it did not
    answer. Each tenant has its own connection, and so its own process, unless the server is `stateless`. Of this
    process's environment the server sees PATH, HOME and a few more variables; write the others under `env`. Its
    standard error goes to the log `victor_dsl.mcp`. Needs the extra `mcp`.
    """

    command: Annotated[list[str] | None, CommandLine()] = Field(
        None,
        min_length=1,
        description="The server's program and its arguments.",
        examples=[["npx", "-y", "@modelcontextprotocol/server-filesystem", "./data"]],
    )
    url: str | None = Field(
        None,
        description="The address of a server that speaks streamable HTTP, instead of a command.",
        examples=["https://tools.example.com/mcp"],
    )
    env: dict[str, str] = Field(default_factory=dict, description="Variables of the server's environment.")
    secret_env: dict[str, Secret] = Field(
        default_factory=dict,
        description="Variables of the server's environment that are secret.",
        examples=[{"GITHUB_TOKEN": "${env:GITHUB_TOKEN}"}],
    )
    cwd: Annotated[str | None, FilePath()] = Field(
        None, description="The server's working directory. Left out, it is the spec's folder."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of every request to the `url`.")
    secret_headers: dict[str, Secret] = Field(
        default_factory=dict, description="Headers of every request to the `url` whose values are secret."
    )
    bearer_token: Secret | None = Field(None, description="A token that is sent to the `url` as a bearer token.")
    auth: ClientCredentials | None = Field(
        None,
        description="How the token for the `url` is got, instead of a `bearer_token`.",
        examples=[
            {
                "type": "client_credentials",
                "token_url": "https://login.example.com/oauth2/token",
                "client_id": "support",
                "client_secret": "${env:TOOLS_SECRET}",
            }
        ],
    )
    stateless: bool = Field(
        False,
        description="Whether the server keeps no state between calls, so that all tenants may share one connection.",
    )
    max_tenants: int = Field(
        16,
        ge=1,
        description=(
            "How many tenants may be connected at the same time. One more ends the connection of the tenant whose last call "
            "was the longest ago; the state of its server is then lost."
        ),
    )
    allow: list[str] | None = Field(
        None, description="Globs of the server's tools that are offered. Left out, all are.", examples=[["read_*"]]
    )
    deny: list[str] = Field(
        default_factory=list, description="Globs of the server's excluded tools; they take precedence over `allow`."
    )
    instructions: bool = Field(
        False,
        description=(
            "Whether the server's own instructions for its tools are added to the end of the system prompt, up to 1,000 tokens. The "
            "model obeys them as it obeys yours, and the server may change them: only for servers that you trust."
        ),
    )
    elicitation: Elicitation = Field(
        "decline",
        description=(
            "What a server receives that asks the user for input in the middle of a call. `decline` declines; `defaults` accepts "
            "forms whose required fields all have defaults, with these defaults, so that a question such as 'Really delete?' may be "
            "answered with yes. Other forms and web pages are declined."
        ),
        examples=["defaults"],
    )
    startup_seconds: float = Field(
        30.0, gt=0, description="The time limit for starting the server, connecting to it and listing its tools."
    )

    def lists_tools(self) -> bool:
        """Its server does."""
        return True

    @field_validator("url")
    @classmethod
    def _url_is_an_address(cls, url: str | None) -> str | None:
        return url if url is None else checked_url(url)

    @field_validator("headers")
    @classmethod
    def _headers_are_allowed(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_tool_headers(headers)

    @model_validator(mode="after")
    def _either_command_or_url(self) -> Config:
        if (self.command is None) == (self.url is None):
            raise ValueError("an MCP server needs either a `command` or a `url`")
        wrong = ("headers", "secret_headers", "bearer_token", "auth") if self.command else ("env", "secret_env", "cwd")
        for name in wrong:
            if getattr(self, name):
                raise ValueError(f"`{name}` is only for a server with a `{'url' if self.command else 'command'}`")
        if self.auth is not None and self.bearer_token is not None:
            raise ValueError("`auth` gets a token, so there is no `bearer_token`")
        return self
