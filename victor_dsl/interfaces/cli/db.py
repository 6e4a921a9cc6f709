"""`victor db`: the databases that a spec names."""

from __future__ import annotations

import click

from victor_dsl.errors import UsageError, VictorError
from victor_dsl.graph.plan import Node, Program
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command, Group
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import say, warning_line
from victor_dsl.interfaces.cli.running import opened, run
from victor_dsl.nearest import suggest
from victor_dsl.storage.migrations import Migration, bypasses_row_security, migrate, pending
from victor_dsl.storage.runtime_role import grants

SQL = ("postgres", "sqlite")
BYPASSES = (
    "the role of this dsn is a superuser or has BYPASSRLS, so that PostgreSQL shows it the rows of every tenant; "
    "name another role in the spec"
)


@click.group("db", cls=Group, example="victor db migrate victor.yml")
def db() -> None:
    """Create the tables that components use, and bring them up to date."""


@db.command("migrate", cls=Command, example="victor db migrate victor.yml")
@options.spec
@click.option("--database", metavar="NAME", help="The database, where the spec has several.")
@click.option("--dry-run", is_flag=True, help="Print the SQL, and run nothing.")
@click.option(
    "--runtime-role",
    metavar="ROLE",
    help="A PostgreSQL role for running turns: it gets exactly the rights that they need, and cannot switch row-level security off.",
)
@options.environment
def _migrate(
    spec: str,
    database: str | None,
    *,
    dry_run: bool,
    runtime_role: str | None,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Create the tables that components use, in PostgreSQL with row-level security for tenants.

    Tables that are up to date stay as they are, so this may run at every start, in several processes at once. It runs as
    the role in the database's dsn, which then owns the tables; turns are safer as another one (--runtime-role).
    """
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=False)
    node = _chosen(program, database)
    if runtime_role is not None and node.type != "postgres":
        raise UsageError(f"--runtime-role is for PostgreSQL: {node.id} is of type {node.type}, which has no roles")
    steps, rights = run(_apply(program, node, runtime_role, dry_run=dry_run))
    if dry_run:
        for step in steps:
            click.echo(f"-- {step}\n{step.sql}")
        if rights:
            click.echo(f"-- rights of {runtime_role}\n{rights}")
    names = ", ".join(map(str, steps))
    say(f"{node.id}: {'to apply' if dry_run else 'applied'}: {names}" if steps else f"{node.id}: nothing to apply")


async def _apply(
    program: Program, node: Node, runtime_role: str | None, *, dry_run: bool
) -> tuple[tuple[Migration, ...], str]:
    """The steps; and in a dry run, the SQL that gives the runtime role its rights."""
    rights = ""
    try:
        async with opened(program, node.id) as database:
            if dry_run:
                steps = await pending(database)
                if runtime_role is not None:
                    async with database.transaction() as connection:
                        rights = await grants(connection, runtime_role)
            else:
                steps = await migrate(database, runtime_role=runtime_role)
            if await bypasses_row_security(database):
                say(warning_line(f"{node.id}: {BYPASSES}"))
    except VictorError as error:
        error.node = error.node or node.id
        raise
    return steps, rights


def _chosen(program: Program, name: str | None) -> Node:
    """The database of that name, or the only one that speaks SQL. Raises UsageError."""
    nodes = {
        node.name: node
        for node in program.plan_for(None, {}).nodes
        if node.id.startswith("databases/") and node.type in SQL
    }
    if name is not None:
        if name not in nodes:
            raise UsageError(f"the spec has no SQL database '{name}'; {suggest(name, nodes)}")
        return nodes[name]
    if not nodes:
        raise UsageError(f"the spec has no database of type {' or '.join(SQL)}")
    if len(nodes) > 1:
        raise UsageError(f"the spec has several databases, choose with --database: {', '.join(nodes)}")
    return next(iter(nodes.values()))
