"""One side of a comparison: renders request lines, and reduces each to what the two sides are compared by.

The digests in the records are of JSON: Python's own hashes differ between processes, that of None even with one `PYTHONHASHSEED`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple, Protocol, runtime_checkable

import orjson
from attrs import define, evolve, field

from victor_dsl.errors import VictorError
from victor_dsl.graph.plan import Plan, Program
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.codec import read_request
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool
from victor_dsl.workbench.batch import Ledger, Line, read_lines

MOST_TEXT = 32 * 2**20
"""Characters of distinct text that both processes remember; over that they begin anew."""

BATCH = 64
"""How many records are sent at once."""

Json = dict[str, Any]
Send = Callable[[Json], None]


class Priced(Protocol):
    """Prices of a model, in US dollars."""

    def at(self, time: float) -> Priced:
        """Those in force at a Unix time."""
        ...

    def cost(self, *, plain: int, output: int, cache_read: int = 0) -> float:
        """The cost of a call."""
        ...


@runtime_checkable
class PricedConfig(Protocol):
    """The Config of a model whose prices may be known."""

    def prices(self) -> Priced | None:
        """Its prices."""
        ...


class Record(NamedTuple):
    """One side's rendering of a request. Texts are digests and ids; the texts themselves were sent before.

    `sent` is the digest of all that the model is sent. `tokens` are those of system prompt, messages and tools, and the model's
    window. `cost` is that of the request without a cache, and `cached` with it, both with the recorded output; `stable` the tokens
    that begin the request as the session's last one did. `units` are the digests of session, user and tenant, and `names` are theirs.
    """

    number: int
    id: str | int
    tenant: str | None
    sent: int
    system: int
    tokens: tuple[int, int, int, int | None]
    cost: float | None
    cached: float | None
    stable: int
    tools: int
    arms: int
    kept: int
    input_messages: int
    messages: int
    model: str | None
    dropped: tuple[str, ...]
    units: tuple[int, int, int]
    time: float | None
    error: tuple[str, str] | None = None
    names: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All tokens."""
        return self.tokens[0] + self.tokens[1] + self.tokens[2]


async def render_lines(
    program: Program, stream: BinaryIO, send: Send, now: float, *, whole: bool = False, registry: Registry | None = None
) -> None:
    """Renders each request line as `victor render` does, and sends the records in the order of the input.

    With `whole` the rendered requests are sent, too.
    """
    side = _Side(program, send, now, whole)
    async with Orchestrator(program, registry=registry, answering=False) as orchestrator:
        with Ledger() as ledger:
            async for parsed in read_lines(stream):
                line = ledger.admit(parsed) or parsed
                try:
                    if line.error is not None:
                        raise line.error
                    rendered = await orchestrator.render(request_of(line), explains=False)
                except BaseException as error:
                    if not is_fault(error):
                        raise
                    side.fail(line, component_error(error))
                else:
                    side.add(line, rendered)
    side.flush()


def request_of(line: Line) -> Request:
    """The request of a line; that of a spec's test may force `arms`."""
    arms = line.data.get("arms") or {}
    data = {key: line.data[key] for key in line.data if key != "arms"} if arms else line.data
    return evolve(read_request(data), id=line.id, arms=arms)


