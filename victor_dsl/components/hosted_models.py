"""What models behind HTTP share: their configuration, the list of known models, and the client.

A model adds what differs from API to API: how a turn is written as a request's body, and how an answer is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import date
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from attrs import evolve
from pydantic import Field

from victor_dsl.components.known_models import KnownModel, find_known_model, nearest_known_model
from victor_dsl.components.model_streams import ModelStream
from victor_dsl.components.prices import Prices, own_prices
from victor_dsl.components.provider_names import provider_name
from victor_dsl.components.stop_reasons import Interrupted
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Model as Config
from victor_dsl.language.config import ModelConfig
from victor_dsl.language.http_config import HttpConfig
from victor_dsl.lazy import Lazy
from victor_dsl.transport.json_values import Malformed, is_shallow, join_surrogates
from victor_dsl.values.message import NO_USAGE, Delta, Message, Part, Reply, Usage
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.transport import http
else:
    http = Lazy("victor_dsl.transport.http")

NO_IMAGE: Part = {"type": "text", "text": "(an image, which this model cannot see)"}

MAX_PAUSES = 10
"""How often an answer that the server pauses is continued."""

MOST_LEVELS = 180
"""How deep an answer may nest: less than what is read of stored messages."""

_IMAGES = ("image_url", "image", "input_image")


class PromptCache(Config):
    """How long a prompt stays cached."""

    ttl: Literal["5m", "1h"] = Field(
        "5m",
        description="How long the cache keeps a prompt after its last use. Anthropic asks twice the price of plain input for "
        "writing with `1h`. With OpenAI, `1h` requests the longer retention, which is up to 24 hours.",
    )


class HostedConfig(HttpConfig, ModelConfig):
    """The fields of every model behind HTTP."""

    api_name: ClassVar[str] = "openai"
    """Whose API its server speaks."""
    RESERVED_FIELDS: ClassVar[frozenset[str]] = frozenset(
        {"model", "messages", "input", "instructions", "system", "tools", "stream"}
    )

    model: str = Field(
        min_length=1,
        description="The name of the model on the server. The window and prices of well-known models are looked up by it.",
    )
    sampling: bool | None = Field(
        None,
        description="Whether to send `temperature` and `top_p`. By default they go to every model except those known to refuse them.",
    )
    images: bool | None = Field(
        None,
        description="Whether the model sees images. If not, a note takes the place of each image in a message or a tool's "
        "result. By default images go to every model except those known not to see them.",
    )
    tool_search: bool | None = Field(
        None,
        description="Whether the server itself loads deferred tools (`tool_selection: deferred`): `anthropic`, and `openai` with "
        "`api: responses`. By default it does where the provider's own API is known to do so for the model; elsewhere the model "
        "searches with `find_tools`.",
    )
    prompt_cache: bool | PromptCache = Field(
        True,
        description=(
            "Whether to use the provider's prompt cache, and for how long: `false`, `true` or a map with `ttl`. An `anthropic` "
            "model gets marks where the next request begins the same: after the tools, the system prompt and the "
            "conversation. An `openai` model gets a key for each session, if it is OpenAI's own or this field is written."
        ),
        examples=[False, {"ttl": "1h"}],
    )
    timeout_seconds: float = Field(
        600.0, gt=0, description="The time limit for a whole answer, from opening the connection to the last byte."
    )
    first_token_seconds: float | None = Field(
        None,
        gt=0,
        description="The longest wait for the first token, from opening the connection on. Comments and empty events of a stream "
        "do not count. By default it is 12 seconds where a fallback can answer instead, and a second more for every 5,000 tokens "
        "of the conversation, or 90 seconds for a model that thinks; without a fallback it is `chunk_timeout_seconds`.",
        examples=[5],
    )
    chunk_timeout_seconds: float | None = Field(
        None,
        gt=0,
        description="The longest silence between two tokens. Comments and empty events of a stream do not end a silence. By default "
        "it is 20 seconds where a fallback can answer instead (40 where it cannot replace the text that was streamed), and 180 without a "
        "fallback, or where the model thinks or writes a tool call.",
        examples=[60],
    )
    stream: bool | Literal["auto"] = Field(
        "auto",
        description="Whether the server is asked to stream its answers. Only a stream's silence has a limit, but reading one takes more "
        "CPU time (about 10 µs for each token). With `auto` it is asked where the reply is streamed, where a fallback can answer instead, and "
        "where this model has `first_token_seconds` or `chunk_timeout_seconds`. `false` is for servers that cannot stream, and `true` "
        "for those that can do nothing else.",
        examples=[False],
    )

    @property
    def sees_images(self) -> bool:
        """Whether images are sent: as the spec says, else as is known."""
        return (self.known is None or self.known.images) if self.images is None else self.images

    @cached_property
    def known(self) -> KnownModel | None:
        """What is public about the model."""
        return find_known_model(self.model, self.base_url)

    @property
    def thinks_unseen(self) -> bool:
        """Whether the model may think for long before it says something."""
        return self.known is not None and self.known.reasoning

    def telemetry(self) -> Mapping[str, str]:
        """The provider by its address, else by the API that its server speaks."""
        return {"provider": provider_name(self.base_url, self.api_name), "request_model": self.model}

    def streams(self, turn: Turn) -> bool:
        """Whether the server is asked to stream its answer to this turn."""
        if self.stream != "auto":
            return self.stream
        limits = (self.first_token_seconds, self.chunk_timeout_seconds)
        return turn.streaming or turn.fallback_left or limits != (None, None)

    def retirement(self) -> tuple[date, str | None, bool] | None:
        """The known model's."""
        known = self.known
        return (known.retires, known.successor, known.at_home) if known and known.retires else None

    def model_meant(self) -> str | None:
        """The provider's model with the nearest name, unless the spec says what the window of this one is."""
        return None if self.context_window is not None else nearest_known_model(self.model, self.base_url)

    def loads_tools(self) -> bool:
        """Whether the server loads deferred tools: as the spec says, else as is known of the provider's own API."""
        if self.tool_search is not None:
            return self.tool_search
        return self.known is not None and self.known.deferred_tools and self.known.at_home

    def output_limit(self) -> int | None:
        """The most tokens that an answer of the known model may have, at its provider's own address."""
        return self.known.output_limit if self.known and self.known.at_home else None

    def window(self) -> int | None:
        """The context window: the spec's, else that of the known model."""
        if self.context_window is not None:
            return self.context_window
        return self.known.context_window if self.known else None

    def prices(self) -> Prices | None:
        """The prices: the spec's, else those of the known model. None unless input and output both have one."""
        return own_prices(self, self.known.prices if self.known else None)

    def price(self) -> tuple[float, float] | None:
        """US dollars for a million tokens of input and of output: the spec's prices, else those of the known model."""
        prices = self.prices()
        return (prices.input, prices.output) if prices else None


