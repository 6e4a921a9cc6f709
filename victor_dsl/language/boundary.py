"""The boundary around components: whatever one raises becomes an error of the turn that called it.

A component may raise more than an Exception: the CancelledError of a task of its own, a BaseExceptionGroup,
SystemExit. Passed on, it would cancel or end whatever task happens to run the component. A call of a component is
therefore written as

    try:
        text = await contributor.contribute(turn)
    except BaseException as error:
        if not is_unforeseen(error):
            raise
        raise internal_error(error, node.id) from error
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from victor_dsl.errors import ComponentError, VictorError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import asyncio
    import logging
else:
    asyncio, logging = Lazy("asyncio"), Lazy("logging")


def is_fault(error: BaseException) -> bool:
    """Whether the exception is the component's own fault, not a cancellation from outside.

    A cancellation of the current task, and an interrupt of the process, must be raised again.
    """
    if isinstance(error, Exception):
        return True
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return False
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


def is_unforeseen(error: BaseException) -> bool:
    """Whether what a component raised is a fault of its own that was not raised for people to read."""
    return not isinstance(error, VictorError) and is_fault(error)


def component_error(error: BaseException, node: str | None = None) -> VictorError:
    """The error itself if it was raised for people to read, else an internal error of the node."""
    return error if isinstance(error, VictorError) else internal_error(error, node)


def internal_error(error: BaseException, node: str | None = None) -> ComponentError:
    """An internal error as callers see it: its text may quote prompts or configuration, so only the log has it."""
    id = secrets.token_hex(4)
    logging.getLogger("victor_dsl").error("internal error %s%s", id, f" in {node}" if node else "", exc_info=error)
    failure = ComponentError(f"internal error {id}; see the log", node=node)
    failure.__cause__ = error
    return failure


def describe(error: BaseException) -> str:
    """The error's type and text: `KeyError: 'name'`; of an error that was raised for people to read, its text."""
    if isinstance(error, VictorError):
        return str(error)
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
