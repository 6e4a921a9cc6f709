"""The command `victor`."""

from victor_dsl.interfaces.cli.app import main

__all__ = ["main"]
