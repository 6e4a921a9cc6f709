"""Whole turns against servers that refuse, fail and want their reasoning back."""

from __future__ import annotations

import asyncio
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

import victor_dsl
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_START,
    anthropic_whole,
    block,
    called,
    openai_whole,
    reasoned,
    response,
    spoken,
)
from tests.interop.refusals import ACCESS, NO_MODEL, TOO_LONG, Refusal
from victor_dsl.values.codec import read_request
from victor_dsl.values.message import Delta

ANTHROPIC_TEXT_BEGUN = (
    ANTHROPIC_START,
    *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "word " * 8})[:-1],
)
HEAD = "victor: 1\nname: wire\n"
TOOLS = "tools: [{type: python, name: clock, function: 'clock:clock'}]\n"


def _model(server: Playback, window: int = 100_000) -> str:
    return f'{{type: openai, model: m, base_url: "{server.url}/v1", context_window: {window}}}'


def _spec(folder: Path, text: str) -> Path:
    (folder / "clock.py").write_text(
        textwrap.dedent('''
        def clock() -> str:
            """The time."""
            return "noon"
        ''')
    )
    path = folder / "victor.yml"
    path.write_text(HEAD + text)
    return path


class Refusing(Playback):
    """Refuses requests whose messages have more than 2,000 characters, in the row's words; `{}` is their tokens."""

    def __init__(self, row: Refusal) -> None:
        super().__init__(whole(openai_whole({"content": "Good."})))
        self.row = row

    async def _play(self, answer: Any, reader: Any, writer: Any) -> bool:
        messages: list[dict[str, Any]] = self.asked[-1].body["messages"]
        length = sum(len(message["content"] or "") for message in messages)
        if length > 2_000:
            body = json.dumps(self.row.body).replace("{}", str(length // 4)).encode()
            answer = whole(body, f"{self.row.status} Refused")
        else:
            usage = {"prompt_tokens": length // 4, "completion_tokens": 2, "total_tokens": length // 4 + 2}
            answer = whole({**openai_whole({"content": "Good."}), "usage": usage})
        return await super()._play(answer, reader, writer)


NAMELESS = [(row, 800) for row in TOO_LONG if row.window is None and not isinstance(row.body, bytes)]
NAMED = [
    (Refusal(server, status, body, "context_length"), 100_000)
    for server, status, body in [
        ("xAI, its window", 400, {"code": "invalid", "error": "This model's maximum prompt length is 500 but the request contains {} tokens."}),
        ("TGI, its window", 422, {"error": "`inputs` must have less than 500 tokens. Given: {}", "error_type": "validation"}),
        ("Moonshot, its window", 400, {"error": {"message": "Your request exceeded model token limit: 500"}}),
        ("DashScope, its window", 400, {"error": {"message": "Range of input length should be [1, 500]"}}),
        ("Gemini's list, its window", 400, [{"error": {"message": "The input token count ({}) exceeds the maximum number of tokens allowed (500)."}}]),
        ("Copilot, its window", 400, {"error": {"message": "prompt token count of {} exceeds the limit of 500"}}),
        ("Groq, its window", 413, {"error": {"message": "Request too large for model `x` on tokens per minute (TPM): Limit 500, Requested {}, please reduce your message size and try again.", "code": "rate_limit_exceeded"}}),
    ]
]  # fmt: skip


@pytest.mark.parametrize(("row", "window"), [*NAMELESS, *NAMED], ids=lambda value: getattr(value, "server", None))
async def test_a_session_recovers_from_a_refusal_as_too_long(tmp_path: Path, row: Refusal, window: int) -> None:
    async with Refusing(row) as server:
        spec = _spec(tmp_path, f"models: {{main: {_model(server, window)}}}\nsettings: {{model: main}}\n")
        async with victor_dsl.open(spec) as orchestrator:
            for number in range(12):
                answer = await orchestrator.chat(f"{number} " + "word " * 60, session_id="s")
                assert answer.message.text() == "Good."


@pytest.mark.parametrize("row", [*ACCESS, *NO_MODEL], ids=lambda row: row.server)
async def test_a_fallback_stands_in_at_once(tmp_path: Path, row: Refusal) -> None:
    refused = whole(json.dumps(row.body).encode(), f"{row.status} Refused")
    async with Playback(refused) as main, Playback(whole(openai_whole({"content": "Spare."}))) as spare:
        text = f"models: {{main: {_model(main)}, spare: {_model(spare)}}}\n"
        text += "settings: {model: main, fallbacks: [spare]}\nmiddleware: [{type: retry}]\n"
        async with victor_dsl.open(_spec(tmp_path, text)) as orchestrator:
            assert (await orchestrator.chat("Hello!")).message.text() == "Spare."
        assert len(main.asked) == 1


async def test_a_signature_goes_through_the_rounds_and_turns_of_a_session(tmp_path: Path) -> None:
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "clock", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "sig=="}},
    }
    calls = whole(openai_whole({"content": None, "tool_calls": [call], "reasoning_content": "Hm."}, "tool_calls"))
    async with Playback(calls, whole(openai_whole({"content": "Noon."}))) as server:
        text = f"models: {{main: {_model(server)}}}\nsettings: {{model: main}}\n{TOOLS}"
        async with victor_dsl.open(_spec(tmp_path, text)) as orchestrator:
            await orchestrator.chat("What time is it?", session_id="s")
            await orchestrator.chat("And now?", session_id="s")
        for asked in server.asked[1:]:
            answer = next(message for message in asked.body["messages"] if message.get("tool_calls"))
            assert answer["tool_calls"] == [call]
            assert answer["reasoning_content"] == "Hm."


