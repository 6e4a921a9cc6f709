"""`victor plan`: what a change of a spec does."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import click

from victor_dsl.errors import EXIT_OK, EXIT_SPEC, UsageError
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.output import is_colourful, print_json, say
from victor_dsl.interfaces.cli.running import closing_on_signals
from victor_dsl.interfaces.requests_of_tests import holds_tests, request_lines_of
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import suggest
from victor_dsl.workbench.plan.answers import Reruns
from victor_dsl.workbench.plan.changes import changes
from victor_dsl.workbench.plan.comparison import MEASURES, Comparison, Condition, failures
from victor_dsl.workbench.plan.effects import affected
from victor_dsl.workbench.plan.figures import Traffic
from victor_dsl.workbench.plan.git_tree import GitSpec
from victor_dsl.workbench.plan.html import as_html
from victor_dsl.workbench.plan.markdown import as_markdown
from victor_dsl.workbench.plan.renderings import Records
from victor_dsl.workbench.plan.side import Place, Side, placed, started
from victor_dsl.workbench.plan.text import as_text
from victor_dsl.workbench.plan.verdicts import Verdicts

if TYPE_CHECKING:
    from rich import console, progress
else:
    console, progress = Lazy("rich.console"), Lazy("rich.progress")

FORMATS = ("text", "json", "markdown", "html")
COLUMNS = 120


@click.command("plan", cls=Command, example="victor plan main:victor.yml victor.yml --traffic traffic.jsonl")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@click.option(
    "--traffic", metavar="FILE.jsonl", help="Request lines that both specs render, or a YAML file of tests; - is stdin."
)
@click.option(
    "--message", metavar="TEXT", help="One message that both specs render, shown side by side; - reads it from stdin."
)
@click.option("--session", metavar="S", help="The session of --message.")
@click.option("--tenant", metavar="T", help="The tenant of --message.")
@click.option("--user", metavar="U", help="The user of --message.")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True, help="How it is shown."
)
@click.option(
    "--fail-on",
    "fail_on",
    metavar="CONDITION",
    multiple=True,
    help=f"Exit with 1 where a measure gets worse: {', '.join(MEASURES)}; alone, or by more than a number or a share, as in "
    "'cost>5%'. May be repeated. Needs --traffic.",
)
@click.option(
    "--rerun",
    metavar="N",
    type=click.IntRange(min=1),
    help="Let both specs' models answer N of the requests whose rendering changed. Tools are not called. Needs --traffic.",
)
@click.option(
    "--repeats",
    metavar="N",
    type=click.IntRange(min=1, max=100),
    default=2,
    show_default=True,
    help="How many times each side answers each of them, to tell a change from chance.",
)
@click.option(
    "--judge",
    metavar="MODEL",
    help="A model of NEW that says which answers of --rerun differ to the user where their texts do.",
)
@options.untrusted
@options.locked
@options.environment
def plan(
    old: str,
    new: str | None,
    traffic: str | None,
    message: str | None,
    session: str | None,
    tenant: str | None,
    user: str | None,
    format_: str,
    fail_on: tuple[str, ...],
    rerun: int | None,
    repeats: int,
    judge: str | None,
    *,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Show what a change of a spec does: what differs in meaning, whom it affects, and what it does to recorded requests.

    OLD and NEW are files, or GIT-REF:PATH. Where NEW is left out, it is the file that OLD names at a ref. Formatting,
    comments and the file in which a value stands do not count.

    With --traffic both specs render every request, as `victor render` does; no model is called. Exits 1 where a condition of
    --fail-on holds or NEW has faults, 3 where a git ref cannot be read. --locked is about NEW.

    While you write a prompt, one message is enough:

      victor plan HEAD:victor.yml --message "Where is my order?"
    """
    new = _new(old, new)
    about = {"session": session, "tenant": tenant, "user": user}
    _check(old, new, traffic, message, about)
    conditions = [Condition.read(text) for text in fail_on]
    if conditions and traffic is None and message is None:
        raise click.UsageError("--fail-on requires --traffic: each condition is about requests")
    _check_rerun(rerun, judge, possible=not untrusted and (traffic is not None or message is not None))
    with closing_on_signals(), ExitStack() as stack:
        file = None if traffic is None else stack.enter_context(_file(traffic))
        if message is not None:
            text = sys.stdin.read() if message == "-" else message
            file = stack.enter_context(_written({"id": 1, "message": text, **about}))
        places = [stack.enter_context(placed(name, untrusted=untrusted)) for name in (old, new)]
        for place in places:
            if place.tree is not None and place.tree.partial:
                say(f"{place.name}: the repository is large, so only the spec's folder is read at this ref")
        reading = options.reading()
        task = {
            "traffic": file,
            "whole": message is not None,
            "asked": [],
            "judge": None,
            "repeats": repeats,
            "env_files": [os.path.abspath(name) for name in env_files],
            "state": None if state is None else os.path.abspath(state),
            "untrusted": untrusted,
            "max_size": reading.max_size,
            "show_outside": reading.show_outside,
            "locked": reading.locked,
            "colour": is_colourful(sys.stderr),
            "now": time.time(),
        }
        sides = stack.enter_context(started(places, task))
        for side in sides:
            side.read()
            if side.text:
                say(side.text)
        _check_judge(judge, sides[1])
        comparison = _compared(sides[0], sides[1], file)
        if conditions and comparison.traffic is not None and not comparison.traffic.requests:
            say(f"--traffic {traffic}: there are no requests, so no condition of --fail-on can hold")
        if rerun is not None and comparison.traffic is not None:
            chosen = _spread(comparison.traffic.changed_lines, rerun)
            comparison.reruns = _answers(places, {**task, "asked": chosen}, repeats) if chosen else Reruns(repeats)
            if judge is not None:
                comparison.verdicts = _verdicts(places[1], task, Verdicts(judge, comparison.reruns))
    comparison.failed = failures(conditions, comparison.traffic)
    _show(comparison, format_)
    for failure in comparison.failed:
        say(f"--fail-on {failure}")
    code = sides[1].exit_code or sides[0].exit_code * (comparison.traffic is None and file is not None)
    raise click.exceptions.Exit(code or (EXIT_SPEC if comparison.failed else EXIT_OK))


