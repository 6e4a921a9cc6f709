"""What models behind HTTP share: their configuration, the list of known models, and the client.

A model adds what differs from API to API: how a turn is written as a request's body, and how an answer is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import orjson
from pydantic import Field

from victor_dsl.errors import ModelError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ModelConfig
from victor_dsl.language.http_config import HttpConfig
from victor_dsl.lazy import Lazy
from victor_dsl.transport.json_values import Malformed, join_surrogates, parse_json
from victor_dsl.values.message import Delta, Reply, StopReason
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.transport import http
else:
    http = Lazy("victor_dsl.transport.http")

MAX_CACHED_TOOLS = 4096
"""How many tool definitions are cached as JSON; beyond that, the cache starts again."""

MAX_PAUSES = 10
"""How often an answer that the server pauses is continued."""

_KNOWN_MODELS = Path(__file__).with_name("known_models.json")
_VERSION_SUFFIX = re.compile(r"(-\d{8}|-\d{4}-\d{2}-\d{2}|@\d{8}|-latest)$")
_API_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_TOOL_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class Prices(NamedTuple):
    """US dollars for a million tokens. A cache price of None is that of plain input.

    For a prompt of more than `long_prompt_tokens`, all input costs `long_input_factor` times as much, and all output
    `long_output_factor` times.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    long_prompt_tokens: int | None = None
    long_input_factor: float = 1.0
    long_output_factor: float = 1.0

    def cost(self, *, plain: int, output: int, cache_read: int = 0, cache_write: int = 0) -> float:
        """The price of one call. The three kinds of input do not overlap."""
        read_price = self.input if self.cache_read is None else self.cache_read
        write_price = self.input if self.cache_write is None else self.cache_write
        input_cost = plain * self.input + cache_read * read_price + cache_write * write_price
        output_cost = output * self.output
        if self.long_prompt_tokens is not None and plain + cache_read + cache_write > self.long_prompt_tokens:
            input_cost, output_cost = input_cost * self.long_input_factor, output_cost * self.long_output_factor
        return (input_cost + output_cost) / 1_000_000


class KnownModel(NamedTuple):
    """A model whose context window and prices are public.

    `context_window` is the limit on input where the provider sets one below the window. A `reasoning` model refuses
    `temperature` and `top_p`.
    """

    context_window: int
    prices: Prices
    reasoning: bool


def find_known_model(name: str) -> KnownModel | None:
    """A model by its name, without the path before it (`openai/…`) and the date after it."""
    models, short = known_models(), name.rsplit("/", 1)[-1].lower()
    return models.get(short) or models.get(_VERSION_SUFFIX.sub("", short))


@cache
def known_models() -> dict[str, KnownModel]:
    """The models of `known_models.json`, by name. The file says where its figures are from."""
    return {name: _known_model(**fields) for name, fields in orjson.loads(_KNOWN_MODELS.read_bytes())["models"].items()}


def _known_model(
    context_window: int, reasoning: bool = False, long_prompt: Mapping[str, Any] | None = None, **prices: Any
) -> KnownModel:
    long = {}
    if long_prompt:
        long = {
            "long_prompt_tokens": long_prompt["above"],
            "long_input_factor": long_prompt["input_factor"],
            "long_output_factor": long_prompt["output_factor"],
        }
    return KnownModel(context_window, Prices(**prices, **long), reasoning)


class HostedConfig(HttpConfig, ModelConfig):
    """The fields of every model behind HTTP."""

    RESERVED_FIELDS: ClassVar[frozenset[str]] = frozenset({"model", "messages", "system", "tools", "stream"})

    model: str = Field(
        min_length=1,
        description="The name of the model on the server. The window and prices of well-known models are looked up by it.",
    )
    sampling: bool | None = Field(
        None,
        description="Whether to send `temperature` and `top_p`. By default they go to every model except those known to refuse them.",
    )
    timeout_seconds: float = Field(
        600.0, gt=0, description="The time limit for a whole answer, from opening the connection to the last byte."
    )
    chunk_timeout_seconds: float = Field(
        180.0, gt=0, description="The longest silence in a stream, before its first chunk and between two chunks."
    )

    @property
    def known(self) -> KnownModel | None:
        """The entry of `known_models.json` for the model."""
        return find_known_model(self.model)

    def window(self) -> int | None:
        """The context window: the spec's, else that of the known model."""
        if self.context_window is not None:
            return self.context_window
        return self.known.context_window if self.known else None

    def prices(self) -> Prices | None:
        """The prices: the spec's, else those of the known model. None unless input and output both have one."""
        known = self.known.prices if self.known else None
        of_input, of_output = self.input_usd_per_million, self.output_usd_per_million
        cache_read = self.cached_usd_per_million
        if known and of_input is None and of_output is None:
            return known if cache_read is None else known._replace(cache_read=cache_read)
        if known:
            of_input = known.input if of_input is None else of_input
            of_output = known.output if of_output is None else of_output
        return None if of_input is None or of_output is None else Prices(of_input, of_output, cache_read)

    def price(self) -> tuple[float, float] | None:
        """US dollars for a million tokens of input and of output: the spec's prices, else those of the known model."""
        prices = self.prices()
        return (prices.input, prices.output) if prices else None


