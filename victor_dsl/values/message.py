"""Messages in the OpenAI chat format, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, get_args

from attrs import field, frozen

from victor_dsl.errors import VictorError
from victor_dsl.values.frozen import FrozenMap, value
from victor_dsl.values.tokens import MESSAGE_OVERHEAD, Size, TokenCounter, extra_tenths, part_tokens, text_tokens

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)
Part = Mapping[str, Any]
"""One part of a message's content, as the OpenAI chat format writes it: `{"type": "text", "text": …}`."""

Content = str | tuple[Part, ...]
"""What a message says: text, or parts."""


@frozen
class ToolCall:
    """A model's request to call a tool; `arguments` is the JSON text exactly as the model wrote it.

    `extra` are further fields that the provider wrote on the call and needs back, such as a signature of its thoughts.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    def as_json(self) -> dict[str, Any]:
        """The call in the OpenAI chat format."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function, **(self.extra or {})}


@frozen
class Message:
    """One message. `content` is text, a tuple of parts, or None where an assistant only calls tools.

        said = [
            victor_dsl.Message("user", "I am Ada."),
            victor_dsl.Message("assistant", "Hello, Ada!"),
            victor_dsl.Message("user", "Who am I?"),
        ]
        reply = await app.chat(victor_dsl.Request(messages=said))

    `extra` are further fields that the provider of an answer needs back, such as `reasoning_content`; `written_by` is the
    model to which they belong. `said` is what the user said, where the content has it in the spec's template.
    """

    role: Role
    content: Content | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    pinned: bool = field(default=False, kw_only=True)
    extra: Mapping[str, Any] | None = field(default=None, kw_only=True, hash=False)
    written_by: str | None = field(default=None, kw_only=True)
    said: str | None = field(default=None, kw_only=True)

    def as_json(self) -> dict[str, Any]:
        """The message in the OpenAI chat format. What is not set is left out, but for an assistant's `content`, which is null."""
        content = self.content
        json: dict[str, Any] = {"role": self.role}
        if content is not None or self.role == "assistant":
            json["content"] = list(content) if isinstance(content, tuple) else content
        if self.tool_calls:
            json["tool_calls"] = [call.as_json() for call in self.tool_calls]
        if self.tool_call_id is not None:
            json["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            json["name"] = self.name
        if self.pinned:
            json["pinned"] = True
        if self.extra:
            json.update(self.extra)
        if self.written_by is not None:
            json["written_by"] = self.written_by
        return json

    def own_words(self) -> str:
        """The text without the template that the spec puts around it."""
        return self.text() if self.said is None else self.said

    def text(self) -> str:
        """The message's text, without parts that are not text, such as images."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part["text"]) for part in self.content if part.get("type") == "text" and "text" in part)

    @cached_property
    def tokens(self) -> int:
        """Its tokens by the stated rule: those of its text and tool calls, a flat sum for each image, recording and file, and 4
        more. Counted once per message."""
        return text_tokens(self.counted_text()) + MESSAGE_OVERHEAD + self.other_tokens()

    @cached_property
    def fingerprint(self) -> int:
        """A hash of what it says, in this process only."""
        content = self.content
        text = content if isinstance(content, str | None) else repr(content)
        return hash((self.role, text, self.tool_calls, self.tool_call_id))

    @cached_property
    def is_plain(self) -> bool:
        """Whether it is nothing but ASCII text: no parts, no tool calls, no tool's result. Nearly all messages are."""
        content = self.content
        return type(content) is str and content.isascii() and not self.tool_calls and self.role != "tool"

    def counted_text(self) -> str:
        """The text whose tokens are counted: its own, then each tool call as `name(arguments)`, on lines of their own."""
        if not self.tool_calls:
            return self.text()
        calls = [f"{call.name}({call.arguments})" for call in self.tool_calls]
        if self.extra:
            calls += [value for value in self.extra.values() if isinstance(value, str)]
        return "\n".join([self.text(), *calls] if self.text() else calls)

    def other_tokens(self) -> int:
        """The tokens of the parts that are not text, such as images."""
        return sum(map(part_tokens, self.content)) if isinstance(self.content, tuple) else 0

    def is_text(self) -> bool:
        """Whether its content is text alone, without images or other parts."""
        content = self.content
        return content is None or isinstance(content, str) or all(part.get("type") == "text" for part in content)


def without_lone_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair that stands alone: no UTF-8, and so no request, can contain one."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def are_plain(messages: Iterable[Message]) -> bool:
    """Whether all messages are plain (`Message.is_plain`)."""
    return all(map(_is_plain, messages))


def messages_tokens(messages: Iterable[Message]) -> int:
    """The tokens of all messages by the stated rule."""
    return sum(map(_tokens, messages))


def messages_size(messages: Sequence[Message], count: TokenCounter | None = None) -> Size:
    """The size of all messages; `count` is the model's tokenizer."""
    stated = messages_tokens(messages)
    if count is None and are_plain(messages):
        return Size(stated, stated)
    whole = all(message.is_text() for message in messages)
    texts = [message.counted_text() for message in messages]
    if count is None:
        return Size(stated, stated, sum(map(extra_tenths, texts)), whole)
    others = 0 if whole else sum(message.other_tokens() for message in messages)
    return Size(stated, sum(map(count, texts)) + MESSAGE_OVERHEAD * len(messages) + others, 0, whole)


_is_plain, _tokens = attrgetter("is_plain"), attrgetter("tokens")  # many times per turn: quicker than a generator


@value
class Usage:
    """Tokens and cost of one model call or one turn; None where the model reported none.

    `input_tokens` counts all input: `cached_tokens` of it were read from a prompt cache, and `cache_write_tokens` written to one.
    `output_tokens` counts all output: `reasoning_tokens` of it were spent on thoughts. `estimated` says that the model did not
    report some of these counts, as when its answer broke off.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False

    def tokens_json(self) -> dict[str, Any]:
        """The tokens by kind, as events show them. `estimated` is there only if some were estimated."""
        counts: dict[str, Any] = {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }
        if self.estimated:
            counts["estimated"] = True
        return counts

    def as_json(self) -> dict[str, Any]:
        """The tokens by kind and their cost, as events and reply lines show them."""
        return {**self.tokens_json(), "cost_usd": self.cost_shown}

    @property
    def cost_shown(self) -> float | None:
        """The cost in whole billionths of a dollar, as events and reply lines show it."""
        return None if self.cost_usd is None else round(self.cost_usd, 9)

    def __add__(self, other: Usage) -> Usage:
        if self is NO_USAGE:  # a turn's first model call; most turns have no other
            return other
        return Usage(
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.output_tokens, other.output_tokens),
            _sum(self.cost_usd, other.cost_usd),
            _sum(self.cached_tokens, other.cached_tokens),
            _sum(self.cache_write_tokens, other.cache_write_tokens),
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            self.estimated or other.estimated,
        )


NO_USAGE = Usage()


@frozen
class ToolResult:
    """How a tool call ended: its id, the tool's name, whether it worked, and how long it took."""

    id: str
    name: str
    ok: bool
    latency_ms: float


@frozen
class Delta:
    """A piece of a streamed turn: of its text, of the model's thoughts (`reasoning`), a tool call that begins to run, its end
    (`tool_result`), or a `restart`.

    `kind` says which. `text` and `str(delta)` are the reply's own text, and empty for all else, so they can be shown as they come.
    A restart takes back all text that was streamed before: the answer broke off, and begins anew.

        async for piece in app.stream("Hello!"):
            if piece.kind == "tool_call":
                print(f"[{piece.tool_call.name}]")
            print(piece, end="", flush=True)
    """

    text: str = ""
    reasoning: str = ""
    restart: bool = False
    tool_call: ToolCall | None = None
    tool_result: ToolResult | None = None

    @property
    def kind(self) -> Literal["text", "reasoning", "tool_call", "tool_result", "restart"]:
        """What this is a piece of."""
        if self.restart:
            return "restart"
        if self.tool_result is not None:
            return "tool_result"
        if self.tool_call is not None:
            return "tool_call"
        return "reasoning" if self.reasoning and not self.text else "text"

    def __str__(self) -> str:
        return self.text


StopReason = Literal["stop", "length", "tool_calls", "content_filter", "max_tool_rounds", "error", "cancelled"]


@value
class Reply:
    """The reply to a request, and what every handler returns; a tool's reply is a message of role `tool`.

    `model` is the spec's name of the model that answered, or was asked last; `response_model` is what the server calls it.
    The fields after it are set when the turn ends, and handlers leave them alone. With an `error` there is no reply: the message
    is empty, and `stop_reason` is `error`. `exchange` has the turn's messages before the reply: the user's, then tool calls
    and their results.

        reply = await app.chat("Hello!", session_id="s1")
        print(reply.text, reply.model, reply.usage.output_tokens, reply.to_dict())
    """

    message: Message
    usage: Usage = NO_USAGE
    stop_reason: StopReason = "stop"
    response_model: str | None = None
    model: str | None = None
    id: str | int = ""
    session: str = ""
    tenant: str | None = None
    variants: Mapping[str, str] = field(default=FrozenMap(), hash=False)
    latency_ms: float = 0.0
    plan: str = ""
    error: VictorError | None = None
    exchange: tuple[Message, ...] = ()

    @property
    def text(self) -> str:
        """The reply's text; empty where there is none."""
        return self.message.text()

    def to_dict(self) -> dict[str, Any]:
        """The reply as a reply line: JSON values alone, so a web framework can return it.

        It has `tool_calls` if the caller is to answer some. `message` is then what the caller sends back before the
        results, with all that the provider wants back.
        """
        line: dict[str, Any] = {
            "id": self.id,
            "session": self.session,
            "tenant": self.tenant,
            "reply": self.text,
            "stop_reason": self.stop_reason,
            "model": self.model,
            "response_model": self.response_model,
            "variants": dict(self.variants),
            "usage": self.usage.as_json(),
            "latency_ms": round(self.latency_ms, 3),
            "plan": self.plan,
            "error": None if self.error is None else self.error.to_dict(),
        }
        if self.message.tool_calls:
            line["message"] = self.message.as_json()
            line["tool_calls"] = line["message"]["tool_calls"]
        return line


NO_MESSAGE = Message("assistant", "")
"""The message of a reply that has an `error` instead."""


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b
