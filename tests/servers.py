"""Servers from npm that this project did not write, as the commands that start them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

INSTALLED = Path(__file__).parent.parent / ".venv" / "npm" / "node_modules"
"""Where `./dev test` installs the packages of `tests/npm`, if npm is installed."""


def filesystem_server() -> list[str]:
    """The command of `@modelcontextprotocol/server-filesystem`; its folders are added. Skips the test where it is not installed."""
    return _command("@modelcontextprotocol/server-filesystem/dist/index.js")


def yaml_language_server() -> list[str]:
    """The command of `yaml-language-server`, over its pipes. Skips the test where it is not installed."""
    return [*_command("yaml-language-server/bin/yaml-language-server"), "--stdio"]


def _command(path: str) -> list[str]:
    program = INSTALLED / path
    node = shutil.which("node")
    if node is None or not program.exists():
        pytest.skip("a server from npm is not installed: `./dev test` does it where there are node and npm")
    return [node, str(program)]
