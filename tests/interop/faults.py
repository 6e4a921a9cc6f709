"""Sixteen faults of a model's server, with one fallback beside it: `python -m tests.interop.faults [--setting hold] [--scale 25]`.

The faults are those of the public benchmark failoverbench (github.com/failoverbench/failoverbench), played by servers on loopback
that speak the wire format of OpenAI's or Anthropic's API. All times are divided by `--scale`. The command prints what became of
each fault in three modes: answers that are streamed, whole ones, and streams with comments in their silences.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

import victor_dsl
from tests.components.models.playback import Asked, Playback, events, whole
from tests.components.models.recorded import (
    ANTHROPIC_START,
    OPENAI_LAST,
    anthropic_end,
    anthropic_whole,
    block,
    openai_chunk,
    openai_whole,
)
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.request import Request

MODES = ("streamed", "whole", "comments")
SETTINGS = ("error", "hold", "restart", "continue")
TOKENS = [f"word{number} " for number in range(60)]
TEXT = "".join(TOKENS)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
RETRIES = 2


def stream_of(type: str) -> tuple[bytes, list[bytes], bytes, bytes]:
    """The wire's events: before the text, one for each token, after the text, and the mark of the end."""
    if type == "openai":
        begin = events(openai_chunk({"role": "assistant", "content": ""}))
        tokens = [events(openai_chunk({"content": token})) for token in TOKENS]
        return begin, tokens, events(openai_chunk({}, "stop"), OPENAI_LAST), events("[DONE]")
    start, *deltas, stop = block(
        0, {"type": "text", "text": ""}, *({"type": "text_delta", "text": token} for token in TOKENS)
    )
    begin = events(ANTHROPIC_START, start, {"type": "ping"}, names=True)
    tokens = [events(delta, names=True) for delta in deltas]
    end, last = (
        events(stop, *anthropic_end("end_turn")[:-1], names=True),
        events(*anthropic_end("end_turn")[-1:], names=True),
    )
    return begin, tokens, end, last


class FaultyServer(Playback):
    """A model's server that has a fault, until it is `well`. `times` are those of the requests."""

    def __init__(self, type: str, fault: Fault | None, scale: float, *, comments: bool) -> None:
        super().__init__([b""])
        self.type = type
        self.scale = scale
        self.well = fault is None
        self.times: list[float] = []
        self._fault = fault
        self.comments = comments

    async def _play(self, answer: Any, reader: Any, writer: Any) -> bool:
        number = len(self.times)
        self.times.append(asyncio.get_running_loop().time())
        exchange = Exchange(self, self.asked[-1], number, reader, writer)
        if self.well or self._fault is None:
            return await exchange.answer()
        return await self._fault.plays(exchange)


@define(eq=False)
class Exchange:
    """One request and its answer. What plays an answer returns whether the connection stays open."""

    server: FaultyServer
    asked: Asked
    number: int
    reader: Any
    writer: Any

    @property
    def streams(self) -> bool:
        return bool(self.asked.body.get("stream"))

    async def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data) if data else b"")
        await self.writer.drain()

    async def refuse(self, status: str, message: str = "no", code: str = "no", *headers: str) -> bool:
        body = {"type": "error", "error": {"type": code, "message": message, "code": code}}
        self.writer.write(whole(body, status, "application/json", *headers)[0])
        await self.writer.drain()
        return True

    async def silence(self, seconds: float) -> None:
        """Says nothing for so long (before it is scaled); comments keep the connection open, if the mode is so."""
        end = asyncio.get_running_loop().time() + seconds / self.server.scale
        while (left := end - asyncio.get_running_loop().time()) > 0:
            if self.server.comments:
                await self.send(b": keep-alive\n\n")
            try:
                async with asyncio.timeout(min(left, 2 / self.server.scale)):
                    await self.reader.read(1)
            except TimeoutError:
                continue
            raise ConnectionResetError  # the client has hung up

    async def begin(self) -> None:
        self.writer.write(STREAM_HEAD)
        await self.writer.drain()

    async def answer(self, tokens: int = 60, *, end: bool = True, done: bool = True, broken: int | None = None) -> bool:
        """The answer, or its first tokens; `broken` is the place of an event that is not JSON."""
        if not self.streams:
            usual = openai_whole({"content": TEXT})
            if self.server.type == "anthropic":
                usual = anthropic_whole([{"type": "text", "text": TEXT}])
            self.writer.write(whole(usual)[0])
            return True
        await self.begin()
        begin, pieces, last, mark = stream_of(self.server.type)
        await self.send(begin)
        for place, piece in enumerate(pieces[:tokens]):
            await self.send(piece if place != broken else b'data: {"choices": [{"delta": {"conten\n\n')
        if end:
            await self.send(last + (mark if done else b""))
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()
        return end

    async def hang_up(self) -> bool:
        return await Playback._play(self.server, ["reset"], self.reader, self.writer)


