"""The turn: everything that one request carries through the pipeline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import define, field, frozen

from victor_dsl.values.event import Contents, EventType
from victor_dsl.values.frozen import FrozenMap, value
from victor_dsl.values.message import NO_USAGE, Delta, Message, Reply, ToolCall, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Layer, Settings, default_settings
from victor_dsl.values.tool import Tool

Emit = Callable[[Delta], Awaitable[None]]
Record = Callable[[EventType, Mapping[str, Any]], None]


async def discard(delta: Delta) -> None:
    """The `emit` of a turn that is not streamed."""


def forget(type: EventType, data: Mapping[str, Any]) -> None:
    """The `record` of a turn without exporters."""


def bare(handler: Handler) -> Handler:
    """The handler itself: outside of a pipeline no middleware stands around models."""
    return handler


async def call_directly(_: str, handler: Handler, turn: Turn) -> Reply:
    """The handler's reply: outside of a model loop nobody records the calls of a pool's members."""
    return await handler(turn)


@frozen
class CompactionRecord:
    """What compaction did to a turn, in tokens of its messages.

    `type` is the strategy whose choice was used; `fallback` says that it stood in for one that failed. `target` is the aim:
    `after` exceeds it where the messages that must stay cost more by themselves. `prefix_kept` is the share (0 to 1) of the
    tokens sent after the session's last compaction that lead these messages too, which is what prompt caches can reuse; None
    where there was no last compaction. `reused` says that no strategy ran: what an earlier turn of the session left out is left
    out again, and `target` is what the messages may have until it runs anew.
    """

    type: str
    before: int
    after: int
    target: int
    fallback: bool = False
    prefix_kept: float | None = None
    reused: bool = False

    def as_json(self) -> dict[str, Any]:
        """The record as `victor render` and the `compaction` event show it."""
        return {
            "type": self.type,
            "before": self.before,
            "after": self.after,
            "target": self.target,
            "fallback": self.fallback,
            "prefix_kept": None if self.prefix_kept is None else round(self.prefix_kept, 4),
            "reused": self.reused,
        }


@frozen
class Mending:
    """What was mended in a conversation (`values.mending`): indices into the original."""

    closed: tuple[int, ...]
    left_out: tuple[int, ...]
    moved: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The record as `victor render` shows it."""
        record = {"closed": list(self.closed), "left_out": list(self.left_out)}
        return {**record, "moved": list(self.moved)} if self.moved else record


@frozen(eq=False)
class Conversation:
    """The whole conversation, and where each message that a turn sends stands in it.

    `messages` are those of the request or the session, then those that the turn added. A place is None for a message that
    is not among them: a stand-in for a missing result, or a summary.
    """

    messages: tuple[Message, ...]
    places: tuple[int | None, ...]


@value
class SelectionRecord:
    """What tool selection did: the strategy that chose, out of how many allowed tools, and the names selected, best first.

    A `fallback` chose because a strategy `failed`, or else because no tool matched. `reset` says that the session's set of offered
    tools began anew with this selection.
    """

    type: str
    candidates: int
    offered: tuple[str, ...]
    fallback: bool = False
    reset: bool = False
    failed: bool = False


FindTools = Callable[[str, "Turn"], Awaitable[Sequence[Tool]]]


@frozen(eq=False)
class DeferredTools:
    """Tools whose definitions a model gets when it needs them; `find` finds those that match a query, best first."""

    tools: tuple[Tool, ...]
    find: FindTools

    @cached_property
    def by_name(self) -> Mapping[str, Tool]:
        """The tools by name."""
        return {tool.name: tool for tool in self.tools}


@frozen
class Contribution:
    """One contributor's piece of the system prompt; `tokens` are those that it has in the prompt.

    `text` is the piece as it stands there; `why` says why it was dropped or cut, and is empty where it was not.
    """

    type: str
    name: str
    priority: int
    tokens: int
    dropped: bool = False
    text: str = field(default="", eq=False, repr=False)
    why: str = field(default="", eq=False)

    def as_json(self) -> dict[str, Any]:
        """The piece as `victor render` shows it; its text is a part of the system prompt."""
        piece = {
            "type": self.type,
            "name": self.name,
            "priority": self.priority,
            "tokens": self.tokens,
            "dropped": self.dropped,
        }
        return {**piece, "why": self.why} if self.why else piece


@define(eq=False)
class Streamed:
    """What a turn has streamed to its caller.

    `before` is the text of the turn's earlier answers, and `text` that of the answer under way, by all attempts, where
    `broken_stream` needs them. `reached` says whether any text of this answer went out; `stuck` that no other try can go on
    from there.
    """

    before: str = ""
    text: list[str] = field(factory=list)
    reached: bool = False
    stuck: bool = False

    def end_answer(self) -> None:
        """Begins anew with the turn's next answer."""
        self.before += "".join(self.text)
        self.text.clear()
        self.reached = self.stuck = False

    def take_back(self, end: str) -> None:
        """Removes an end of the text that a middleware had not passed on when the answer broke off."""
        text = "".join(self.text)
        self.stuck = self.stuck or not text.endswith(end)
        self.text[:] = [text.removesuffix(end)]


