"""Modules that are imported when they are first used."""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """A stand-in for a module that is slow to import or may not be installed.

    Type checkers see the module itself:

        if TYPE_CHECKING:
            import asyncio
        else:
            asyncio = Lazy("asyncio")

    Each attribute is looked up in the module once and then stored here. A missing module raises ModuleNotFoundError at
    its first use, so a component that needs an optional package uses it in `build`. Names such as `__wrapped__`, which
    doctest and inspect look up in everything, import nothing.
    """

    def __init__(self, module: str) -> None:
        self.__module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(importlib.import_module(self.__module), name)
        setattr(self, name, value)
        return value
