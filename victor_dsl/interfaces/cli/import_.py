"""`victor import`: a spec from a file of LiteLLM, promptfoo, Langfuse or OpenAI."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from victor_dsl.errors import SpecError, UsageError, VictorError
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.output import count_of, harmless, say
from victor_dsl.storage.file_value import reason
from victor_dsl.workbench.importing.langfuse import read_langfuse
from victor_dsl.workbench.importing.litellm import read_litellm
from victor_dsl.workbench.importing.openai_prompts import read_openai_prompts
from victor_dsl.workbench.importing.promptfoo import read_promptfoo
from victor_dsl.workbench.importing.sources import Imported
from victor_dsl.workbench.importing.validity import valid_text

KINDS: dict[str, Callable[[str, str | None], Imported]] = {
    "litellm": lambda path, _: read_litellm(path),
    "promptfoo": read_promptfoo,
    "langfuse": read_langfuse,
    "openai-prompts": read_openai_prompts,
}


@click.command("import", cls=Command, example="victor import litellm config.yaml --output victor.yml")
@click.argument("kind", metavar="KIND", type=click.Choice(list(KINDS)))
@click.argument("file", metavar="FILE")
@click.option("--output", "-o", metavar="SPEC", help="Where the spec is written.  [default: stdout]")
@click.option("--overwrite", is_flag=True, help="Replace an existing SPEC.")
@click.option("--prompt", metavar="NAME", help="Which prompt, where FILE has several.  [default: the first]")
def import_(kind: str, file: str, *, output: str | None, overwrite: bool, prompt: str | None) -> None:
    """Write a spec from a configuration or a prompt of another tool.

    KIND is litellm (config.yaml), promptfoo (promptfooconfig.yaml), langfuse (prompts as its API exports them) or
    openai-prompts (a stored prompt as JSON, or code that names pmpt_… ids). The spec validates. What was not taken is listed on
    stderr, with its line and the reason. Keys are never copied: they become ${env:…}.
    """
    if output is not None and os.path.lexists(output) and not overwrite:
        raise UsageError(f"{output} exists; --overwrite replaces it")
    name = Path(file).name
    try:
        imported = KINDS[kind](file, prompt)
        text = valid_text(imported, file, [f"Imported from {name} by victor import {kind}.", *imported.notes])
    except SpecError as error:
        for one in error.diagnostics:
            say(f"not taken: {harmless(str(one))}")
        raise
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise VictorError(f"cannot write '{output}': {reason(error)}") from error
    for one in sorted(imported.not_taken, key=lambda one: (one.file, one.line)):
        say(f"not taken: {harmless(str(one))}")
    written = f"wrote {output}; " if output is not None else ""
    say(f"{written}{count_of(len(imported.not_taken), 'thing')} not taken")