@define(eq=False)
class Trace:
    """What a turn learns on its way, for its answer and its events, also if it fails later.

    It is the one mutable thing that a turn carries. `exchange` has the messages that the turn adds to its session before
    the reply: the user's, as the middleware left it, then calls and results. `conversation` is what the turn answers, as it came
    in; `contents` are set for exporters that want them. `values` is the hash of the values in force,
    `selection` the tools offered, `used` the name of each tool call; `ran_tools` says that a tool may have run. `mending` is
    None where nothing was mended. `failed` are the node ids of members of pools that failed in this turn: they are tried last
    from then on.
    """

    session: str
    tenant: str | None = None
    user: str | None = None
    arms: Mapping[str, str] = FrozenMap()
    plan: str = ""
    values: str = ""
    model: str | None = None
    usage: Usage = NO_USAGE
    exchange: tuple[Message, ...] = ()
    conversation: tuple[Message, ...] = ()
    contents: Contents | None = None
    selection: SelectionRecord | None = None
    used: tuple[str, ...] = ()
    failed: frozenset[str] = frozenset()
    found_tools: set[str] = field(factory=set)
    ran_tools: bool = False
    mending: Mending | None = None
    streamed: Streamed = field(factory=Streamed)


@frozen(slots=False, eq=False)
class Turn:
    """One request on its way, immutable: each step makes a new turn by `replace`.

    `session_user` is the user to whom the session belongs, None where it belongs to all users of the tenant.
    `messages` is the conversation without system messages, oldest first; `system` the system prompt, None until it is
    composed, and `stable_system` the length of its beginning that does not vary, None for all of it; `examples` are the spec's
    few-shot messages, which a model gets as the first of its `messages` (`with_examples`); `tools` are the
    candidates, then the tools offered; `deferred` are those
    that the model finds when it needs them, and `tools` then those that it searches with; `call` is set only inside a tool's handler. `emit` takes the
    pieces of the streamed reply; `record` takes events and never waits. `around_model` wraps a handler in the plan's
    middleware around models: a component that calls a model does so through it. `call_member` calls a member of a pool, by the
    member's name and handler, with the member's settings, and records the call. `model_fingerprints` are those of the plan's
    models, by name: overlays and reloads may put another model under the same name. `streaming` says whether anyone listens to
    `emit`, `rendering` that no model may be called, `fallback_left` that another model answers if this one does not. `deadline`
    is in seconds of the event loop's clock. `request` is what
    the caller sent; its `system_messages` end the system prompt. `layers` are the sources of settings and vars, lowest
    first; `inputs` are the spec's inputs, None where one is not set; `contributions` the pieces of the system prompt.
    `selection` is set once tools were selected, `compaction` if the history was compacted, `conversation` if `messages` are
    no longer all of it. `why` says of a rendered turn why each message was kept or left out, by index in the conversation.
    """

    id: str
    session: str
    messages: tuple[Message, ...]
    tenant: str | None = None
    user: str | None = None
    session_user: str | None = None
    arms: Mapping[str, str] = FrozenMap()
    settings: Settings = field(factory=default_settings)
    vars: Mapping[str, Any] = FrozenMap()
    inputs: Mapping[str, Any] = FrozenMap()
    system: str | None = None
    stable_system: int | None = None
    examples: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    call: ToolCall | None = None
    emit: Emit = discard
    record: Record = forget
    around_model: Callable[[Handler], Handler] = bare
    call_member: Callable[[str, Handler, Turn], Awaitable[Reply]] = call_directly
    model_fingerprints: Mapping[str, str] = FrozenMap()
    streaming: bool = False
    rendering: bool = False
    fallback_left: bool = False
    pipeline: str = ""
    plan: str = ""
    deadline: float | None = None
    deferred: DeferredTools | None = None
    selection: SelectionRecord | None = None
    compaction: CompactionRecord | None = None
    conversation: Conversation | None = None
    why: Mapping[int, str] = field(factory=dict)
    metadata: Mapping[str, Any] = field(default=FrozenMap(), repr=False)
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

    def with_examples(self) -> Turn:
        """This turn as a model gets it: its messages begin with the spec's few-shot messages."""
        return self.replace(messages=self.examples + self.messages) if self.examples else self

    @property
    def session_key(self) -> tuple[str | None, str | None, str]:
        """What no other session has: its tenant, its user, and its id."""
        return self.tenant, self.session_user, self.session

    @property
    def may_try_again(self) -> bool:
        """Whether another attempt at the answer may follow one that failed: not after text went out that it could not replace."""
        streamed = self.trace.streamed
        return not streamed.reached or (self.settings.broken_stream in ("restart", "continue") and not streamed.stuck)

    @property
    def is_first_answer(self) -> bool:
        """Whether the model is to answer the user, not the results of tools that it called for the user."""
        return not self.messages or self.messages[-1].role != "tool"

    @property
    def kept(self) -> tuple[int, ...] | None:
        """The indices in the conversation of the messages that are sent; None where all are."""
        if self.conversation is None:
            return None
        return tuple(sorted(place for place in self.conversation.places if place is not None))

    def callable_tools(self) -> Mapping[str, Tool]:
        """The tools that the model may call, by name: those offered, or the deferred ones."""
        return {tool.name: tool for tool in self.tools} if self.deferred is None else self.deferred.by_name

    def latest_user_text(self) -> str:
        """The text of the latest user message; empty where there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text()
        return ""


Handler = Callable[[Turn], Awaitable[Reply]]
"""The one shape of everything at run time: a turn in, a reply out."""
