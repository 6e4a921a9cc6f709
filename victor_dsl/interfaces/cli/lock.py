"""`victor lock`: the models of a spec and the tools of its MCP servers, to be reviewed and committed."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from victor_dsl.errors import EXIT_OK, EXIT_SPEC
from victor_dsl.interfaces.cli import options, running
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import count_of, harmless, replace_file, say
from victor_dsl.interfaces.locking import check_name, lock_of
from victor_dsl.language.lock import MOST_BYTES, beside, parse_lock
from victor_dsl.language.registry import Registry
from victor_dsl.regular_file import read_regular

MOST_LINES = 200
"""Of a difference that is shown."""


@click.command("lock", cls=Command, example="victor lock victor.yml")
@options.spec
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where the lock would change.")
@options.environment
def lock(spec: str, *, check: bool, env_files: tuple[str, ...], state: str | None) -> None:
    """Write victor.lock beside SPEC: each model with its window and price, and every tool that its MCP servers list.

    Connects to the servers as `run` does, and shows what has changed since the last lock. Review it, and commit it: with
    --locked, the commands that run a spec refuse one whose servers list other tools, or describe them in other words.
    """
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=False)
    path = beside(spec)
    before = _before(path)
    if before:
        check_name(parse_lock(before, path), program)
    now = running.run(lock_of(program, Registry()))
    text = now.text().encode()
    if before != text:
        click.echo(_difference(before or b"", text, path), nl=False)
    tools = sum(len(one.tools) for one in now.servers.values())
    content = f"{count_of(len(now.models), 'model')}, {count_of(len(now.servers), 'server')}, {count_of(tools, 'tool')}"
    if before == text:
        say(f"{path} is up to date: {content}")
    elif check:
        say(f"{path} {'is missing' if before is None else 'would change'}: {content}")
    else:
        replace_file(path, text)
        say(f"wrote {path}: {content}")
    raise click.exceptions.Exit(EXIT_SPEC if check and before != text else EXIT_OK)


def _before(path: str) -> bytes | None:
    return read_regular(path, MOST_BYTES)[0] if Path(path).exists() else None


def _difference(before: bytes, now: bytes, path: str) -> str:
    lines = difflib.unified_diff(before.decode().splitlines(), now.decode().splitlines(), path, path, "", "now", 1, "")
    shown = [harmless(line) for line in lines]
    left = len(shown) - MOST_LINES
    return "".join(f"{line}\n" for line in shown[:MOST_LINES]) + (f"… {left:,} more lines\n" if left > 0 else "")
