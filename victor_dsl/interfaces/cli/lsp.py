"""`victor lsp`: the language server, over standard input and output."""

from __future__ import annotations

import importlib
import importlib.util

import click

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.app import Command


@click.command("lsp", cls=Command, example="victor lsp")
def lsp() -> None:
    """Serve an editor over standard input and output: faults while you type, completion, hover and definitions.

    Editors start this command themselves; see docs/how-to/editors.md. Nothing that a spec names is imported or started, and no variable of the
    environment is read. Needs the extra `lsp`.
    """
    if importlib.util.find_spec("pygls") is None:
        raise UsageError("the language server needs the extra `lsp`: pip install 'victor_dsl[lsp]'")
    importlib.import_module("victor_dsl.interfaces.lsp.server").serve()
