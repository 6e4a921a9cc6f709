"""The caller of a command's requests: `--session`, `--tenant`, `--user`, `--arm`, `--var`, `--set` and `--api-key`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from attrs import evolve, field, frozen

from victor_dsl.errors import UsageError
from victor_dsl.graph.plan import Plan, Program
from victor_dsl.interfaces.cli.options import CallerOptions
from victor_dsl.nearest import suggest
from victor_dsl.values.request import API_KEY, Request


@frozen
class Caller:
    """The caller of every request of one command. Fields of a request line take precedence."""

    session: str | None = None
    tenant: str | None = None
    user: str | None = None
    arms: Mapping[str, str] = field(factory=dict)
    vars: Mapping[str, str] = field(factory=dict)
    inputs: Mapping[str, str] = field(factory=dict)
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, program: Program, written: CallerOptions, api_key: str | None = None) -> Caller:
        """The caller that the options describe. Raises UsageError."""
        arms = read_arms(written.arms, program)
        named = _pairs(written.variables, "--var", "NAME=VALUE")
        given = _pairs(written.inputs, "--set", "NAME=VALUE")
        return cls(written.session, written.tenant, written.user, arms, named, given, api_key or None)

    def request(self, message: str) -> Request:
        """This caller's request with one message."""
        return self.complete(Request(message=message))

    def complete(self, request: Request) -> Request:
        """The request, completed with what it does not say itself."""
        return evolve(
            request,
            session=request.session or self.session,
            tenant=request.tenant or self.tenant,
            user=request.user or self.user,
            arms=self.arms,
            vars={**self.vars, **request.vars},
            inputs={**self.inputs, **request.inputs},
            metadata={} if self.api_key is None else {API_KEY: self.api_key},
        )


def plan_of(program: Program, tenant: str | None, arms: Mapping[str, str]) -> Plan:
    """The plan of a tenant and arms. Raises Refused for a tenant whose turns are; what a provider knows is not asked."""
    plan = program.plan_for(tenant, arms)
    refusal = plan.unknown_tenant(tenant, suggests=True)
    if refusal is not None and not plan.tenant_providers():
        raise refusal
    return plan


def read_arms(options: Sequence[str], program: Program) -> Mapping[str, str]:
    """The arm that `--arm experiment=arm` forces in each experiment. Raises UsageError with the nearest name."""
    arms = _pairs(options, "--arm", "EXPERIMENT=ARM")
    known = {experiment.name: experiment.arms for experiment in program.experiments}
    for experiment, arm in arms.items():
        if experiment not in known:
            raise UsageError(f"variants has no '{experiment}'; {suggest(experiment, known, what='experiments')}")
        if arm not in known[experiment]:
            raise UsageError(
                f"variants.{experiment} has no arm '{arm}'; {suggest(arm, known[experiment], what='arms')}"
            )
    return arms


def _pairs(values: Sequence[str], option: str, form: str) -> Mapping[str, str]:
    """The keys and values of a repeated option, each written in the `form` KEY=VALUE. Raises UsageError."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{option} expects {form}, not '{value}'")
        if key in found:
            raise click.UsageError(f"{option} sets '{key}' twice")
        found[key] = text
    return found
