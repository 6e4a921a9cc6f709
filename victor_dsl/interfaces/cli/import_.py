"""`victor import`: a spec from a file of LiteLLM, promptfoo, Langfuse or OpenAI."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from victor_dsl.compiler import compile_spec
from victor_dsl.errors import EXIT_SPEC, SpecError, UsageError, VictorError
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.output import count_of, error_line, harmless, say
from victor_dsl.storage.file_value import reason
from victor_dsl.workbench.importing.langfuse import read_langfuse
from victor_dsl.workbench.importing.litellm import read_litellm
from victor_dsl.workbench.importing.openai_prompts import read_openai_prompts
from victor_dsl.workbench.importing.promptfoo import read_promptfoo
from victor_dsl.workbench.importing.sources import Imported
from victor_dsl.workbench.importing.writing import finished, spec_text

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
    try:
        imported = KINDS[kind](file, prompt)
    except SpecError as error:
        for one in error.diagnostics:
            say(f"not taken: {harmless(str(one))}")
        raise
    name = Path(file).name
    text = spec_text(finished(imported, file), [f"Imported from {name} by `victor import {kind}`.", *imported.notes])
    faults = _faults(text)
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
    for fault in faults:
        say(error_line(fault))
    if faults:
        sys.stdout.flush()
        raise click.exceptions.Exit(EXIT_SPEC)


def _faults(text: str) -> list[str]:
    """What the compiler finds wrong with the spec, which is a fault of the import or of what it imported."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "victor.yml")
        path.write_text(text, encoding="utf-8")
        found = compile_spec(str(path), environment={}).diagnostics
    return [f"line {fault.span.line}: {fault.message}" for fault in found if fault.severity == "error"]