@frozen(eq=False)
class Fault:
    """A fault: how the first server plays it, what must hold of the outcome, and what should."""

    name: str
    title: str
    plays: Callable[[Exchange], Awaitable[bool]]
    required: Callable[[Outcome], bool]
    advisory: Callable[[Outcome], bool] = lambda outcome: outcome.rescued
    error: str | None = None
    """The code of the error that is the right answer; None where the whole text is."""
    calls: int = 1
    every_s: float = 0.0


@define
class Outcome:
    """What became of a fault. Times are in seconds before they were scaled."""

    fault: Fault
    scale: float
    answers: list[Reply] = field(factory=list)
    shown: list[str] = field(factory=list)
    seconds: float = 0.0
    first: list[float] = field(factory=list)
    """When the first server was asked, from the beginning on."""
    sizes: list[int] = field(factory=list)
    """The lengths of its requests."""
    second: int = 0
    """How often the fallback was asked."""
    alive: bool = False
    """Whether another turn was answered afterwards."""

    @property
    def rescued(self) -> bool:
        """Whether every answer is the whole text, and so is what was shown of it."""
        return all(answer.text == TEXT for answer in self.answers) and all(shown in ("", TEXT) for shown in self.shown)

    @property
    def no_half_answer(self) -> bool:
        """Whether no answer without an error is anything but the whole text."""
        pairs = zip(self.answers, self.shown, strict=True)
        return all(answer.error is not None or (answer.text == TEXT and shown in ("", TEXT)) for answer, shown in pairs)

    @property
    def verdict(self) -> str:
        """`fail`, `safe` (a clean error), `partial` (answered, but not as it should be), or `pass`."""
        errors = [answer.error for answer in self.answers if answer.error is not None]
        clean = all(isinstance(error, ModelError) for error in errors)
        if not (clean and self.alive and self.no_half_answer and self.fault.required(self)):
            return "fail"
        if self.fault.error is not None:
            right = [error.to_dict()["code"] for error in errors] == [self.fault.error]
            return "pass" if right and self.fault.advisory(self) else "fail"
        if errors:
            return "safe"
        return "pass" if self.fault.advisory(self) else "partial"


async def _s01(e: Exchange) -> bool:
    wait = f"Retry-After: {2 / e.server.scale:.3f}"
    return await (e.answer() if e.number else e.refuse("429 Too Many Requests", "slow", "rate_limit_error", wait))


async def _s02(e: Exchange) -> bool:
    return await e.refuse("429 Too Many Requests", "slow", "rate_limit_error")


async def _s03(e: Exchange) -> bool:
    return await (e.answer() if e.number else e.refuse("500 Internal Server Error"))


async def _down(e: Exchange) -> bool:
    return await e.refuse("503 Service Unavailable")


async def _s05(e: Exchange) -> bool:
    return await (e.answer() if e.number else e.hang_up())


async def _s06(e: Exchange) -> bool:
    if e.server.comments:
        await e.begin()
    await e.silence(120)
    return False


async def _s07(e: Exchange) -> bool:
    await e.begin()
    await e.silence(20)
    return await _rest(e)


async def _rest(e: Exchange) -> bool:
    begin, pieces, last, mark = stream_of(e.server.type)
    await e.send(begin + b"".join(pieces) + last + mark)
    e.writer.write(b"0\r\n\r\n")
    return True


