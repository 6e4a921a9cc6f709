"""`victor init`: a spec to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.output import say
from victor_dsl.interfaces.cli.shape import Command

SPEC = """\
# The whole request path of one LLM feature. `victor components` lists what it can be made of.
victor: 1
name: {name}

models:
  main: {{type: echo}}            # answers offline; the next line is a real one
  # main: {{type: anthropic, model: claude-sonnet-4-5, api_key: "${{env:ANTHROPIC_API_KEY}}"}}

settings:
  temperature: 0.7
  max_tokens: 1024

vars:
  product: Acme Cloud

contributors:                   # the system prompt: higher priority comes first
  - {{type: template, name: role, priority: 70, template: "You support the users of {{{{ product }}}}."}}
  - {{type: text, name: tone, text: Answer in plain words.}}

middleware:
  - logging

exporters:                      # one event for every turn, in a file beside this one
  - {{type: jsonl, path: .victor/events.jsonl}}

sessions: memory
"""


@click.command("init", cls=Command, example="victor init my-assistant")
@click.argument("directory", metavar="[DIR]", default=".")
@click.option("--force", is_flag=True, help="Write over a victor.yml that is there.")
def command(directory: str, *, force: bool) -> None:
    """Write DIR/victor.yml: a spec that validates and runs as it is, offline. Asks nothing.

    DIR is made where it is missing; left out, it is the current folder.
    """
    folder = Path(directory)
    path = folder / "victor.yml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(SPEC.format(name=_name(folder)))
    except FileExistsError as error:
        if not folder.is_dir():
            raise UsageError(f"{directory} is a file, not a folder") from error
        raise UsageError(f"{path} exists already; --force writes over it") from error
    shown = shlex.quote(str(path))
    say(f"Wrote {path}. Try it:\n")
    say(f"  victor validate {shown}\n  victor render {shown} --message Hello\n  victor run {shown} Hello")


def _name(folder: Path) -> str:
    """A name that the language takes, after the folder."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in folder.resolve().name)
    kept = kept.strip("-.")[:64]
    return kept if kept[:1].isalpha() else "assistant"
