"""The command group, and how every error of a command becomes one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from victor_dsl.errors import EXIT_OUTSIDE, VictorError
from victor_dsl.interfaces.cli.output import error_line, say
from victor_dsl.interfaces.cli.shape import Group

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

COMMANDS: Mapping[str, str] = {
    "init": "Write a spec to begin with; it runs offline.",
    "validate": "Find every fault of a spec, without secrets or network.",
    "render": "Show what the model would be sent, and why.",
    "run": "Answer one message, a chat, or a batch of requests.",
    "db": "Make the tables that components use.",
    "dead-letters": "Show or replay events that an exporter did not take.",
    "graph": "Draw a spec's request path.",
    "assign": "Print the arms of units in the experiments.",
    "components": "List the components, or show one with all its fields.",
    "explain": "Explain a diagnostic's code by example.",
    "schema": "Print the JSON Schema of specs, for editors.",
}
"""Each command's module in this package and its short help, so that `victor --help` imports none of them."""


class Commands(Group):
    """The commands by name; a command's module is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of listing."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = f"victor_dsl.interfaces.cli.{cmd_name.replace('-', '_')}"
        command: click.Command = importlib.import_module(module).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that is named. Where nobody reads stdout any more, it ends in silence."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            # What is still in the buffer must not fail again when Python closes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(EXIT_BROKEN_PIPE) from error
        return result

    def short_helps(self, ctx: click.Context) -> Mapping[str, str]:  # noqa: ARG002
        """Each command's name and short help."""
        return COMMANDS


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"victor {importlib.import_module('victor_dsl').__version__}")
        ctx.exit()


@click.group(cls=Commands, example="victor validate victor.yml")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def victor() -> None:
    """One YAML file is the whole request path of an LLM feature: validated, compiled, rendered, run.

    Exit codes: 0 fine; 1 the spec is at fault; 2 wrong usage; 3 something outside failed.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits."""
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        code = victor.main(args=arguments, prog_name="victor", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        say(error_line(error.format_message()))
        if error.ctx is not None:
            say(f"see '{error.ctx.command_path} --help'")
        return error.exit_code
    except click.ClickException as error:
        say(error_line(error.format_message()))
        return error.exit_code
    except VictorError as error:
        say(error_line(str(error)))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except OSError as error:
        if os.environ.get("VICTOR_DEBUG"):
            _trace(error)
        where = f"{error.filename}: " if error.filename else ""
        say(error_line(f"{where}{error.strerror or error}"))
        return EXIT_OUTSIDE
    except Exception as error:  # noqa: BLE001 - the one place where a fault of this program ends
        return _internal(error)
    return code if isinstance(code, int) else 0


def _internal(error: Exception) -> int:
    if os.environ.get("VICTOR_DEBUG"):
        _trace(error)
    say(error_line(f"internal error: {type(error).__name__}: {error}"))
    say("This is a fault of victor, please report it; VICTOR_DEBUG=1 shows where it happened.")
    return EXIT_OUTSIDE


def _trace(error: Exception) -> None:
    sys.__excepthook__(type(error), error, error.__traceback__)