_FILTERED = re.compile(
    r"content.?filter|filtered|safety|sensitive|prohibited|blocklist|recitation|spii|refus|guardrail|moderat|policy|"
    r"risk|inappropriate|violation",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"error|abort|cancel|resource|network|timeout|overload|unavailable|fail|interrupt|disconnect|preempt", re.IGNORECASE
)
_WAS_MALFORMED = re.compile(r"malformed|unexpected_tool|invalid_tool|too_many_tool", re.IGNORECASE)


def unknown_reason(reason: str) -> StopReason:
    """What a stop reason means that no API documents for every server. Raises Malformed, which quotes it."""
    if _FILTERED.search(reason):
        return "content_filter"
    if _WAS_MALFORMED.search(reason):
        raise Malformed(f"the model's tool call was not valid (it stopped with '{reason}')")
    if _FAILED.search(reason):
        raise Interrupted(f"the answer broke off with '{reason}'")
    raise Malformed(f"it stopped for an unknown reason: '{reason}'")


class Interrupted(Malformed):
    """The server says itself that it could not finish its answer."""


class Unsupported(ValueError):
    """The turn needs a feature that the API does not have; the message says which."""


def without_path(base_url: str, path: str) -> str:
    """The address, if it does not end with the path that is appended to it. Raises ValueError."""
    if base_url.rstrip("/").endswith(path):
        raise ValueError(f"must end before '{path}', which is appended to it")
    return base_url


class Answer(Protocol):
    """Reads one answer of a model's API. Every method raises Malformed."""

    finished: bool
    """Whether the last event of the stream was added."""

    def add(self, event: Mapping[str, Any]) -> str:
        """Adds an event of a stream; returns the text that it brings."""
        ...

    def add_whole(self, answer: Mapping[str, Any]) -> str:
        """Adds an answer that is not streamed; returns its text."""
        ...

    def end(self) -> None:
        """The server says that the stream is complete (`[DONE]`)."""
        ...

    def continued(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The request that continues an answer which the server has paused; None where it is complete."""
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
        self._prices = config.prices()
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
        answer = self._new_answer(turn, self._prices)
        try:
            body: Mapping[str, Any] | None = self._write(turn)
            for _ in range(MAX_PAUSES + 1):
                if body is None:
                    break
                await self._ask(body, turn, answer)
                body = answer.continued(body)
            if body is not None:
                raise Malformed(f"it paused more than {MAX_PAUSES} times")
            reply = answer.reply()
        except Unsupported as error:
            raise ModelError(str(error), kind="bad_request", node=self._node) from error
        except Interrupted as error:
            raise self._http.failures.interrupted(str(error)) from error
        except Malformed as error:
            raise self._http.failures.bad_response(str(error)) from error
        if reply.stop_reason == "length" and not reply.message.content and not reply.message.tool_calls:
            raise self._http.failures.nothing_written(turn.settings.max_tokens, reply.usage.output_tokens)
        return reply

    async def _ask(self, body: Mapping[str, Any], turn: Turn, answer: Answer) -> None:
        if not turn.streaming:
            answer.add_whole(await self._http.post(body))
            return
        text = ""
        async with aclosing(self._http.stream(body, lambda: answer.finished, answer.end)) as events:
            async for event in events:
                text += answer.add(event)
                if text and not "\ud800" <= text[-1] <= "\udbff":  # half of a pair waits for the other
                    await turn.emit(Delta(join_surrogates(text)))
                    text = ""
        if text:
            await turn.emit(Delta(join_surrogates(text)))


class ToolDefinitions:
    """Tool definitions in an API's format, as JSON that is written once for each tool."""

    def __init__(self, write: Callable[[Tool], Mapping[str, Any]]) -> None:
        self._write = write
        self._written: dict[int, tuple[Tool, orjson.Fragment]] = {}

    def of(self, tools: Iterable[Tool]) -> list[orjson.Fragment]:
        """The definitions of the tools, in their order."""
        return [self._definition(tool) for tool in tools]

    def _definition(self, tool: Tool) -> orjson.Fragment:
        # By identity, since comparing a tool's parameters costs more than writing them. The entry keeps the tool alive,
        # so no other tool gets its id.
        entry = self._written.get(id(tool))
        if entry is None:
            if len(self._written) >= MAX_CACHED_TOOLS:
                self._written.clear()
            entry = tool, orjson.Fragment(http.encode(self._write(tool)))
            self._written[id(tool)] = entry
        return entry[1]


def join_arguments(arguments: str) -> str:
    """A tool call's arguments with surrogate pairs joined, also where JSON writes them as escapes."""
    if "\\ud" in arguments.lower():
        try:
            orjson.loads(arguments)
        except orjson.JSONDecodeError:
            value = parse_json(arguments.encode("utf-8", "surrogatepass"))
            if isinstance(value, dict):
                return http.encode(value).decode()
    return join_surrogates(arguments)


def object_schema(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's parameters as a schema of an object, which APIs require of tools without parameters too."""
    if parameters.get("type") and "properties" in parameters:
        return parameters
    return {"type": "object", "properties": {}, **parameters}


def api_tool_name(name: str) -> str:
    """The tool's name as model APIs accept it: 1 to 64 letters, digits, `_` and `-`.

    Any other name is replaced by one that is derived from it, and the same every time.
    """
    if _API_TOOL_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_NOT_IN_TOOL_NAMES.sub('_', name)[:55]}_{digest}"


def original_tool_name(name: str, tools: tuple[Tool, ...]) -> str:
    """The name of the tool that was sent as `name`; `name` itself where it was sent unchanged."""
    for tool in tools:
        if tool.name != name and api_tool_name(tool.name) == name:
            return tool.name
    return name