async def test_thinking_waits_for_the_next_turn_where_another_model_began_the_exchange(tmp_path: Path) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    main = Playback(
        whole(openai_whole({"content": None, "tool_calls": [call]}, "tool_calls")),
        whole(b"", "503 Service Unavailable"),
    )
    claude = Playback(whole(anthropic_whole([{"type": "text", "text": "Noon."}])))
    async with main, claude:
        spare = (
            f'{{type: anthropic, model: c, base_url: "{claude.url}", api_key: "${{env:KEY}}", context_window: 100000}}'
        )
        text = f"models: {{main: {_model(main)}, claude: {spare}}}\n{TOOLS}"
        text += "settings: {model: main, fallbacks: [claude], thinking: {budget_tokens: 2000}}\n"
        async with victor_dsl.open(_spec(tmp_path, text), env={"KEY": "k"}) as orchestrator:
            assert (await orchestrator.chat("What time is it?", session_id="s")).message.text() == "Noon."
            await orchestrator.chat("And now?", session_id="s")
        bodies = [asked.body for asked in claude.asked]
    assert "thinking" not in bodies[0]
    assert "thinking" in bodies[1]


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
USED = {"type": "tool_use", "id": "a", "name": "weather", "input": {}}
CALL = {
    "id": "a",
    "type": "function",
    "function": {"name": "weather", "arguments": "{}"},
    "extra_content": {"google": {"thought_signature": "sig=="}},
}


@pytest.mark.parametrize(
    ("type", "answers"),
    [
        (
            "openai",
            [
                openai_whole({"content": None, "tool_calls": [CALL], "reasoning_content": "Hm."}, "tool_calls"),
                openai_whole({"content": "Rain."}),
            ],
        ),
        ("openai, api: responses", [response([reasoned(), called("weather", "{}", "a")]), response([spoken("Rain.")])]),
        (
            "anthropic",
            [anthropic_whole([THOUGHT, USED], "tool_use"), anthropic_whole([{"type": "text", "text": "Rain."}])],
        ),
    ],
)
async def test_a_reply_line_carries_what_the_provider_wants_back(
    tmp_path: Path, type: str, answers: list[dict[str, Any]]
) -> None:
    """A caller that answers its own tools sends the line's `message` back, by JSON."""
    tool = {"type": "function", "function": {"name": "weather"}}
    ask = {"role": "user", "content": "How is the weather?"}
    async with Playback(*map(whole, answers)) as server:
        version = "" if type == "anthropic" else "/v1"
        text = f'models: {{main: {{type: {type}, model: m, base_url: "{server.url}{version}", api_key: "${{env:KEY}}", '
        text += "context_window: 100000}}\nsettings: {model: main, thinking: {budget_tokens: 2000}}\n"
        async with victor_dsl.open(_spec(tmp_path, text), env={"KEY": "k"}) as orchestrator:
            first = await orchestrator.answer(read_request({"messages": [ask], "tools": [tool]}))
            line = json.loads(json.dumps(first.to_dict()))
            assert [call["id"] for call in line["tool_calls"]] == ["a"]
            result = {"role": "tool", "tool_call_id": "a", "content": "Rain."}
            second = await orchestrator.answer(
                read_request({"messages": [ask, line["message"], result], "tools": [tool]})
            )
            assert second.message is not None
            assert second.message.text() == "Rain."
    sent = server.asked[1].body
    match type:
        case "openai":
            assert sent["messages"][1] == {
                "role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Hm.",
            }  # fmt: skip
        case "anthropic":
            assert sent["messages"][1]["content"] == [THOUGHT, USED]
            assert "thinking" in sent
        case _:
            assert sent["input"][1:3] == [reasoned(), called("weather", "{}", "a")]


async def test_a_cancelled_answer_counts_what_its_server_reported(tmp_path: Path) -> None:
    start = events(*ANTHROPIC_TEXT_BEGUN, names=True)
    async with Playback(streamed(start, "hang")) as server:
        model = f'{{type: anthropic, model: claude-sonnet-5-5, base_url: "{server.url}", api_key: "${{env:KEY}}"}}'
        spec = _spec(tmp_path, f"models: {{main: {model}}}\nexporters: [{{type: jsonl, path: events.jsonl}}]\n")
        async with victor_dsl.open(spec, env={"KEY": "k"}) as orchestrator:
            begun = asyncio.Event()

            async def emit(delta: Delta) -> None:
                begun.set()

            task = asyncio.create_task(orchestrator.chat("Hello!", emit=emit))
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
    recorded = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    data = {event["type"]: event["data"] for event in recorded}
    assert data["turn"]["stop_reason"] == "cancelled"
    assert data["model_call"]["error"] == "cancelled"
    for type in ("turn", "model_call", "token_usage"):
        assert (data[type]["input_tokens"], data[type]["output_tokens"], data[type]["estimated"]) == (1120, 10, True)
