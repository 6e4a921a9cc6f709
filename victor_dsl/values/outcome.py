"""The outcome of rendering a request: what the model would have been sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from victor_dsl.errors import VictorError
from victor_dsl.values.frozen import FrozenMap
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Layer, Origin
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import CompactionRecord, Contribution, Mending, SelectionRecord


@frozen(kw_only=True, eq=False)
class Tokens:
    """The tokens of what would be sent; `limit` is the model's window, None where it is not known."""

    system: int = 0
    messages: int = 0
    tools: int = 0
    limit: int | None = None

    def as_json(self) -> dict[str, int | None]:
        """The counts with their sum."""
        total = self.system + self.messages + self.tools
        return {
            "system": self.system,
            "messages": self.messages,
            "tools": self.tools,
            "total": total,
            "limit": self.limit,
        }


@frozen
class CacheUse:
    """What of a request a provider's prompt cache can have from the session's request before.

    `stable_tokens` are those of the tools, the system prompt and the messages, in this order, that begin this request as the one
    before. `changed_at` is where the two first differ: `tools`, `system` or `messages/3`; None where this one only goes on, or
    is the first.
    """

    stable_tokens: int = 0
    changed_at: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as `victor render` shows it."""
        return {"stable_tokens": self.stable_tokens, "changed_at": self.changed_at}


@frozen(eq=False)
class Explained:
    """Why one message of the input is sent or left out; `index` is its place in the input."""

    index: int
    message: Message
    tokens: int
    kept: bool
    why: str

    def as_json(self) -> dict[str, Any]:
        """The reason, without the message."""
        return {
            "index": self.index,
            "role": self.message.role,
            "tokens": self.tokens,
            "kept": self.kept,
            "why": self.why,
        }


@frozen(kw_only=True, eq=False)
class Rendered:
    """What the model would be sent, and why; after an error, as far as the turn came.

        rendered = victor_dsl.render("victor.yml", "Hello!")
        print(rendered.system, rendered.settings["model"], rendered.to_dict()["tokens"])

    `kept` and the indices of `mending` point into the input: the request's `messages`, or the session's history followed by
    its `message`. `tools` are the names selected for this turn, best first, and `sent_tools` those sent, in the order sent:
    what earlier turns were offered is sent, too, and `definitions` are theirs. `listed_tools` are all that there are to select from.
    `explained` has one entry for each of the `input_messages`. `vars`, `inputs`, the `layers` of values (the lowest first) and the
    `selection` of tools are for pages that people read.
    """

    id: str | int | None
    session: str
    tenant: str | None
    variants: Mapping[str, str]
    settings: Mapping[str, Any]
    origins: Mapping[str, Origin]
    system: str
    contributors: tuple[Contribution, ...]
    messages: tuple[Message, ...]
    kept: tuple[int, ...]
    tools: tuple[str, ...]
    sent_tools: tuple[str, ...]
    tokens: Tokens
    compaction: CompactionRecord | None
    plan: str
    error: VictorError | None = None
    mending: Mending | None = None
    listed_tools: tuple[str, ...] = ()
    explained: tuple[Explained, ...] = ()
    cache: CacheUse = CacheUse()
    vars: Mapping[str, Any] = FrozenMap()
    inputs: Mapping[str, Any] = FrozenMap()
    layers: tuple[Layer, ...] = ()
    selection: SelectionRecord | None = None
    definitions: tuple[Tool, ...] = ()
    input_messages: int = 0

    def to_dict(self, *, explain: bool = False) -> dict[str, Any]:
        """The rendered turn as `victor render` prints it; `explain` adds why each message was kept or left out.

        `mending` is present only if something was mended, `selection` only if a fallback chose some of the tools.
        """
        compaction = None if self.compaction is None else self.compaction.as_json()
        if compaction is not None and explain:
            compaction["messages"] = [message.as_json() for message in self.explained]
        line: dict[str, Any] = {
            "id": self.id,
            "session": self.session,
            "tenant": self.tenant,
            "variants": dict(self.variants),
            "settings": dict(self.settings),
            "origins": {path: origin.as_json() for path, origin in self.origins.items()},
            "system": self.system,
            "contributors": [piece.as_json() for piece in self.contributors],
            "messages": [message.as_json() for message in self.messages],
            "kept": list(self.kept),
            "tools": list(self.tools),
            "sent_tools": list(self.sent_tools),
            "tokens": self.tokens.as_json(),
            "cache": self.cache.as_json(),
            "compaction": compaction,
            "plan": self.plan,
            "error": None if self.error is None else self.error.to_dict(),
        }
        if self.mending is not None:
            line["mending"] = self.mending.as_json()
        if self.selection is not None and self.selection.fallback and self.selection.type != "all":
            line["selection"] = {"type": self.selection.type, "fallback": True}
        return line