class Reported(Malformed):
    """The server reports an error inside of its answer."""

    def __init__(self, error: Any) -> None:
        super().__init__("it contains an error")
        self.error = error


class Unsupported(ValueError):
    """The turn needs a feature that the API does not have; the message says which."""


Piece = tuple[str, str]
"""What an event of a stream brings: text, and thoughts."""

NO_PIECE: Piece = ("", "")


class Answer(Protocol):
    """Reads one answer of a model's API. Every method raises Malformed."""

    finished: bool
    """Whether the last event of the stream was added."""

    @property
    def complete(self) -> bool:
        """Whether the answer is complete; its usage may follow."""
        ...

    def add(self, event: Mapping[str, Any]) -> Piece:
        """Adds an event of a stream, or the whole answer of a server that does not stream; returns what it brings."""
        ...

    def add_whole(self, answer: Mapping[str, Any]) -> Piece:
        """Adds an answer that is not streamed; returns its text and thoughts."""
        ...

    def end(self) -> None:
        """The server says that the stream is complete (`[DONE]`)."""
        ...

    def continued(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The request that continues an answer which the server has paused; None where it is complete."""
        ...

    def usage(self, written: int = 0) -> Usage:
        """The usage that was reported so far. Where that is less output than the `written` tokens, these are its estimate."""
        ...

    def reply(self) -> Reply:
        """The complete answer."""
        ...


class HostedModel:
    """The client of one model's API. It owns its connections while it is entered.

    `write` gives the body of a turn's request, or raises Unsupported; `new_answer` gives the reader of its answer.
    """

    def __init__(
        self,
        config: HostedConfig,
        context: Context,
        *,
        path: str,
        headers: Mapping[str, str],
        write: Callable[[Turn], Mapping[str, Any]],
        new_answer: Callable[[Turn, Prices | None], Answer],
    ) -> None:
        self._node = context.node
        self._sees_images = config.sees_images
        self._prices = config.prices()
        self._config = config
        self._now = context.clock.now
        self._write = write
        self._new_answer = new_answer
        url = f"{config.base_url}{path}"
        self._http = http.Http(
            config, url, node=context.node, now=context.clock.now, secret=context.secret, headers=headers
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def answer(self, turn: Turn) -> Reply:
        """Sends the request and reads its answer, which is streamed if the turn is. Raises ModelError."""
        prices = self._prices and self._prices.at(self._now())
        answer = self._new_answer(turn, prices)
        stream = ModelStream(turn, self._config, answer)
        streamed: list[str] = []
        try:
            return await self._reply(turn, answer, stream, streamed)
        except BaseException as error:
            # Also where it is cancelled, or the caller hangs up: what was used until then is billed.
            usage = answer.usage(text_tokens("".join(streamed)))
            if isinstance(error, ModelError):
                error.in_tool_call = stream.in_tool_call
            if usage != NO_USAGE:
                error.usage = usage  # type: ignore[attr-defined]
            raise

    async def _reply(self, turn: Turn, answer: Answer, stream: ModelStream, streamed: list[str]) -> Reply:
        failures = self._http.failures
        try:
            if not self._sees_images:
                turn = turn.replace(messages=tuple(map(_without_images, turn.messages)))
            body: Mapping[str, Any] | None = self._write(turn.replace(streaming=self._config.streams(turn)))
            for _ in range(MAX_PAUSES + 1):
                if body is None:
                    break
                await self._ask(body, turn, answer, stream, streamed)
                body = answer.continued(body)
            if body is not None:
                raise Malformed(f"it paused more than {MAX_PAUSES} times")
            reply = answer.reply()
            if not all(is_shallow(extra, MOST_LEVELS) for extra in _extras(reply.message)):
                raise Malformed(f"it nests more than {MOST_LEVELS} levels deep")
        except Unsupported as error:
            raise ModelError(str(error), kind="bad_request", node=self._node) from error
        except Reported as error:
            raise failures.of_error_object(error.error) from error
        except Interrupted as error:
            raise failures.interrupted(str(error)) from error
        except Malformed as error:
            raise failures.bad_response(str(error)) from error
        if reply.stop_reason == "length" and not reply.message.content and not reply.message.tool_calls:
            raise failures.nothing_written(turn.settings.max_tokens, reply.usage.output_tokens)
        return reply

    async def _ask(
        self, body: Mapping[str, Any], turn: Turn, answer: Answer, stream: ModelStream, streamed: list[str]
    ) -> None:
        """Sends a request and adds its answer; the text and the thoughts that it brings are also added to `streamed`."""
        if not body.get("stream"):
            text, thoughts = answer.add_whole(await self._http.post(body))
            if turn.streaming:
                await _pass_on(text, thoughts, turn, streamed)
            else:
                streamed += (join_surrogates(text), join_surrogates(thoughts))
            return
        text, thoughts = NO_PIECE
        async with aclosing(self._http.stream(body, stream)) as events:
            async for event in events:
                more_text, more_thoughts = answer.add(event)
                text += more_text
                thoughts += more_thoughts
                if not (text or thoughts) or _ends_in_half(text) or _ends_in_half(thoughts):
                    continue
                await _pass_on(text, thoughts, turn, streamed)
                text = thoughts = ""
        await _pass_on(text, thoughts, turn, streamed)


async def _pass_on(text: str, thoughts: str, turn: Turn, streamed: list[str]) -> None:
    """Adds what arrived to `streamed`, and emits it: each kind is a piece of its own, and thoughts come before the text."""
    if thoughts:
        streamed.append(thoughts := join_surrogates(thoughts))
        await turn.emit(Delta(reasoning=thoughts))
    if text:
        streamed.append(text := join_surrogates(text))
        await turn.emit(Delta(text))


def _extras(message: Message) -> Iterator[Mapping[str, Any]]:
    """What the message has beside texts, as its server wrote it."""
    if message.extra:
        yield dict(message.extra)
    if isinstance(message.content, tuple):
        yield from map(dict, message.content)
    for call in message.tool_calls:
        if call.extra:
            yield dict(call.extra)


def _without_images(message: Message) -> Message:
    if message.is_text() or not isinstance(message.content, tuple):
        return message
    parts = tuple(NO_IMAGE if part.get("type") in _IMAGES else part for part in message.content)
    return evolve(message, content=parts)


def _ends_in_half(text: str) -> bool:
    """Whether it ends with the first half of a surrogate pair, which waits for the other half."""
    return bool(text) and "\ud800" <= text[-1] <= "\udbff"
