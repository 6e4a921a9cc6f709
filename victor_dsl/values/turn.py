"""The turn: everything that one request carries through the pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from victor_dsl.values.event import EventType
from victor_dsl.values.message import NO_USAGE, Delta, Message, Reply, ToolCall, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Layer, Settings, default_settings
from victor_dsl.values.tool import Tool

Emit = Callable[[Delta], Awaitable[None]]
Record = Callable[[EventType, Mapping[str, Any]], None]


async def discard(delta: Delta) -> None:
    """The emit of a turn that nobody streams."""


def forget(type: EventType, data: Mapping[str, Any]) -> None:
    """The record of a turn whose events nobody keeps."""


def bare(handler: Handler) -> Handler:
    """The handler as it is: around the models of a turn outside of a pipeline stands nothing."""
    return handler


@frozen
class CompactionRecord:
    """What compaction did to a turn, in tokens of its messages.

    `type` is the strategy whose choice was taken; `fallback` says that it stood in for one that failed. `target` is
    what was aimed at: `after` is above it where the messages that must stay cost more than that by themselves.
    `prefix_kept` is the share (0 to 1) of the tokens which the session's last compaction sent that lead these messages
    too, as prompt caches need it; None where there was none.
    """

    type: str
    before: int
    after: int
    target: int
    fallback: bool = False
    prefix_kept: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as `victor render` and the `compaction` event show it."""
        return {
            "type": self.type,
            "before": self.before,
            "after": self.after,
            "target": self.target,
            "fallback": self.fallback,
            "prefix_kept": None if self.prefix_kept is None else round(self.prefix_kept, 4),
        }


@frozen
class Mending:
    """What a conversation lacked (`values.mending`): indices into it, as it was given."""

    closed: tuple[int, ...]
    left_out: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """The record as `victor render` shows it."""
        return {"closed": list(self.closed), "left_out": list(self.left_out)}


@frozen(eq=False)
class Conversation:
    """The whole conversation, and where each message that a turn sends stands in it.

    `messages` are those of the request or the session, then those that the turn added. A place is None for a message that
    is not among them: a stand-in for a missing result, or a summary.
    """

    messages: tuple[Message, ...]
    places: tuple[int | None, ...]


@frozen
class SelectionRecord:
    """What tool selection did to a turn: who chose, from how many allowed tools, and the names offered, best first."""

    type: str
    candidates: int
    offered: tuple[str, ...]
    fallback: bool = False

    def as_json(self) -> dict[str, Any]:
        """The record as events show it."""
        return {
            "type": self.type,
            "candidates": self.candidates,
            "offered": list(self.offered),
            "fallback": self.fallback,
        }


@frozen
class Contribution:
    """What became of one contributor's piece of the system prompt; `tokens` are what it has in the prompt."""

    type: str
    name: str
    priority: int
    tokens: int
    dropped: bool = False


@define(eq=False)
class Trace:
    """What becomes known of a turn on its way, also when it fails later: for its answer and its events.

    The one mutable thing that a turn carries. `exchange` holds the messages that the turn adds to its session
    before the reply: the user's, as the middleware left it, then calls and results; `values` is the hash of the
    values in force. `selection` is what tools were offered, `used` the names of those that the model called, each time.
    `mending` is there where the conversation could not be sent as it was.
    """

    session: str
    tenant: str | None = None
    user: str | None = None
    arms: Mapping[str, str] = field(factory=dict)
    plan: str = ""
    values: str = ""
    model: str | None = None
    usage: Usage = NO_USAGE
    exchange: tuple[Message, ...] = ()
    selection: SelectionRecord | None = None
    used: tuple[str, ...] = ()
    mending: Mending | None = None


@frozen(slots=False, eq=False)
class Turn:
    """One request on its way, immutable: each step gives a new turn by `replace`.

    `messages` is the conversation without system messages, oldest first; `system` the system prompt, None until
    it is composed; `tools` what may be offered, then what is; `call` is set only inside a tool's handler.
    `emit` takes the pieces of the streamed reply; `record` takes events sideways and never waits.
    `around_model` puts the plan's middleware around models about a handler: a component that asks a model does so through it.
    `streaming` says whether anyone listens to `emit`, `rendering` that no model may be called. `deadline` is in seconds of the event loop's clock.
    `request` is what the caller asked for; `system_messages` are those among its messages, which end the system prompt.
    `layers` are what settings and vars were settled from, lowest first; `contributions` what the prompt is made of.
    `selection` is there once tools were selected; `compaction` where the history was compacted, and `conversation` where
    `messages` are no longer all of it. `why` says of a rendered turn's messages, by their indices in
    the conversation, why each was kept or left out.
    """

    id: str
    session: str
    messages: tuple[Message, ...]
    tenant: str | None = None
    user: str | None = None
    arms: Mapping[str, str] = field(factory=dict)
    settings: Settings = field(factory=default_settings)
    vars: Mapping[str, Any] = field(factory=dict)
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    call: ToolCall | None = None
    emit: Emit = discard
    record: Record = forget
    around_model: Callable[[Handler], Handler] = bare
    streaming: bool = False
    rendering: bool = False
    pipeline: str = ""
    plan: str = ""
    deadline: float | None = None
    selection: SelectionRecord | None = None
    compaction: CompactionRecord | None = None
    conversation: Conversation | None = None
    why: Mapping[int, str] = field(factory=dict)
    metadata: Mapping[str, Any] = field(factory=dict, repr=False)
    request: Request = Request()
    trace: Trace = field(factory=lambda: Trace(""))
    system_messages: tuple[Message, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    layers: tuple[Layer, ...] = ()

    def replace(self, **changes: Any) -> Turn:
        """This turn with some fields changed. The type checker's plugin alone checks the names."""
        new = object.__new__(Turn)
        object.__setattr__(new, "__dict__", self.__dict__ | changes)  # `evolve` would take ten times as long
        return new

    @property
    def kept(self) -> tuple[int, ...] | None:
        """The indices, in the conversation as it was given, of the messages that are left; None where all are."""
        if self.conversation is None:
            return None
        return tuple(place for place in self.conversation.places if place is not None)

    def latest_user_text(self) -> str:
        """The text of the latest user message; empty where there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text()
        return ""


Handler = Callable[[Turn], Awaitable[Reply]]
"""The one shape of everything at run time: a turn in, a reply out."""
