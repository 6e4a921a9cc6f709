"""One YAML file is the whole request path of an LLM feature.

    async with victor_dsl.open("victor.yml") as app:
        reply = await app.chat("Hello!", session_id="s1")

Importing the package is cheap: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from victor_dsl.errors import (
        LimitReached,
        ModelError,
        Refused,
        RequestError,
        SpecError,
        TimedOut,
        Unauthenticated,
        UsageError,
        VictorError,
    )
    from victor_dsl.interfaces.python import compile, load, open, render, run
    from victor_dsl.runtime.orchestrator import Orchestrator
    from victor_dsl.runtime.reply_stream import ReplyStream
    from victor_dsl.values.message import Delta, Message, Reply
    from victor_dsl.values.outcome import Rendered
    from victor_dsl.values.request import Request
    from victor_dsl.values.tool import Tool

__version__ = "0.1.0"
__all__ = [
    "Delta",
    "LimitReached",
    "Message",
    "ModelError",
    "Orchestrator",
    "Refused",
    "Rendered",
    "Reply",
    "ReplyStream",
    "Request",
    "RequestError",
    "SpecError",
    "TimedOut",
    "Tool",
    "Unauthenticated",
    "UsageError",
    "VictorError",
    "__version__",
    "compile",
    "load",
    "open",
    "render",
    "run",
]

_HOMES = {
    "victor_dsl.errors": {name for name in __all__ if name.endswith("Error")}
    | {"LimitReached", "Refused", "TimedOut", "Unauthenticated"},
    "victor_dsl.interfaces.python": {"compile", "load", "open", "render", "run"},
    "victor_dsl.runtime.orchestrator": {"Orchestrator"},
    "victor_dsl.runtime.reply_stream": {"ReplyStream"},
    "victor_dsl.values.message": {"Delta", "Message", "Reply"},
    "victor_dsl.values.outcome": {"Rendered"},
    "victor_dsl.values.request": {"Request"},
    "victor_dsl.values.tool": {"Tool"},
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'victor_dsl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
