"""What turns were asked, as request lines: rendering them repeats the turns, and no key is in them."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import surroundings
from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.components.exporters import traffic
from victor_dsl.errors import StoreError
from victor_dsl.values.codec import read_request
from victor_dsl.values.event import Contents, Event
from victor_dsl.values.message import Message
from victor_dsl.values.request import API_KEY, Request
from victor_dsl.values.tool import Tool

SPEC = """
models: {main: {type: given}}
vars: {product: Acme}
inputs: {plan: {enum: [free, pro], default: free}}
contributors: [{type: template, template: "Help users of {{ product }}, on {{ plan }}."}]
message: {template: "<question>{{ message }}</question>"}
sessions: {type: sqlite, path: sessions.db}
"""
KEY = "sk-" + "a1B2" * 8


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def turn(number: int, session: str = "s1", *messages: Message, **request: Any) -> Event:
    asked = messages or (Message("user", "hi"),)
    data = dict.fromkeys((*traffic.USAGE, "model", "latency_ms", "stop_reason"))
    contents = Contents(Request(**request), request.get("user"), asked)
    return Event(f"e{number}", "turn", 1_700_000_000.5, session, None, "p", "abc", {}, data, contents=contents)


async def written(tmp_path: Path, events: Sequence[Event], **config: Any) -> list[dict[str, Any]]:
    path = tmp_path / "traffic.jsonl"
    made = traffic.Config.model_validate({"path": str(path), **config})
    async with traffic.build(made, surroundings(tmp_path, "exporters/traffic").context) as exporter:
        await exporter.export(events)
    return lines_of(path)


async def test_rendering_the_lines_repeats_what_the_turns_sent(stage: Stage) -> None:
    model = Says(["One.", "Two.", "Three."])
    stage.objects["models/main"] = model
    spec = SPEC + "exporters: [{type: traffic, path: traffic.jsonl}]\n"
    tool = Tool("lookup", "Looks an order up.", {"type": "object", "properties": {"id": {"type": "string"}}})
    asked = [
        Request(message="First?", session="s1", inputs={"plan": "pro"}, vars={"product": "Edge"}),
        Request(message="Second?", session="s1", settings={"temperature": 0.1}),
        Request(messages=(Message("system", "Be brief."), Message("user", "Third?")), tools=(tool,)),
    ]
    async with stage.orchestrator(spec) as orchestrator:
        for request in asked:
            assert (await orchestrator.answer(request)).error is None
    lines = lines_of(stage.folder / "traffic.jsonl")
    assert [line["recorded"]["usage"]["input_tokens"] for line in lines] == [10, 10, 10]
    assert lines[0]["timestamp"].endswith("Z")
    # In another folder there is no stored session: the lines alone give the history.
    (elsewhere := stage.folder / "elsewhere").mkdir()
    again = Stage(elsewhere, stage.objects)
    async with again.orchestrator(SPEC, answering=False) as orchestrator:
        for line, sent in zip(lines, model.turns, strict=True):
            rendered = await orchestrator.render(read_request(line))
            assert rendered.error is None
            assert rendered.system == sent.system
            assert [message.text() for message in rendered.messages] == [message.text() for message in sent.messages]
            assert rendered.tools == tuple(tool.name for tool in sent.tools)
            assert rendered.settings.get("temperature") == sent.settings.temperature
            assert rendered.session == sent.session


async def test_keys_are_never_written_and_personal_data_only_on_request(tmp_path: Path) -> None:
    event = turn(
        1,
        "bob@example.com",
        Message("user", f"I am bob@example.com, my key is {KEY}"),
        user="bob@example.com",
        vars={"token": KEY, "phone": "+49 30 901820"},
        metadata={API_KEY: KEY},
    )
    (line,) = await written(tmp_path, [event])
    assert line["messages"] == [{"role": "user", "content": "I am [email], my key is [api_key]"}]
    assert line["vars"] == {"token": "[api_key]", "phone": "[phone]"}
    assert line["session"] == line["user"]
    assert line["user"].startswith("[email] ")
    (tmp_path / "traffic.jsonl").unlink()
    (line,) = await written(tmp_path, [event], redact=False)
    assert line["messages"][0]["content"] == "I am bob@example.com, my key is [api_key]"
    assert (line["user"], line["vars"]) == ("bob@example.com", {"token": "[api_key]", "phone": "+49 30 901820"})
    assert KEY not in (tmp_path / "traffic.jsonl").read_text()


async def test_what_messages_have_beside_their_text_is_redacted_but_images_stay(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    other = {"type": "file", "file": {"filename": "bob@example.com.pdf", "file_data": "JVBERi0="}}
    asked = Message(
        "user", ({"type": "text", "text": "my mail: bob@example.com"}, image, other), name="bob@example.com"
    )
    thought = Message("assistant", "Yes.", extra={"reasoning_content": "She wrote from bob@example.com."})
    (line,) = await written(tmp_path, [turn(1, "s1", asked, thought)])
    assert line["messages"] == [
        {
            "role": "user",
            "name": "[email]",
            "content": [
                {"type": "text", "text": "my mail: [email]"},
                image,
                {"type": "file", "file": {"filename": "[email]", "file_data": "JVBERi0="}},
            ],
        },
        {"role": "assistant", "content": "Yes.", "reasoning_content": "She wrote from [email]."},
    ]


async def test_text_that_begins_like_a_data_url_is_redacted(tmp_path: Path) -> None:
    plain = {"type": "image_url", "image_url": {"url": "data:text/plain,bob@example.com"}}
    false = {"type": "image_url", "image_url": {"url": f"data:text/plain;base64, {KEY}"}}
    thought = Message("assistant", "Yes.", extra={"reasoning_content": f"data: {KEY} of bob@example.com"})
    (line,) = await written(tmp_path, [turn(1, "s1", Message("user", (plain, false)), thought)])
    assert [part["image_url"]["url"] for part in line["messages"][0]["content"]] == [
        "data:text/plain,[email]",
        "data:text/plain;base64, [api_key]",
    ]
    assert line["messages"][1]["reasoning_content"] == "data: [api_key] of [email]"


async def test_a_seed_that_looks_like_the_number_of_a_card_stays_a_number(tmp_path: Path) -> None:
    asked = turn(1, settings={"seed": 4111111111111111, "stop": ["bob@example.com"]}, vars={"card": 4111111111111111})
    (line,) = await written(tmp_path, [asked])
    assert line["settings"] == {"seed": 4111111111111111, "stop": ["[email]"]}
    assert line["vars"] == {"card": "[card]"}
    assert read_request(line).settings["seed"] == 4111111111111111


async def test_text_of_others_at_the_end_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    path.write_text("one\ntwo")
    path.chmod(0o600)
    made = traffic.Config.model_validate({"path": str(path)})
    async with traffic.build(made, surroundings(tmp_path, "exporters/traffic").context) as exporter:
        await exporter.export([turn(1)])
    assert path.read_text().startswith('one\ntwo\n{"id":"e1"')


async def test_pseudonyms_are_the_same_in_every_process(tmp_path: Path) -> None:
    first = await written(tmp_path, [turn(1, "a@example.com"), turn(2, "b@example.com")])
    again = await written(tmp_path, [turn(3, "a@example.com")])
    sessions = [line["session"] for line in again]
    assert sessions == [first[0]["session"], first[1]["session"], first[0]["session"]]
    assert sessions[0] != sessions[1]
    assert stat.S_IMODE((tmp_path / ".victor" / traffic.KEY_FILE).stat().st_mode) == 0o600


async def test_a_session_is_sampled_whole_and_the_share_is_about_the_sample(tmp_path: Path) -> None:
    events = [turn(10 * session + n, f"s{session}") for n in range(3) for session in range(1_000)]
    lines = await written(tmp_path, events, sample=0.25)
    counts = {line["session"]: 0 for line in lines}
    for line in lines:
        counts[line["session"]] += 1
    assert set(counts.values()) == {3}
    assert 200 < len(counts) < 300


async def test_the_file_is_rotated_so_that_both_stay_below_the_maximum(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    events = [turn(n, f"s{n}", Message("user", "x" * 50_000)) for n in range(60)]
    for start in range(0, 60, 7):
        await written(tmp_path, events[start : start + 7], max_mb=1)
    sizes = [path.stat().st_size, Path(f"{path}.1").stat().st_size]
    assert all(300_000 < size <= 1 << 19 for size in sizes[1:])
    assert sum(sizes) <= 1 << 20
    kept = [line["id"] for line in lines_of(Path(f"{path}.1")) + lines_of(path)]
    assert kept == [f"e{n}" for n in range(60)][-len(kept) :]


async def test_a_line_that_fits_no_file_is_refused_and_does_not_stop_the_others(tmp_path: Path) -> None:
    long = turn(1, "s1", Message("user", "x" * (1 << 20)))
    with pytest.raises(StoreError, match=r"a line of 1,048,\d+ bytes is too long") as caught:
        await written(tmp_path, [long, turn(2)], max_mb=1)
    assert not caught.value.transient
    assert [line["id"] for line in await written(tmp_path, [turn(2)], max_mb=1)] == ["e2"]


async def test_events_without_contents_and_turns_without_a_conversation_have_no_line(tmp_path: Path) -> None:
    refused = turn(1)
    empty = Event("e2", "turn", 0.0, "s", None, "p", "abc", {}, refused.data, contents=Contents(Request(), None, ()))
    other = Event("e3", "model_call", 0.0, "s", None, "p", "abc", {}, {})
    assert await written(tmp_path, [empty, other]) == []


async def test_contents_go_to_no_other_exporter_and_are_not_made_without_one(stage: Stage) -> None:
    spy = Spy()
    stage.objects |= {"models/main": Says(["One."]), "exporters/given": spy}
    for exporters in ("[given]", "[given, {type: traffic, path: traffic.jsonl}]"):
        async with stage.orchestrator(f"models: {{main: {{type: given}}}}\nexporters: {exporters}\n") as orchestrator:
            await orchestrator.answer(Request(message="Hi"))
    assert [event.contents for event in spy.of("turn")] == [None, None]
    assert len(lines_of(stage.folder / "traffic.jsonl")) == 1


async def test_a_failed_turn_is_recorded_and_one_that_was_refused_at_the_door_is_not(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["One."])
    spec = SPEC + "exporters: [{type: traffic, path: traffic.jsonl}]\n"
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.answer(Request(message="Hi", inputs={"plan": "none"}))
        await orchestrator.answer(Request(message="Hi", arms={"no": "such"}))
    (line,) = lines_of(stage.folder / "traffic.jsonl")
    assert (line["inputs"], line["recorded"]["stop_reason"]) == ({"plan": "none"}, "error")


async def test_the_file_is_private_and_an_older_one_that_others_can_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    await written(tmp_path, [turn(1)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    around = surroundings(tmp_path, "exporters/traffic")
    async with traffic.build(traffic.Config(path=str(path)), around.context):
        pass
    ((message, _),) = around.reports
    assert "can read" in message


async def test_lone_surrogates_and_large_numbers_are_written_so_that_they_can_be_read(tmp_path: Path) -> None:
    (line,) = await written(tmp_path, [turn(1, "s1", Message("user", "a\ud800b"), vars={"n": 2**70})])
    assert line["messages"][0]["content"] == "a\ufffdb"


def test_processes_that_write_and_rotate_one_file_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    code = f"""
import asyncio, sys
from pathlib import Path
from tests.components.exporters.test_traffic import turn
from tests.components.context import surroundings
from victor_dsl.components.exporters import traffic
from victor_dsl.values.message import Message
async def main(number):
    made = traffic.Config(path={str(path)!r}, max_mb=1)
    async with traffic.build(made, surroundings(Path({str(tmp_path)!r}), "exporters/traffic").context) as exporter:
        for n in range(8):
            await exporter.export([turn(1000 * number + n, "s", Message("user", "x" * 30_000))])
asyncio.run(main(int(sys.argv[1])))
"""
    running = [subprocess.Popen([sys.executable, "-c", code, str(number)], cwd=Path.cwd()) for number in (1, 2, 3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    ids = [line["id"] for file in (Path(f"{path}.1"), path) for line in lines_of(file)]
    assert sorted(ids) == sorted(f"e{1000 * number + n}" for number in (1, 2, 3) for n in range(8))


async def test_a_full_disk_fails_no_turn(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["One."])
    (stage.folder / "traffic.jsonl").symlink_to("/dev/full")
    spec = SPEC + "exporters: [{type: traffic, path: traffic.jsonl, retry_seconds: 0}]\n"
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(message="Hi"))
    assert answer.error is None