async def _s08(e: Exchange) -> bool:
    await e.answer(40, end=False)
    return await e.hang_up()


async def _s09(e: Exchange) -> bool:
    await e.answer(20, end=False)
    await e.silence(30)
    return False


async def _s10(e: Exchange) -> bool:
    return await e.answer(broken=30)


async def _s11(e: Exchange) -> bool:
    await e.answer(done=False)
    return False


async def _s12(e: Exchange) -> bool:
    return await e.refuse("400 Bad Request", "maximum context length exceeded", "context_length_exceeded")


async def _s13(e: Exchange) -> bool:
    return await e.refuse("400 Bad Request", "violates our content policy", "content_policy_violation")


def _always(outcome: Outcome) -> bool:
    return True


def _reports_usage(outcome: Outcome) -> bool:
    return outcome.rescued and all(answer.usage.output_tokens is not None for answer in outcome.answers)


def _each_retry_is_smaller(outcome: Outcome) -> bool:
    pairs = zip(outcome.sizes, outcome.sizes[1:], strict=False)
    return len(outcome.first) <= 2 and all(later < earlier for earlier, later in pairs)


def _circuit(outcome: Outcome) -> bool:
    return outcome.rescued and any(60 <= second <= 90 for second in outcome.first)


FAULTS = [
    Fault("S01", "first attempt 429, Retry-After 2 s", _s01, lambda o: len([t for t in o.first if t < 1.5]) <= 2,
          lambda o: o.rescued and len(o.first) == 2 and o.first[1] - o.first[0] >= 1.8),
    Fault("S02", "always 429", _s02, lambda o: len(o.first) <= 6 and len([t for t in o.first if t < 3]) <= 4),
    Fault("S03", "first attempt 500", _s03, _always, lambda o: o.rescued and len(o.first) >= 2),
    Fault("S04", "always 503", _down, lambda o: len(o.first) <= 6),
    Fault("S05", "first attempt reset before headers", _s05, _always),
    Fault("S06", "silent for 120 s", _s06, lambda o: o.seconds <= 100, lambda o: o.rescued and len(o.first) == 1),
    Fault("S07", "first token after 20 s", _s07, lambda o: o.seconds <= 60, lambda o: o.rescued and o.seconds <= 15),
    Fault("S08", "cut after 40 of 60 tokens", _s08, _always),
    Fault("S09", "20 tokens, then silence for 30 s", _s09, lambda o: o.seconds <= 45),
    Fault("S10", "a broken event among 60", _s10, _always),
    Fault("S11", "complete, but its end is not marked", _s11, lambda o: o.seconds <= 8, _reports_usage),
    Fault("S12", "always 400 context_length_exceeded", _s12, _each_retry_is_smaller),
    Fault("S13", "always 400 content_policy_violation", _s13, lambda o: len(o.first) == 1 and not o.second, _always,
          error="model-content_filter"),
    Fault("S14", "cut, and the fallback refuses a prefill", _s08, _always),
    Fault("S15", "503 for 60 s; 20 calls, one each 4 s", _down, lambda o: o.rescued and len(o.first) <= 25,
          lambda o: _circuit(o) and len([t for t in o.first if t < 60]) <= 12, calls=20, every_s=4.0),
    Fault("S16", "always 503: who answered?", _down,
          lambda o: len(o.first) <= 6 and all(answer.model == "spare" for answer in o.answers), _reports_usage),
]  # fmt: skip


class Refusing(FaultyServer):
    """A fallback that refuses a conversation which ends with an assistant's message."""

    async def _play(self, answer: Any, reader: Any, writer: Any) -> bool:
        exchange = Exchange(self, self.asked[-1], len(self.times), reader, writer)
        if self.asked[-1].body["messages"][-1]["role"] == "assistant":
            return await exchange.refuse("400 Bad Request", "prefill is not supported", "invalid_request_error")
        return await super()._play(answer, reader, writer)


