"""`victor dead-letters`: the events that an exporter did not accept."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import click
import orjson

from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, UsageError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command, Group
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import count_of, say, warning_line
from victor_dsl.interfaces.cli.running import opened, run
from victor_dsl.nearest import suggest
from victor_dsl.runtime.delivery.dead_letters import DeadLetter, DeadLetters

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@click.group("dead-letters", cls=Group, example="victor dead-letters list victor.yml")
def dead_letters() -> None:
    """List, show, replay or drop the events that an exporter did not accept.

    An event becomes a dead letter when its exporter refuses it, when the exporter's target is unreachable for longer
    than its `retry_seconds`, or when victor ends before the event is delivered. Dead letters are stored in the folder
    of local state.
    """


def _exporter(function: F) -> F:
    return click.option("--exporter", metavar="NAME", help="Only the letters of this exporter.")(function)


@dead_letters.command("list", cls=Command, example="victor dead-letters list victor.yml --exporter postgres")
@options.spec
@_exporter
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines.")
@options.environment
def list_(spec: str, exporter: str | None, *, as_json: bool, env_files: tuple[str, ...], state: str | None) -> None:
    """List the letters: number, time, exporter, type and id of the event, reason."""
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=False)
    node = _node(program, exporter)

    async def listed(letters: DeadLetters) -> int:
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

    found = _with(program, listed)
    say("no dead letters" if not found else count_of(found, "dead letter"))


@dead_letters.command("show", cls=Command, example="victor dead-letters show victor.yml 7")
@options.spec
@click.argument("numbers", metavar="NUMBER...", type=int, nargs=-1, required=True)
@options.environment
def show(spec: str, numbers: tuple[int, ...], *, env_files: tuple[str, ...], state: str | None) -> None:
    """Print letters with their events, as JSON Lines."""
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=False)
    for letter in _with(program, lambda letters: _these(letters, numbers)):
        _print(letter)


@dead_letters.command("replay", cls=Command, example="victor dead-letters replay victor.yml --exporter postgres")
@options.spec
@click.argument("numbers", metavar="[NUMBER...]", type=int, nargs=-1)
@_exporter
@options.environment
def replay_(
    spec: str, numbers: tuple[int, ...], exporter: str | None, *, env_files: tuple[str, ...], state: str | None
) -> None:
    """Send letters to their exporters again: all, or those with these numbers. Accepted letters are removed.

    An event that is already stored there still counts once. Exits 3 when an exporter refuses some again, or is
    unreachable.
    """
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=True)
    node = _node(program, exporter)

    async def again(letters: DeadLetters) -> int:
        wanted = numbers or None
        if wanted:
            await _these(letters, wanted)
        refused = 0
        for name in [id for id in program.plan_for(None, {}).roles.exporters if node in {None, id}]:
            if not await letters.read(exporter=name, numbers=wanted, most=1):
                continue
            async with opened(program, name) as live:
                outcome = await letters.replay(live, name, wanted, time.time())
            click.echo(f"{name}: {outcome.delivered} delivered, {len(outcome.refusals)} refused")
            for reason in dict.fromkeys(refusal.reason for refusal in outcome.refusals):
                say(warning_line(f"{name}: {_one_line(reason)}"))
            refused += len(outcome.refusals)
        return refused

    raise click.exceptions.Exit(EXIT_OUTSIDE if _with(program, again) else EXIT_OK)


@dead_letters.command("drop", cls=Command, example="victor dead-letters drop victor.yml 7 8")
@options.spec
@click.argument("numbers", metavar="[NUMBER...]", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="Drop all letters, or with --exporter all of that exporter.")
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
    """Delete letters for good: those with these numbers, or --all."""
    if bool(numbers) == every:
        raise click.UsageError("give the numbers of letters, or --all")
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=False)
    node = _node(program, exporter)

    async def dropped(letters: DeadLetters) -> int:
        found = await _these(letters, numbers) if numbers else [letter async for letter in _every(letters, node)]
        if found:
            await letters.remove([letter.number for letter in found])
        return len(found)

    say(f"dropped {count_of(_with(program, dropped), 'dead letter')}")


def _with(program: Program, work: Callable[[DeadLetters], Coroutine[Any, Any, T]]) -> T:
    async def worked() -> T:
        letters = DeadLetters(program.state)
        try:
            return await work(letters)
        finally:
            await letters.close()

    return run(worked())


async def _every(letters: DeadLetters, node: str | None) -> AsyncIterator[DeadLetter]:
    after = 0
    while batch := await letters.read(exporter=node, after=after):
        for letter in batch:
            yield letter
        after = batch[-1].number


async def _these(letters: DeadLetters, numbers: Sequence[int]) -> list[DeadLetter]:
    """The letters with these numbers. Raises UsageError for a number without a letter."""
    found = await letters.read(numbers=numbers, most=len(numbers))
    known = {letter.number for letter in found}
    if missing := [str(number) for number in numbers if number not in known]:
        raise UsageError(f"there is no dead letter {', '.join(missing)}")
    return found


def _node(program: Program, name: str | None) -> str | None:
    """The id of the exporter with that name. Raises UsageError."""
    if name is None:
        return None
    known = [id.partition("/")[2] for id in program.plan_for(None, {}).roles.exporters]
    if name not in known:
        raise UsageError(f"exporters has no '{name}'; {suggest(name, known, what='exporters')}")
    return f"exporters/{name}"


def _print(letter: DeadLetter) -> None:
    """Prints the letter as a line of JSON. A value that JSON does not have is null, a lone surrogate its escape."""
    try:
        click.echo(orjson.dumps(letter.as_json()))
    except TypeError:
        click.echo(json.dumps(letter.as_json()))


def _one_line(text: str) -> str:
    return " ".join(text.split())
