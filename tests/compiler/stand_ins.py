"""Middleware that the rules know by name and that the package does not have yet, for tests of those rules."""

from __future__ import annotations

from typing import Any, Literal

from victor_dsl.language.component import Component, Context
from victor_dsl.language.config import Config, MiddlewareConfig
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry


class StandIn(MiddlewareConfig):
    """Lets everything through."""

    limit: int | None = None


def _build(config: Config, context: Context) -> Any:
    raise NotImplementedError


def middleware(type: str, around: Literal["turn", "model", "tool"] = "turn") -> Component:
    """A middleware of that name."""
    enforces = frozenset({"requests_per_minute"} if type == "rate_limit" else ())
    return Component(KINDS["middleware"], type, StandIn, _build, example=type, around=(around,), enforces=enforces)


REGISTRY = Registry(
    [
        *(middleware(type) for type in ("auth", "rate_limit", "redact", "budget", "concurrency", "timeout")),
        *(middleware(type, "model") for type in ("cache", "retry", "circuit_breaker")),
    ],
    entry_points=False,
)
