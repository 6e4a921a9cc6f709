"""One YAML file is the whole request path of an LLM feature.

    async with victor_dsl.open("victor.yml") as orchestrator:
        reply = await orchestrator.chat("Hello!", session_id="s1")

Importing the package is cheap: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from victor_dsl.interfaces.python import compile, load, open, render
    from victor_dsl.values.request import Request

__version__ = "0.1.0"
__all__ = ["Request", "__version__", "compile", "load", "open", "render"]

_HOMES = {
    "Request": "victor_dsl.values.request",
    "compile": "victor_dsl.interfaces.python",
    "load": "victor_dsl.interfaces.python",
    "open": "victor_dsl.interfaces.python",
    "render": "victor_dsl.interfaces.python",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'victor_dsl' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
