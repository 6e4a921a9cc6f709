"""The command `victor`."""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

# A command ends before collecting garbage pays; one that goes on for longer turns it on again (`running.run`).
gc.disable()
# At each start pydantic would search every installed package for plugins.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

EXIT_BROKEN_PIPE = 141
HELP = os.path.join(os.path.dirname(__file__), "help.txt")
"""What `victor --help` prints. `./dev docs` writes it: importing click takes three times as long as Python's start."""

GREETING = """\
victor: one YAML file is the whole request path of an LLM feature.

  victor init           # writes a first spec, victor.yml; it runs offline
  victor validate       # finds every fault of it, without secrets or network
  victor run "Hello"    # answers a message; without one, a chat

All commands: victor --help. A command's options: victor run --help.
"""
"""What `victor` alone prints."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits."""
    _replace_closed_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        _print(GREETING)
    if words in (["--help"], ["-h"]):
        with open(HELP, encoding="utf-8") as file:
            _print(file.read())
    if words == ["--version"]:
        _print(f"victor {importlib.import_module('victor_dsl').__version__}\n")
    _stand_in_for_plugins()
    sys.exit(importlib.import_module("victor_dsl.interfaces.cli.app").exit_code(words))


def _replace_closed_streams() -> None:
    """Opens what a caller closed (`victor … 2>&-`): no other file may get its number. What is written to stdout still fails."""
    for number, (name, mode) in enumerate((("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, mode), number)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115 - until the end


def _stand_in_for_plugins() -> None:
    """Puts a module without plugins in the place of pydantic's loader, which imports importlib.metadata (13 ms) even so."""
    loader = type(sys)("pydantic.plugin._loader")
    loader.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)


def silence_stdout() -> None:
    """After a failure to write: what is left in the buffer must not fail again when Python closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(text: str) -> NoReturn:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        sys.exit(EXIT_BROKEN_PIPE)
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror}\n")
        sys.exit(3)
    sys.exit(0)