@define
class _Side:
    """Makes the records of one side, each distinct text once."""

    program: Program
    send: Send
    now: float
    whole: bool = False
    _rows: list[list[Any]] = field(factory=list)
    _new: Json = field(factory=dict)
    _ids: dict[str, dict[Any, int]] = field(factory=lambda: {"blocks": {}, "systems": {}, "tools": {}, "arms": {}})
    _tools: dict[int, tuple[Tool, int]] = field(factory=dict)
    _prices: dict[tuple[str, str], Priced | None] = field(factory=dict)
    _done: int = 0
    _text: int = 0

    def fail(self, line: Line, error: VictorError) -> None:
        """Records a line that is no request."""
        units = (0, 0, 0)
        row = [
            line.number,
            line.id,
            None,
            0,
            -1,
            (0, 0, 0, None),
            None,
            None,
            0,
            -1,
            -1,
            0,
            0,
            0,
            None,
            (),
            units,
            None,
        ]
        self._put(line, [*row, (error.code, str(error))])

    def add(self, line: Line, rendered: Rendered) -> None:
        """Records a rendered request, or how far it came."""
        if self.whole:
            self.send({"whole": rendered.to_dict()})
        tokens = rendered.tokens
        total = tokens.system + tokens.messages + tokens.tools
        tools = tuple((tool.name, self._definition(tool)) for tool in rendered.definitions)
        messages = _digest([message.as_json() for message in rendered.messages])
        model, prices = self._model(rendered)
        cost = cached = None
        stable = min(rendered.cache.stable_tokens, total)
        if prices is not None and rendered.error is None:
            output = _output_tokens(line.data)
            cost = prices.cost(plain=total, output=output)
            cached = prices.cost(plain=total - stable, cache_read=stable, output=output)
        error = rendered.error
        self._put(
            line,
            [
                line.number,
                rendered.id,
                rendered.tenant,
                _digest([rendered.system, messages, tools, rendered.settings, model, error is None]),
                self._system(rendered.system),
                (tokens.system, tokens.messages, tokens.tools, tokens.limit),
                cost,
                cached,
                stable,
                self._id("tools", tools),
                self._id("arms", tuple(rendered.variants.items())),
                len(rendered.kept),
                rendered.input_messages,
                messages,
                model,
                [piece.name for piece in rendered.contributors if piece.dropped],
                tuple(map(_digest, (rendered.session, line.data.get("user"), rendered.tenant))),
                _time(line.data.get("timestamp")),
                None if error is None else (error.code, str(error)),
                _names(rendered.session, rendered.tenant, line.data.get("user")),
            ],
        )

    def flush(self) -> None:
        """Sends what is waiting."""
        self.send({"done": self._done, "new": self._new, "rows": self._rows})
        self._rows, self._new = [], {}

    def _put(self, line: Line, row: list[Any]) -> None:
        self._rows.append(row)
        self._done += line.size + 1
        if len(self._rows) >= BATCH:
            self.flush()
        if self._text > MOST_TEXT:
            self.flush()
            self._text, self._new = 0, {"reset": True}
            for ids in self._ids.values():
                ids.clear()

    def _id(self, kind: str, value: Any, sent: Any = None) -> int:
        ids = self._ids[kind]
        known = ids.get(value)
        if known is None:
            known = ids[value] = len(ids)
            self._new.setdefault(kind, []).append(value if sent is None else sent)
        return known

    def _system(self, text: str) -> int:
        """The id of a system prompt, which is sent as the ids of its paragraphs: most requests share most of them."""
        key = hash(text)
        known = self._ids["systems"].get(key)
        if known is None:
            self._text += 64
            known = self._id("systems", key, [self._block(block) for block in text.split(BETWEEN)])
        return known

    def _block(self, text: str) -> int:
        known = self._ids["blocks"].get(key := hash(text))
        if known is None:
            self._text += len(text) + 64
            known = self._id("blocks", key, text)
        return known

    def _definition(self, tool: Tool) -> int:
        """The digest of a tool's definition, cached for the spec's tools: those of a request are new objects each time."""
        known = self._tools.get(id(tool))
        if known is None or known[0] is not tool:
            if len(self._tools) >= MOST_TOOLS:
                self._tools.clear()
            known = self._tools[id(tool)] = (tool, _digest(tool.definition()))
        return known[1]

    def _model(self, rendered: Rendered) -> tuple[str | None, Priced | None]:
        """The model that would answer, and its prices now."""
        if not rendered.plan:
            return None, None
        plan = self.program.plan_for(rendered.tenant, rendered.variants)
        model = rendered.settings.get("model") or plan.only_model()
        if not isinstance(model, str):
            return None, None
        key = (plan.digest, model)
        if key not in self._prices:
            self._prices[key] = _prices(plan, model, self.now)
        return model, self._prices[key]


BETWEEN = "\n\n"
"""What lies between two paragraphs of a system prompt."""

MOST_TOOLS = 10_000
"""The most tools whose digests are cached."""


_DIGESTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def _digest(value: Any) -> int:
    """64 bits of a JSON value, the same in every process."""
    data = orjson.dumps(value, option=_DIGESTED, default=str)
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def _prices(plan: Plan, model: str, now: float) -> Priced | None:
    """The prices of a model; of a pool, those of its first member."""
    id: str | None = plan.roles.models.get(model)
    while id is not None:
        config = plan.by_id[id].config
        if isinstance(config, PricedConfig):
            prices = config.prices()
            return None if prices is None else prices.at(now)
        id = next((need for need in plan.by_id[id].needs if need.startswith("models/")), None)
    return None


def _names(*names: Any) -> list[str]:
    """Those that say whose request it is, the longest first; shorter ones could be any part of a word."""
    return sorted((name for name in names if isinstance(name, str) and len(name) > 1), key=len, reverse=True)


def _output_tokens(line: Mapping[str, Any]) -> int:
    recorded = line.get("recorded")
    usage = recorded.get("usage") if isinstance(recorded, dict) else None
    output = usage.get("output_tokens") if isinstance(usage, dict) else None
    return output if isinstance(output, int) and output >= 0 else 0


def _time(timestamp: Any) -> float | None:
    if not isinstance(timestamp, str):
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None


@define
class Records:
    """Reads what `render_lines` sends: the records in order, and the texts that they name."""

    messages: Iterator[Json]
    done: int = 0
    blocks: list[str] = field(factory=list)
    systems: list[list[int]] = field(factory=list)
    tools: list[dict[str, int]] = field(factory=list)
    arms: list[dict[str, str]] = field(factory=list)
    whole: list[Json] = field(factory=list)
    unknown: dict[str, str] = field(factory=dict)

    def __iter__(self) -> Iterator[Record]:
        for message in self.messages:
            if (whole := message.get("whole")) is not None:
                self.whole.append(whole)
                continue
            if (unknown := message.get("unknown")) is not None:
                self.unknown |= unknown
                continue
            new = message["new"]
            if new.get("reset"):
                for texts in (self.blocks, self.systems, self.tools, self.arms):
                    texts.clear()
            self.blocks += new.get("blocks", ())
            self.systems += new.get("systems", ())
            self.tools += map(dict, new.get("tools", ()))
            self.arms += map(dict, new.get("arms", ()))
            self.done = message["done"]
            yield from (Record(*row) for row in message["rows"])

    def system(self, record: Record) -> list[str]:
        """The paragraphs of a request's system prompt."""
        return [self.blocks[id] for id in self.systems[record.system]] if record.system >= 0 else []
