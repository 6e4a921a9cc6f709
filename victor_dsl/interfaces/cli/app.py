"""The commands by name, and how each error of a command becomes one line and an exit code."""

from __future__ import annotations

import importlib
import keyword
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from victor_dsl.errors import EXIT_OUTSIDE, VictorError
from victor_dsl.interfaces.cli import EXIT_BROKEN_PIPE, silence_stdout
from victor_dsl.interfaces.cli.output import error_line, say

EXIT_INTERRUPTED = 130

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Write a first spec; it runs offline."),
    "validate": ("validate", "Find every fault of a spec, without secrets or network."),
    "fmt": ("fmt", "Write specs in their canonical layout."),
    "lock": ("lock", "Pin the models, and the tools of MCP servers."),
    "render": ("render", "Show what the model would be sent, and why."),
    "plan": ("plan", "Show what a change of a spec does, also to recorded requests."),
    "test": ("test", "Run the tests of a spec, with recorded answers."),
    "run": ("run", "Answer one message, a chat, or a batch of requests."),
    "import": ("import_", "Write a spec from a file of LiteLLM, promptfoo and others."),
    "record": ("record", "Record what an application asks a model, through a proxy."),
    "db": ("db", "Create the tables that components use."),
    "dead-letters": ("dead_letters", "Show or replay events that an exporter did not accept."),
    "graph": ("plans", "Draw a spec's request path."),
    "why": ("why", "Show which layers set a value or a piece of the prompt."),
    "assign": ("plans", "Print the arms of units in the experiments."),
    "components": ("reference", "List the components, or show one with all its fields."),
    "explain": ("reference", "Explain a diagnostic's code by example."),
    "lsp": ("lsp", "Serve an editor: faults, completion, hover (extra `lsp`)."),
    "schema": ("reference", "Print the JSON Schema of specs, for editors."),
}
"""Each command's module in this package and its short help: `victor --help` and a misspelt command import none of them."""

OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("check", "lint"), "victor validate"),
    **dict.fromkeys(("chat", "ask"), "victor run"),
    **dict.fromkeys(("new", "create"), "victor init"),
    "compare": "victor plan",
    "diff": "victor plan",
    "eval": "victor test",
    "format": "victor fmt",
    "help": "victor --help",
    "migrate": "victor db migrate",
    "show": "victor render",
    "version": "victor --version",
}
"""What does the work of commands that other tools have under these names."""


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
    """Commands under one name. For a misspelt command it names the nearest one."""

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
            suggest = importlib.import_module("victor_dsl.nearest").suggest  # imports difflib
            meant = self.meant(args[0])
            hint = f"'{meant}' does that" if meant else suggest(args[0], names, what="commands", most=len(names))
            raise click.UsageError(f"there is no command '{args[0]}'; {hint}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def meant(self, name: str) -> str | None:  # noqa: ARG002
        """What to write instead of a command's name in other tools, or None."""
        return None


class _Commands(Group):
    """All commands. A command's module is imported when it is called."""

    def meant(self, name: str) -> str | None:
        """What to write instead of a command's name in other tools, or None."""
        return OTHER_NAMES.get(name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of listing."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"victor_dsl.interfaces.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, _function(cmd_name))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that is named. It ends in silence when the reader of stdout has gone."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            silence_stdout()
            raise click.exceptions.Exit(EXIT_BROKEN_PIPE) from error
        return result

    def short_helps(self, ctx: click.Context) -> Mapping[str, str]:  # noqa: ARG002
        """Each command's name and short help."""
        return {name: short_help for name, (_, short_help) in COMMANDS.items()}


def _function(command: str) -> str:
    """The name of a command's function; a word of Python's has an underscore behind it."""
    return f"{command}_" if keyword.iskeyword(command) else command.replace("-", "_")


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"victor {importlib.import_module('victor_dsl').__version__}")
        ctx.exit()


@click.group(cls=_Commands, example="victor validate victor.yml")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def victor() -> None:
    """One YAML file is the whole request path of an LLM feature: validated, compiled, rendered, run.

    SPEC is that file; where it is left out, it is victor.yml in the current folder.

    Exit codes: 0 success; 1 the spec has faults; 2 wrong usage; 3 something outside failed.
    """


def exit_code(arguments: Sequence[str]) -> int:
    """Runs a command; an error is printed as one line. The exit code."""
    try:
        code = victor.main(args=list(arguments), prog_name="victor", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the help
        say(error.format_message())
        return error.exit_code
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
        _trace(error)
        if error.filename is None:
            silence_stdout()
        where = f"{error.filename}: " if error.filename else ""
        say(error_line(f"{where}{error.strerror or error}"))
        return EXIT_OUTSIDE
    except Exception as error:  # noqa: BLE001 - the last place that can turn a bug of this program into a message
        _trace(error)
        say(error_line(f"internal error: {type(error).__name__}: {error}"))
        say("This is a bug in victor, please report it; VICTOR_DEBUG=1 shows where it happened.")
        return EXIT_OUTSIDE
    return code if isinstance(code, int) else 0


def _trace(error: Exception) -> None:
    """Prints the traceback where the user has asked for it."""
    if os.environ.get("VICTOR_DEBUG"):
        sys.__excepthook__(type(error), error, error.__traceback__)
