"""Who asks on the command line: what `--session`, `--tenant`, `--user`, `--arm` and `--var` say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.arms import read_arms
from victor_dsl.interfaces.cli.output import pairs
from victor_dsl.values.request import API_KEY, Request


@frozen
class Caller:
    """The caller of every request of one command. A request line's own words go before these."""

    session: str | None = None
    tenant: str | None = None
    user: str | None = None
    arms: Mapping[str, str] = field(factory=dict)
    vars: Mapping[str, str] = field(factory=dict)
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def read(
        cls,
        program: Program,
        *,
        session: str | None,
        tenant: str | None,
        user: str | None,
        arms: Sequence[str],
        variables: Sequence[str],
        api_key: str | None = None,
    ) -> Caller:
        """The caller that the options mean. Raises UsageError."""
        return cls(session, tenant, user, read_arms(arms, program), pairs(variables, "--var"), api_key or None)

    def request(self, message: str) -> Request:
        """The request that one message is."""
        return self.behind(Request(message=message))

    def behind(self, request: Request) -> Request:
        """The request, with the caller's words where it has none of its own."""
        return evolve(
            request,
            session=request.session or self.session,
            tenant=request.tenant or self.tenant,
            user=request.user or self.user,
            arms=self.arms,
            vars={**self.vars, **request.vars},
            metadata={} if self.api_key is None else {API_KEY: self.api_key},
        )
