"""The options that several commands share, and the environment files that one of them names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import fields, frozen

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.offline import no_network
from victor_dsl.interfaces.cli.output import say
from victor_dsl.source.reader import MAX_BYTES

F = TypeVar("F", bound=Callable[..., Any])


SPEC = "victor.yml"
"""The spec of a command that names none."""
API_KEY = "VICTOR_API_KEY"
"""The variable with the caller's key, of the environment or of an --env-file."""
_GIT = re.compile(r"(?P<ref>[^\s:/][^\s:]*):(?P<path>[^\s:/][^\s:]*)")


def spec(function: F) -> F:
    """The argument SPEC, before all other arguments; `victor.yml` where it is left out."""
    return click.argument("spec", metavar="[SPEC]", cls=SpecArgument)(function)


def specs(function: F) -> F:
    """The argument SPEC..., one or more specs; `victor.yml` where it is left out."""
    return click.argument("specs", metavar="[SPEC...]", nargs=-1, required=True, cls=SpecArgument)(function)


class SpecArgument(click.Argument):
    """SPEC. Where the command's first argument is not a spec, `victor.yml` is, and the arguments are those after SPEC."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Finds the spec before the arguments are read. Raises UsageError where there is none."""
        if not ctx.resilient_parsing:
            args = self._complete(ctx, opts, args)
        return super().handle_parse_result(ctx, opts, args)

    def _complete(self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]) -> list[str]:
        """Puts `victor.yml` before the words of the command line where they begin without a spec. The words that no argument takes."""
        arguments = [p for p in ctx.command.params if isinstance(p, click.Argument)]
        words = [word for argument in arguments for word in _words(opts.get(argument.name or ""))] + args
        if words and (len(arguments) == 1 or is_spec(words[0])):
            for word in words if self.nargs == -1 else words[:1]:
                _refuse_git(ctx, word)
            return args
        if not Path(SPEC).exists():
            if words and Path(words[0], SPEC).exists():
                raise click.UsageError(
                    f"'{words[0]}' is a folder; name the spec in it: {Path(words[0], SPEC)}", ctx=ctx
                )
            what = f"'{words[0]}' is not a file, and there is no {SPEC} here" if words else f"there is no {SPEC} here"
            raise click.UsageError(f"{what}: name a SPEC, or write one with 'victor init'", ctx=ctx)
        say(click.style(f"using {SPEC}", dim=True))
        words.insert(0, SPEC)
        for argument in arguments:
            taken = len(words) if argument.nargs == -1 else argument.nargs
            own, words = words[:taken], words[taken:]
            if own:
                opts[argument.name or ""] = tuple(own) if argument.nargs != 1 else own[0]  # type: ignore[index]
        return words


def is_spec(word: str) -> bool:
    """Whether a command's first argument is SPEC, and not the argument after it."""
    named = word == "-" or word.endswith((".yml", ".yaml", ".json")) or _GIT.fullmatch(word) is not None
    return named or (os.path.exists(word) and not os.path.isdir(word))


def _words(value: Any) -> list[str]:
    """The words of one argument, as click's parser leaves them: a text, a tuple, or a mark that there are none."""
    return [value] if isinstance(value, str) else list(value) if isinstance(value, tuple) else []


def _refuse_git(ctx: click.Context, word: str) -> None:
    if _GIT.fullmatch(word) and not os.path.exists(word):
        raise click.UsageError(
            f"'{ctx.command_path}' reads no spec of a commit; run: git show {word} | {ctx.command_path} -", ctx=ctx
        )


@frozen
class Reading:
    """How the files of a spec are read and shown: `--max-size`, `--show-outside` and `--locked`."""

    max_size: int = MAX_BYTES
    show_outside: bool = False
    locked: bool = False


_READING = f"{__name__}.reading"


def reading() -> Reading:
    """What the current command was called with."""
    context = click.get_current_context(silent=True)
    return Reading(**context.meta.get(_READING, {})) if context else Reading()


