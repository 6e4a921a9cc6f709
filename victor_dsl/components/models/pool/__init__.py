"""Several models under one name: endpoints, regions or keys of the same model, each with its own limits and circuit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from victor_dsl.components.circuits import CircuitConfig
from victor_dsl.language.component import Context
from victor_dsl.language.config import Model, ModelConfig, Ref
from victor_dsl.language.kinds import ModelPool
from victor_dsl.nearest import suggest

_PRICES = ("input_usd_per_million", "output_usd_per_million", "cached_usd_per_million", "cache_write_usd_per_million")


class MemberLimits(Model):
    """What one member may be asked for. Without a value there is no limit."""

    requests_per_minute: float | None = Field(
        None,
        gt=0,
        description="Calls started per minute. One minute's worth may be used at once, and comes back evenly.",
    )
    tokens_per_minute: float | None = Field(
        None,
        gt=0,
        description="Input and output tokens per minute. They are estimated before a call, and corrected after it.",
    )
    concurrency: int | None = Field(None, ge=1, description="Calls that run at the same time.")


class Config(ModelConfig):
    """Passes each call on to one of several models: endpoints, regions or keys under one name.

    A session stays with its member, whose prompt cache knows it, as long as that is well and within its limits. Else the
    call goes to another member, before any fallback of the spec, and never after a piece was streamed. A member that fails
    several times in a row is not called for a while. Each call of a member is a `model_call` event that names it in
    `member`. The context window is the smallest of the members', and each call has its member's price and `settings`.
    """

    members: Annotated[list[str], Ref("models")] = Field(
        min_length=1, description="The models, by their names under `models`.", examples=[["eu", "us"]]
    )
    by: Literal["order", "weight", "least_busy"] = Field(
        "order",
        description="How members are chosen: the first that can be called (`order`, the default), each session by its hash in "
        "proportion to `weights` (`weight`), or each new session by the number of calls that run (`least_busy`).",
    )
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="The members' shares, by name, for `weight` and `least_busy`. The default is 1.",
        examples=[{"eu": 3, "us": 1}],
    )
    limits: dict[str, MemberLimits] = Field(
        default_factory=dict,
        description="The members' limits, by name. Each process counts for itself.",
        examples=[{"eu": {"requests_per_minute": 600, "concurrency": 20}}],
    )
    circuit: CircuitConfig = Field(
        default_factory=CircuitConfig, description="When a member that fails is no longer called, and for how long."
    )

    @field_validator("weights", "limits", mode="before")
    @classmethod
    def _are_of_members(cls, value: Any, info: ValidationInfo) -> Any:
        names = [_name(member) for member in info.data.get("members", ())]
        for name in value if names and isinstance(value, Mapping) else ():
            if name not in names:
                raise ValueError(f"'{name}' is not one of the members; {suggest(str(name), names, what='members')}")
        return value

    @model_validator(mode="after")
    def _names_its_members(self) -> Self:
        names = [_name(member) for member in self.members]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"members has '{name}' twice")
        if self.weights and self.by == "order":
            raise ValueError("weights have no effect with `by: order`; write `by: weight` or `by: least_busy`")
        if any(getattr(self, price) is not None for price in _PRICES):
            raise ValueError("a pool has no prices of its own; write them on its members")
        return self


EXAMPLE = "{type: pool, members: [eu, us], by: weight, weights: {eu: 3, us: 1}}"


def build(config: Config, context: Context) -> ModelPool:
    """The pool. Its circuits, counters and sessions outlive it."""
    from victor_dsl.components.models.pool.member import Member
    from victor_dsl.components.models.pool.pool import Pool
    from victor_dsl.components.usage_buckets import Demand, MemoryBuckets

    memory, buckets = context.memory, MemoryBuckets(context.memory.setdefault("usage", {}), context.clock)
    states = memory.setdefault("members", {})
    members = []
    for id in config.members:
        name = _name(id)
        limits = config.limits.get(name, MemberLimits())
        key = f"{name} {context.configs.get(id)!r}"
        demand = Demand("", limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency)
        weight = config.weights.get(name, 1.0)
        members.append(
            Member(name, key, context.live(id), weight, demand, config.circuit, buckets, states, context.clock)
        )
    return Pool(context.node, config.by, members, memory.setdefault("sessions", OrderedDict()))


def _name(id: str) -> str:
    return id.removeprefix("models/")
