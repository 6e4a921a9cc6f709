"""`victor schema`: the JSON Schema of specs."""

from __future__ import annotations

import click

from victor_dsl.interfaces.cli.document import print_json
from victor_dsl.interfaces.cli.shape import Command
from victor_dsl.language.schema import schema


@click.command("schema", cls=Command, example="victor schema > victor.schema.json")
def command() -> None:
    """Print the JSON Schema of specs, with every component installed here, for editors and other tools.

    A spec that begins with this line is completed and checked by editors that have yaml-language-server:

    # yaml-language-server: $schema=victor.schema.json
    """
    print_json(schema())