def _check(old: str, new: str, traffic: str | None, message: str | None, about: Mapping[str, str | None]) -> None:
    """Raises UsageError for options that do not fit together."""
    if [old, new, traffic, message].count("-") > 1:
        raise click.UsageError("only one of the specs, the traffic and the message can be stdin")
    if traffic is not None and (message is not None or any(about.values())):
        raise click.UsageError("pass either --traffic, or --message with its --session, --tenant and --user")
    if message is None and any(about.values()):
        raise click.UsageError("--session, --tenant and --user require --message")


def _check_rerun(rerun: int | None, judge: str | None, *, possible: bool) -> None:
    if rerun is not None and not possible:
        raise click.UsageError("--rerun requires --traffic, and specs that are trusted: their models are called")
    if judge is not None and rerun is None:
        raise click.UsageError("--judge requires --rerun: it compares what the models answer")


def _check_judge(judge: str | None, new: Side) -> None:
    if judge is not None and new.outline is not None and judge not in new.outline.models:
        raise UsageError(f"--judge {judge}: {suggest(judge, new.outline.models, what='models')}")


def _new(old: str, new: str | None) -> str:
    if new is not None:
        return new
    git = GitSpec.read(old)
    if git is None:
        raise click.UsageError("pass NEW as well: only that of a GIT-REF:PATH can be left out")
    return git.path


def _compared(old: Side, new: Side, traffic: str | None) -> Comparison:
    comparison = Comparison(old.place.name, new.place.name)
    comparison.diagnostics = {"old": old.diagnostics, "new": new.diagnostics}
    if old.tree is not None and new.tree is not None:
        comparison.changes = list(changes(old.tree, new.tree))
    if old.outline is None or new.outline is None:
        return comparison
    comparison.affected = affected(old.outline, new.outline)
    if traffic is not None:
        units = {name: unit for name, unit in new.outline.units.items() if old.outline.units.get(name) == unit}
        records = Records(old.messages()), Records(new.messages())
        comparison.traffic = Traffic(*records, units)
        with _progress(os.path.getsize(traffic)) as show:
            for done in comparison.traffic.compare():
                show(done, comparison.traffic)
        unknown = {**records[0].unknown, **records[1].unknown}
        comparison.unknown = [f"{node}: {what}" for node, what in sorted(unknown.items())]
        if records[0].whole and records[1].whole:
            comparison.rendered = records[0].whole[0], records[1].whole[0]
    return comparison


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """So many of the numbers, from all over."""
    return [numbers[place * len(numbers) // most] for place in range(most)] if len(numbers) > most else list(numbers)


def _answers(places: Sequence[Place], task: Mapping[str, Any], repeats: int) -> Reruns:
    reruns = Reruns(repeats)
    with started(places, task) as sides:
        for side, answers in zip(sides, (reruns.old, reruns.new), strict=True):
            for message in _valid(side).messages():
                reruns.add(answers, message)
    return reruns


def _verdicts(new: Place, task: Mapping[str, Any], verdicts: Verdicts) -> Verdicts:
    """With what NEW's model says of the answers."""
    pairs = {str(number): texts for number, texts in verdicts.pairs().items()}
    if pairs:
        with started([new], {**task, "judge": {"model": verdicts.model, "pairs": pairs}}) as [side]:
            for message in _valid(side).messages():
                verdicts.add(message)
    return verdicts


def _valid(side: Side) -> Side:
    """The side, once it has compiled with its secrets."""
    side.read()
    if not side.valid:
        say(side.text)
        raise click.exceptions.Exit(side.exit_code)
    return side


def _show(comparison: Comparison, format_: str) -> None:
    if format_ == "json":
        print_json(comparison.as_json())
    elif format_ == "markdown":
        click.echo(as_markdown(comparison), nl=False)
    elif format_ == "html":
        click.echo(as_html(comparison), nl=False)
    else:
        columns = shutil.get_terminal_size((COLUMNS, 0)).columns if sys.stdout.isatty() else COLUMNS
        click.echo(as_text(comparison, columns), nl=False, color=is_colourful(sys.stdout))


@contextmanager
def _file(traffic: str) -> Iterator[str]:
    """The traffic as a file that both sides can read."""
    if traffic == "-":
        with NamedTemporaryFile(suffix=".jsonl") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            yield copy.name
        return
    if holds_tests(traffic):
        with request_lines_of(traffic) as lines:
            yield lines.name
        return
    try:
        with Path(traffic).open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"--traffic {traffic}: {error.strerror}") from error
    yield os.path.abspath(traffic)


@contextmanager
def _written(line: Mapping[str, Any]) -> Iterator[str]:
    """A file of one request line."""
    with NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        json.dump(line, file)
        file.flush()
        yield file.name


@contextmanager
def _progress(size: int) -> Iterator[Any]:
    """Shows how far the comparison is, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    bar = progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.percentage:>3.0f} %  ETA"),
        progress.TimeRemainingColumn(compact=True),
        console=console.Console(file=sys.stderr),
        transient=True,
    )
    task = bar.add_task("rendering", total=size)

    def show(done: int, traffic: Traffic) -> None:
        bar.update(task, completed=done, description=f"{traffic.requests:,} requests, {traffic.changed:,} changed")

    with bar:
        yield show
