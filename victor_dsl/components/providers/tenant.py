"""The provider that reads each tenant's row of a database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NoReturn

from pydantic import Field

from victor_dsl.components.tenant_rows import TenantRows, TenantRowsConfig, quoted
from victor_dsl.errors import ProviderError, Refused
from victor_dsl.language.component import Context
from victor_dsl.language.config import Maxima, ProviderConfig, ValueGlobs
from victor_dsl.nearest import nearest, suggest
from victor_dsl.values.additions import take_additions
from victor_dsl.values.codec import read_settings, read_vars
from victor_dsl.values.faults import Fault, Faulty, kind_of
from victor_dsl.values.path_globs import MOST_GLOBS, WILD, PathGlobs, leaves
from victor_dsl.values.settings import Layer
from victor_dsl.values.turn import Turn

SECTIONS = ("settings", "vars")


class Config(TenantRowsConfig, ProviderConfig):
    """Gives each tenant the settings and vars of its row in the table `tenant_configs`, which `victor db migrate` creates.

    Its columns are `tenant_id`, `config`, which is `{"settings": {…}, "vars": {…}}` as JSONB or JSON text, and `active`.
    A tenant that is not active is refused. So are a tenant without a row and a turn without a tenant, unless there is a
    `default` or the provider is `optional`. While a row cannot be read, or is faulty, its last good values stay in force.
    A row that sets other values than `may_set`, or more than `at_most`, is faulty.
    """

    knows_tenants: ClassVar[bool] = True

    may_set: Annotated[list[str] | None, ValueGlobs()] = Field(
        None,
        description="The settings and vars that rows may set: paths with `*`, each with everything below it. Left out: all that "
        "is not `locked`.",
        max_length=MOST_GLOBS,
        examples=[["settings.temperature", "vars.*"]],
    )
    at_most: Annotated[dict[str, float] | None, Maxima()] = Field(
        None,
        description="The greatest values that rows may set, by the path in `settings`. `null` removes a limit, so it is more than "
        "any value.",
        examples=[{"limits.requests_per_minute": 60}],
    )


EXAMPLE = "{type: tenant, database: app, priority: 100}"


def build(config: Config, context: Context) -> TenantConfigs:
    """The provider; a tenant's row is read at its first turn."""
    return TenantConfigs(config, context)


class TenantConfigs:
    """Layers from rows. Turns without a row of their own share one layer."""

    def __init__(self, config: Config, context: Context) -> None:
        self._node = context.node
        self._place = context.place
        self._may_set = None if config.may_set is None else PathGlobs(config.may_set)
        self._rights = tuple(config.may_set or ())
        self._at_most = {
            ("settings", *key.removeprefix("settings.").split(".")): most
            for key, most in (config.at_most or {}).items()
        }
        self._default = config.default
        self._empty = Layer(context.node) if config.optional else None
        self._rows = TenantRows(
            config,
            context,
            ("tenant_configs", "config"),
            self._parse,
            error=ProviderError,
            meanwhile="the last good values stay in force",
        )

    async def read(self, turn: Turn) -> Layer:
        for tenant in (turn.tenant, self._default):
            if tenant is None:
                continue
            row = await self._rows.get(tenant)
            if not row.is_active:
                raise Refused(f"the tenant {quoted(tenant)} is not active", node=self._node)
            if row.value is not None:
                return row.value
        if self._empty is not None:
            return self._empty
        if turn.tenant is None:
            raise Refused("the turn names no tenant", node=self._node)
        raise Refused(f"there is no row for the tenant {quoted(turn.tenant)}", node=self._node)

    async def knows(self, tenant: str) -> bool:
        """Whether the tenant has an active row of its own."""
        return (await self._rows.get(tenant)).value is not None

    def _parse(self, tenant: str, config: Any) -> Layer:
        """The layer of a row's config: JSON text, or the values that JSONB arrives as. Raises ProviderError."""
        where = f"the config of tenant {quoted(tenant)} in the table tenant_configs"
        try:
            # Values go through JSON text too, so that one parser decides what they mean.
            text = config if isinstance(config, str) else json.dumps(config)
            values = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise ProviderError(f"{where} is not JSON: {error}", node=self._node) from error
        try:
            values, added = take_additions(values)
        except Faulty as error:
            raise ProviderError(f"{where} is not a layer: {error}", node=self._node) from error
        if faults := list(_faults(values)):
            raise ProviderError(f"{where} is not a layer: {Faulty(faults)}", node=self._node)
        if faults := list(self._trespasses(values)):
            raise ProviderError(f"{where} sets values that rows may not set: {Faulty(faults)}", node=self._node)
        settings, vars = values.get("settings") or {}, values.get("vars") or {}
        return Layer(self._node, settings, vars, added=added, name=where)

    def _trespasses(self, values: Mapping[str, Any]) -> Iterator[Fault]:
        """What a sound row sets beyond its rights."""
        written = [leaf for section in SECTIONS for leaf in leaves(values.get(section) or {}, (section,))]
        for path, value in written:
            if not self._allows(path, value):
                yield Fault(path, f"a row may not set {'.'.join(path)}", self._instead(path))
        for limited, most in self._at_most.items():
            for path, value in written:
                if path == limited and value is not None and value > most:
                    yield Fault(path, f"{'.'.join(path)} {self._bound(most)}")
                elif value is None and limited[: len(path)] == path:
                    yield Fault(path, f"{'.'.join(limited)} {self._bound(most)}, and null removes the limit")

    def _allows(self, path: tuple[str, ...], value: Any) -> bool:
        rights = self._may_set
        return rights is None or rights.covering(path) is not None or (value == {} and rights.below(path) is not None)

    def _instead(self, path: tuple[str, ...]) -> str:
        """What rows may set. Only vars have a nearest one: a row's settings are spelt right, as they were checked before."""
        rights = suggest("", self._rights, what=f"`may_set` ({self._place})")
        vars = [right for right in self._rights if WILD.isdisjoint(right) and right.startswith("vars.")]
        meant = nearest(".".join(path), vars) if path[0] == "vars" else None
        return f"did you mean '{meant}'? {rights}" if meant else rights

    def _bound(self, most: float) -> str:
        return f"may be at most {most:,.15g} (`at_most`, {self._place})"


def _faults(values: Any) -> Iterator[Fault]:
    if not isinstance(values, dict):
        yield Fault((), f"it must be a map of settings and vars, not {kind_of(values)}")
        return
    for key in values:
        if key not in SECTIONS:
            yield Fault((), f"there is no section '{key}'; {suggest(key, SECTIONS)}")
    for section, check in (("settings", read_settings), ("vars", read_vars)):
        if values.get(section) is not None:
            try:
                check(values[section])
            except Faulty as error:
                yield from error.faults


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(values := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' is written twice")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")
