"""`victor dead-letters`: the events that an exporter did not take."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import click
import orjson

from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, UsageError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.connecting import with_needs
from victor_dsl.interfaces.cli.loop import run
from victor_dsl.interfaces.cli.output import counted, say, warning_line
from victor_dsl.interfaces.cli.shape import Command, Group
from victor_dsl.language.kinds import Exporter
from victor_dsl.language.registry import Registry
from victor_dsl.nearest import suggest
from victor_dsl.runtime.build import LiveObjects
from victor_dsl.runtime.clock import SystemClock
from victor_dsl.runtime.delivery.dead_letters import DeadLetter, DeadLetters
from victor_dsl.runtime.delivery.replaying import replay

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@click.group("dead-letters", cls=Group, example="victor dead-letters list victor.yml")
def command() -> None:
    """List, show, replay or drop the events that an exporter did not take.

    An event becomes a dead letter when its exporter refuses it, when its place stays away for longer than the
    exporter's `retry_seconds`, or when victor ends before it is delivered. Letters lie in the folder of local state.
    """


def _exporter(function: F) -> F:
    return click.option("--exporter", metavar="NAME", help="Only the letters of this exporter.")(function)


@command.command("list", cls=Command, example="victor dead-letters list victor.yml --exporter postgres")
@options.spec
@_exporter
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
@options.environment
def list_(spec: str, exporter: str | None, *, as_json: bool, env_files: tuple[str, ...], state: str | None) -> None:
    """List the letters: number, when it was put aside, exporter, type and id of the event, reason."""
    program = compile_or_exit(spec, Surroundings(env_files, state), need_secrets=False)
    node = _node(program, exporter)

    async def told(letters: DeadLetters) -> int:
        found = 0
        async for letter in _every(letters, node):
            found += 1
            if as_json:
                _print(letter)
            else:
                event = letter.event
                click.echo(
                    f"{letter.number:>6}  {letter.put_aside}  {letter.exporter.partition('/')[2]}  {event.type}  {event.id}  "
                    f"{_one_line(letter.reason)}"
                )
        return found

    found = _with(program, told)
    say("no dead letters" if not found else counted(found, "dead letter"))


@command.command("show", cls=Command, example="victor dead-letters show victor.yml 7")
@options.spec
@click.argument("numbers", metavar="NUMBER...", type=int, nargs=-1, required=True)
@options.environment
def show(spec: str, numbers: tuple[int, ...], *, env_files: tuple[str, ...], state: str | None) -> None:
    """Print letters whole, each with its event, as JSON Lines."""
    program = compile_or_exit(spec, Surroundings(env_files, state), need_secrets=False)
    for letter in _with(program, lambda letters: _these(letters, numbers)):
        _print(letter)


@command.command("replay", cls=Command, example="victor dead-letters replay victor.yml --exporter postgres")
@options.spec
@click.argument("numbers", metavar="[NUMBER...]", type=int, nargs=-1)
@_exporter
@options.environment
def replay_(
    spec: str, numbers: tuple[int, ...], exporter: str | None, *, env_files: tuple[str, ...], state: str | None
) -> None:
    """Hand letters to their exporters again: all, or those of the numbers. What is taken is forgotten here.

    An event that its place has already counts once. Exits 3 when an exporter refuses some again, or is away.
    """
    program = compile_or_exit(spec, Surroundings(env_files, state), need_secrets=True)
    node = _node(program, exporter)

    async def again(letters: DeadLetters) -> int:
        wanted = numbers or None
        if wanted:
            await _these(letters, wanted)
        refused = 0
        for name in [id for id in program.plan_for(None, {}).roles.exporters if node in {None, id}]:
            if not await letters.read(exporter=name, numbers=wanted, most=1):
                continue
            async with _opened(program, name) as live:
                outcome = await replay(letters, live, name, wanted, time.time())
            click.echo(f"{name}: {outcome.delivered} delivered, {len(outcome.refusals)} refused")
            for reason in dict.fromkeys(refusal.reason for refusal in outcome.refusals):
                say(warning_line(f"{name}: {_one_line(reason)}"))
            refused += len(outcome.refusals)
        return refused

    raise click.exceptions.Exit(EXIT_OUTSIDE if _with(program, again) else EXIT_OK)


@command.command("drop", cls=Command, example="victor dead-letters drop victor.yml 7 8")
@options.spec
@click.argument("numbers", metavar="[NUMBER...]", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Drop all letters, or all of the --exporter.")
@_exporter
@options.environment
def drop(
    spec: str,
    numbers: tuple[int, ...],
    exporter: str | None,
    *,
    every: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Forget letters for good: those of the numbers, or --all."""
    if bool(numbers) == every:
        raise click.UsageError("give the numbers of letters, or --all")
    program = compile_or_exit(spec, Surroundings(env_files, state), need_secrets=False)
    node = _node(program, exporter)

    async def forget(letters: DeadLetters) -> int:
        found = await _these(letters, numbers) if numbers else [letter async for letter in _every(letters, node)]
        if found:
            await letters.remove([letter.number for letter in found])
        return len(found)

    say(f"dropped {counted(_with(program, forget), 'dead letter')}")


def _with(program: Program, work: Callable[[DeadLetters], Coroutine[Any, Any, T]]) -> T:
    async def opened() -> T:
        letters = DeadLetters(program.state)
        try:
            return await work(letters)
        finally:
            await letters.close()

    return run(opened())


async def _every(letters: DeadLetters, node: str | None) -> AsyncIterator[DeadLetter]:
    after = 0
    while batch := await letters.read(exporter=node, after=after):
        for letter in batch:
            yield letter
        after = batch[-1].number


async def _these(letters: DeadLetters, numbers: Sequence[int]) -> list[DeadLetter]:
    """The letters of these numbers. Raises UsageError where there is none of one."""
    found = await letters.read(numbers=numbers, most=len(numbers))
    known = {letter.number for letter in found}
    if missing := [str(number) for number in numbers if number not in known]:
        raise UsageError(f"there is no dead letter {', '.join(missing)}")
    return found


def _node(program: Program, name: str | None) -> str | None:
    """The id of the exporter of a name. Raises UsageError."""
    if name is None:
        return None
    known = [id.partition("/")[2] for id in program.plan_for(None, {}).roles.exporters]
    if name not in known:
        raise UsageError(f"exporters has no '{name}'; {suggest(name, known, what='exporters')}")
    return f"exporters/{name}"


@asynccontextmanager
async def _opened(program: Program, id: str) -> AsyncIterator[Exporter]:
    """The exporter alone, with what it needs."""
    plan = program.plan_for(None, {})
    live = LiveObjects(
        program,
        Registry(),
        SystemClock(),
        Random(),  # noqa: S311 - jitter
        lambda node, message, _: say(warning_line(f"{node}: {message}")),
    )
    held = await live.open(with_needs(plan, plan.by_id[id]))
    try:
        yield held.objects[id]
    finally:
        await asyncio.shield(live.release(held))


def _print(letter: DeadLetter) -> None:
    """The letter as a line of JSON; what JSON cannot say is null, a lone surrogate is told by its escape."""
    try:
        click.echo(orjson.dumps(letter.as_json()))
    except TypeError:
        click.echo(json.dumps(letter.as_json()))


def _one_line(text: str) -> str:
    return " ".join(text.split())