async def outcome_of(
    fault: Fault,
    folder: Path,
    *,
    type: str = "openai",
    mode: str = "streamed",
    setting: str = "hold",
    scale: float = 25,
) -> Outcome:
    """Runs one fault against victor, as a spec with that `broken_stream` describes it."""
    comments = mode == "comments"
    if fault.calls > 1:
        scale *= 2  # it is long
    first = FaultyServer(type, fault, scale, comments=comments)
    outcome = Outcome(fault, scale)
    loop = asyncio.get_running_loop()
    async with first, Refusing(type, None, scale, comments=False) as second:
        path = folder / "victor.yml"
        path.write_text(_spec(type, first.url, second.url, setting, scale))
        async with victor_dsl.open(path, env={"KEY": "k"}) as orchestrator:
            begun = loop.time()
            for number in range(fault.calls):
                due = begun + number * fault.every_s / scale
                await asyncio.sleep(max(0.0, due - loop.time()))
                first.well = first.well or (fault.calls > 1 and loop.time() - begun >= 60 / scale)
                await _ask(orchestrator, outcome, streamed=mode != "whole")
            outcome.seconds = (loop.time() - begun) * scale
            outcome.first = [(time - begun) * scale for time in first.times]
            outcome.sizes = [len(str(asked.body)) for asked in first.asked]
            outcome.second = len(second.times)
            first.well = True
            outcome.alive = (await orchestrator.answer(Request(message="And now?"))).text == TEXT
    return outcome


async def _ask(orchestrator: Any, outcome: Outcome, *, streamed: bool) -> None:
    shown: list[str] = []

    async def emit(delta: Delta) -> None:
        if delta.restart:
            shown.clear()
        shown.append(delta.text)

    async with asyncio.timeout(60):  # a hang
        outcome.answers.append(await orchestrator.answer(Request(message="Hello!"), emit if streamed else None))
    outcome.shown.append("".join(shown))


def _spec(type: str, first: str, second: str, setting: str, scale: float) -> str:
    path = "/v1" if type == "openai" else ""
    limits = f"first_token_seconds: {12 / scale}, chunk_timeout_seconds: {20 / scale}"
    model = f'{{type: {type}, model: m, api_key: "${{env:KEY}}", context_window: 100000, {limits}, base_url: "'
    return f"""
victor: 1
name: faults
models:
  main: {model}{first}{path}"}}
  spare: {model}{second}{path}"}}
settings: {{model: main, fallbacks: [spare], broken_stream: {setting}}}
middleware:
  - {{type: retry, attempts: {RETRIES + 1}, initial_seconds: {0.5 / scale}, max_seconds: {20 / scale}}}
  - {{type: circuit_breaker, failures: 3, open_seconds: {10 / scale}}}
"""


async def table(type: str, setting: str, scale: float) -> dict[str, list[str]]:
    """The verdicts by fault, one for each mode."""
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        for fault in FAULTS:
            rows[fault.name] = [
                (await outcome_of(fault, Path(name), type=type, mode=mode, setting=setting, scale=scale)).verdict
                for mode in MODES
            ]
    return rows


def main() -> int:
    """Prints the tables; 0 where everything passes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--setting", choices=SETTINGS, default="hold", help="broken_stream (default: hold)")
    parser.add_argument("--scale", type=float, default=25, help="what all times are divided by (default: 25)")
    arguments = parser.parse_args()
    logging.getLogger("victor_dsl").setLevel(logging.ERROR)
    passed = True
    for type in ("openai", "anthropic"):
        rows = asyncio.run(table(type, arguments.setting, arguments.scale))
        print(f"\n| {type}, `broken_stream: {arguments.setting}` | {' | '.join(MODES)} |\n|---|{'---|' * len(MODES)}")  # noqa: T201
        for fault in FAULTS:
            print(f"| {fault.name} {fault.title} | {' | '.join(rows[fault.name])} |")  # noqa: T201
        scores = [sum(row[place] == "pass" for row in rows.values()) for place in range(len(MODES))]
        print(f"| passed of {len(FAULTS)} | {' | '.join(map(str, scores))} |")  # noqa: T201
        passed = passed and scores == [len(FAULTS)] * len(MODES)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
