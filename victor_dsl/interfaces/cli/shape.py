"""The shape of every command: its help opens with an example, and a misspelt name is met with the nearest one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class Command(click.Command):
    """A command whose help opens with an example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        kwargs["context_settings"] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__(*args, **kwargs)
        self.example = example

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the example before everything else."""
        formatter.write(f"Example: {self.example}\n\n")
        super().format_help(ctx, formatter)


class Group(Command, click.Group):
    """Commands under one name."""

    def short_helps(self, ctx: click.Context) -> Mapping[str, str]:
        """Each command's name and short help, in the order of listing."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        return {name: command.get_short_help_str(80) for name, command in found.items() if command}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.short_helps(ctx).items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names. Raises UsageError with the nearest name."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            suggest = importlib.import_module("victor_dsl.nearest").suggest  # difflib: 1 ms of every --help
            raise click.UsageError(
                f"there is no command '{args[0]}'; {suggest(args[0], names, what='commands')}", ctx=ctx
            )
        return super().resolve_command(ctx, args)
