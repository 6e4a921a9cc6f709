"""JSON documents on stdout."""

from __future__ import annotations

from typing import Any

import click
import orjson


def print_json(document: Any, *, indent: bool = True) -> None:
    """One JSON document, indented for people unless that is not wanted."""
    option = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    click.echo(orjson.dumps(document, option=option, default=str))
