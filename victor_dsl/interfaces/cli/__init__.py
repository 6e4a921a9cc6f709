"""The command `victor`."""

import gc
import os

# What a start makes stays; a command that runs on turns collection on again (see `loop`).
gc.disable()
# pydantic would look through every installed package for plugins at each start, for none that victor wants.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from victor_dsl.interfaces.cli.app import main

__all__ = ["main"]
