"""The turn: everything that one request carries through the pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import field, frozen

from victor_dsl.values.event import EventType
from victor_dsl.values.message import Delta, Message, Reply, ToolCall
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool

Emit = Callable[[Delta], Awaitable[None]]
Record = Callable[[EventType, Mapping[str, Any]], None]


async def discard(delta: Delta) -> None:
    """The emit of a turn that nobody streams."""


def forget(type: EventType, data: Mapping[str, Any]) -> None:
    """The record of a turn whose events nobody keeps."""


@frozen(slots=False, eq=False)
class Turn:
    """One request on its way, immutable: each step gives a new turn by `replace`.

    `messages` is the conversation without system messages, oldest first; `system` the system prompt, None until
    it is composed; `tools` what may be offered, then what is; `call` is set only inside a tool's handler.
    `emit` takes the pieces of the streamed reply; `record` takes events sideways and never waits.
    `streaming` says whether anyone listens to `emit`. `deadline` is in seconds of the event loop's clock.
    """

    id: str
    session: str
    messages: tuple[Message, ...]
    tenant: str | None = None
    user: str | None = None
    arms: Mapping[str, str] = field(factory=dict)
    settings: Settings = field(factory=Settings)
    vars: Mapping[str, Any] = field(factory=dict)
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    call: ToolCall | None = None
    emit: Emit = discard
    record: Record = forget
    streaming: bool = False
    pipeline: str = ""
    plan: str = ""
    deadline: float | None = None
    metadata: Mapping[str, Any] = field(factory=dict)

    def replace(self, **changes: Any) -> Turn:
        """This turn with some fields changed; the names are checked by the type checker's plugin only, not here."""
        new = object.__new__(Turn)
        new.__dict__.update(self.__dict__)
        new.__dict__.update(changes)
        return new

    def latest_user_text(self) -> str:
        """The text of the latest user message; empty where there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text()
        return ""


Handler = Callable[[Turn], Awaitable[Reply]]
"""The one shape of everything at run time: a turn in, a reply out."""
