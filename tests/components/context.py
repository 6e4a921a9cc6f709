"""What tests build components with: real folders, a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen

from victor_dsl.errors import SecretError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Config, Secret
from victor_dsl.values.turn import Turn


@define
class StillClock:
    """Time that passes only when a test says so."""

    time: float = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


@frozen
class Surroundings:
    """A context, and what was reported to it."""

    context: Context
    clock: StillClock
    reports: list[tuple[str, Mapping[str, Any]]] = field(factory=list)


def surroundings(
    directory: Path,
    node: str = "section/name",
    *,
    place: str = "",
    environment: Mapping[str, str] | None = None,
    needs: Mapping[str, Any] | None = None,
    configs: Mapping[str, Config] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Surroundings:
    """A context for one node of a spec in that folder."""
    variables = environment or {}

    def secret(reference: Secret) -> str:
        if reference.source == "env" and reference.name in variables:
            return variables[reference.name]
        raise SecretError(f"{reference} is not there")

    clock = StillClock()
    reports: list[tuple[str, Mapping[str, Any]]] = []
    context = Context(
        node=node,
        directory=directory,
        state=directory / ".victor",
        needs=needs or {},
        secret=secret,
        clock=clock,
        random=Random(7),
        report=lambda message, data: reports.append((message, data)),
        place=place,
        environment=variables,
        configs=configs or {},
        files=files or {},
    )
    return Surroundings(context, clock, reports)


TURN = Turn(id="t1", session="s1", messages=())