def _note(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        context.meta.setdefault(_READING, {})[parameter.name] = value


def environment(function: F) -> F:
    """`--env-file`, `--state`, `--max-size` and `--show-outside`, for every command that compiles a spec."""
    function = click.option(
        "--show-outside",
        is_flag=True,
        expose_value=False,
        callback=_note,
        help="Show faults and lines of files outside the spec's folder, too.",
    )(function)
    function = click.option(
        "--max-size",
        metavar="BYTES",
        type=click.IntRange(min=1),
        expose_value=False,
        callback=_note,
        help="The largest spec to read, with all that it extends.  [default: 4194304]",
    )(function)
    function = click.option(
        "--state",
        metavar="DIR",
        type=click.Path(file_okay=False),
        help="The folder of local state.  [default: .victor beside the spec]",
    )(function)
    return click.option(
        "--env-file",
        "env_files",
        metavar="FILE",
        multiple=True,
        help="A file of KEY=VALUE lines for ${env:…}. The environment wins over files, a later file over an earlier one.",
    )(function)


def locked(function: F) -> F:
    """`--locked`, for every command that runs a spec, or says whether it can run."""
    return click.option(
        "--locked",
        is_flag=True,
        expose_value=False,
        callback=_note,
        help="Require that models, and the tools of MCP servers, are those of victor.lock (else exit 1).",
    )(function)


def untrusted(function: F) -> F:
    """`--untrusted`, for every command that compiles what others wrote."""
    return click.option(
        "--untrusted",
        is_flag=True,
        callback=_offline,
        help="Refuse a spec that names a function, a program, or a file outside its folder (exit 1). It gets no variables, no "
        "secrets and no network.",
    )(function)


def _offline(context: click.Context, _: click.Parameter, untrusted: bool) -> bool:
    if untrusted:
        context.with_resource(no_network())
    return untrusted


def today(function: F) -> F:
    """`--today`: the date by which the retirement of models is judged."""
    return click.option(
        "--today",
        metavar="DATE",
        callback=_date,
        help="The date by which models count as retired, such as 2027-01-31.  [default: today]",
    )(function)


def _date(context: click.Context, parameter: click.Parameter, text: str | None) -> date:  # noqa: ARG001 - click's
    if text is None:
        return datetime.now(UTC).date()
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise click.BadParameter(f"'{text}' is not a date; write it as 2027-01-31") from None


@frozen
class CallerOptions:
    """`--session`, `--tenant`, `--user`, `--arm`, `--var` and `--set`, as they were written."""

    session: str | None
    tenant: str | None
    user: str | None
    arms: tuple[str, ...]
    variables: tuple[str, ...]
    inputs: tuple[str, ...]


def caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of the caller, which the command gets together as its argument `about`."""
    names = [option.name for option in fields(CallerOptions)]

    @wraps(function)
    def collected(*arguments: Any, **others: Any) -> Any:
        own = CallerOptions(**{name: others.pop(name) for name in names})
        return function(*arguments, about=own, **others)

    for option in (
        click.option(
            "--set", "inputs", metavar="NAME=VALUE", multiple=True, help="An input of the spec; may be repeated."
        ),
        click.option(
            "--var", "variables", metavar="NAME=TEXT", multiple=True, help="A variable for templates; may be repeated."
        ),
        click.option("--arm", "arms", metavar="EXPERIMENT=ARM", multiple=True, help="A forced arm; may be repeated."),
        click.option("--user", metavar="U", help="The user."),
        click.option("--tenant", metavar="T", help="The tenant."),
        click.option("--session", metavar="S", help="The session.  [default: a new one]"),
    ):
        collected = option(collected)
    return collected


def api_key(function: F) -> F:
    """`--api-key`: the caller's key, for `auth`."""
    return click.option(
        "--api-key",
        metavar="KEY",
        envvar=API_KEY,
        help=f"The caller's key, for auth. Other users can see command lines: the variable {API_KEY}, also in an --env-file, is safer.",
    )(function)


def log(function: F) -> F:
    """`--quiet` and `--verbose`: how much of the log is shown."""
    function = click.option("-v", "--verbose", is_flag=True, help="Show every line of the log.")(function)
    return click.option("-q", "--quiet", is_flag=True, help="Show only warnings of the log.")(function)


def check_stdin(spec: str, *inputs: str | None) -> None:
    """Raises UsageError where both the spec and an input are `-`."""
    if spec == "-" and "-" in inputs:
        raise click.UsageError("the spec and the input cannot both be stdin")


_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ENTRY = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE = re.compile(r"'(?P<text>[^']*)'")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"', re.DOTALL)
_PLAIN = re.compile(r"(?P<text>[^\n]*?)(?=[ \t]*(?:(?<=[ \t])#|\n|\Z))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_environment(files: Iterable[str], process: Mapping[str, str]) -> Mapping[str, str]:
    """The variables for `${env:…}`: of the files, later over earlier, and over them of the process's environment."""
    environment: dict[str, str] = {}
    for name in files:
        environment.update(read_env_file(name))
    return {**environment, **process}


def read_env_file(name: str) -> dict[str, str]:
    r"""One file's keys and values, written as for Docker Compose and dotenv.

        # a comment
        export NAME=plain text       # a comment after a blank
        KEY='unchanged: $HOME \n'
        PEM="a
        value of two lines, with \n \t \" \\ escaped"

    Nothing is expanded, and a backslash before any other character stays. Of a key that stands twice the later wins. Raises UsageError at the file and line at fault;
    never shows a value.
    """
    try:
        text = Path(name).read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--env-file {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--env-file {name}: not UTF-8 text") from error
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        place = f"{name}:{text.count(chr(10), 0, at) + 1}"
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise UsageError(f"{place}: not a line of the form KEY=VALUE")
        value, at = _value(text, entry.end(), place, entry["key"])
        if "\0" in value:
            raise UsageError(f"{place}: the value of {entry['key']} has a NUL in it")
        found[entry["key"]] = value
    return found


def _value(text: str, at: int, place: str, key: str) -> tuple[str, int]:
    quote = text[at : at + 1]
    pattern = {"'": _SINGLE, '"': _DOUBLE}.get(quote, _PLAIN)
    matched = pattern.match(text, at)
    if matched is None:
        raise UsageError(f"{place}: the value of {key} opens with {quote} and does not end")
    rest = _BLANK.match(text, matched.end())
    if rest is None:
        raise UsageError(f"{place}: there is text after the value of {key}")
    value = matched["text"]
    if quote == '"':
        value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), value, flags=re.DOTALL)
    return value, rest.end()
