"""What the model would be sent: the contract of `victor render`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.runtime.stage import Piece, Says, Spy, Stage, Toolbox
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import ContributorError
from victor_dsl.language.output_schema import rendered_schema
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Message, Reply, ToolCall, messages_tokens
from victor_dsl.values.request import Request
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn

SPEC = """
models: {main: {type: given, context_window: 300}}
settings: {temperature: 0.5, max_tokens: 50}
contributors: [{type: text, name: tone, text: Be brief.}]
tools: [given]
exporters: [given]
"""


async def never(*arguments: Any) -> Any:
    raise AssertionError("nobody may call it")


def set_up(stage: Stage) -> None:
    stage.objects |= {
        "models/main": Says([never]),
        "tools/given": Toolbox({"look": never, "find": never}),
        "exporters/given": Spy(),
    }


async def test_the_rendered_turn_is_the_object_of_the_contract(stage: Stage) -> None:
    set_up(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        rendered = await orchestrator.render(Request(id=1, session="s", tenant="acme", message="hi there"))
        plan = orchestrator.program.plan_for("acme", {}).digest
    line = rendered.to_dict()
    assert line.pop("origins")["settings.temperature"] == {
        "source": "spec",
        "file": str(stage.folder / "victor.yml"),
        "line": 5,
    }
    tools = line["tokens"].pop("tools")
    assert tools > 10
    assert line.pop("tokens") == {"system": 3, "messages": 6, "total": 9 + tools, "limit": 300}
    assert line == {
        "id": 1,
        "session": "s",
        "tenant": "acme",
        "variants": {},
        "settings": {
            "model": "main",
            "temperature": 0.5,
            "max_tokens": 50,
            "max_tool_rounds": 8,
            "max_tool_calls": 32,
            "threshold": 0.8,
            "target_ratio": 0.5,
        },
        "system": "Be brief.",
        "contributors": [{"type": "text", "name": "tone", "priority": 50, "tokens": 3, "dropped": False}],
        "messages": [{"role": "user", "content": "hi there"}],
        "kept": [0],
        "tools": ["look", "find"],
        "sent_tools": ["look", "find"],
        "cache": {"stable_tokens": 0, "changed_at": None},
        "compaction": None,
        "plan": plan,
        "error": None,
    }
    assert stage.objects["exporters/given"].events == []


async def test_kept_counts_in_the_input_and_has_every_system_message(stage: Stage) -> None:
    set_up(stage)
    said = [Message("user" if n % 2 else "assistant", f"{n} " * 60) for n in range(1, 9)]
    said[3:3] = [Message("system", "Mind the gap.")]
    async with stage.orchestrator(SPEC) as orchestrator:
        rendered = await orchestrator.render(Request(messages=tuple(said)))
    assert rendered.error is None
    assert rendered.compaction is not None
    assert rendered.system.endswith("Mind the gap.")
    assert 3 in rendered.kept
    assert [said[index] for index in rendered.kept if index != 3] == list(rendered.messages)
    assert len(rendered.kept) < len(said)


async def test_kept_of_a_message_counts_in_the_history_with_the_message_last(stage: Stage) -> None:
    set_up(stage)
    stage.objects["models/main"] = Says(["answer"])
    async with stage.orchestrator(SPEC) as orchestrator:
        await orchestrator.chat("first", session_id="s")
        rendered = await orchestrator.render(Request(message="second", session="s"))
        again = await orchestrator.render(Request(message="second", session="s"))
    assert rendered.kept == (0, 1, 2)
    assert rendered.messages == again.messages


async def test_rendering_passes_admission_and_every_middleware_by_but_what_reshapes(stage: Stage) -> None:
    class Redacts:
        def wrap(self, handler: Handler) -> Handler:
            async def wrapped(turn: Turn) -> Reply:
                raise AssertionError("rendering has no onion")

            return wrapped

        def reshape(self, turn: Turn) -> Turn:
            return turn.replace(
                messages=tuple(Message(m.role, m.text().replace("4711", "****")) for m in turn.messages)
            )

    set_up(stage)
    stage.objects["middleware/given"] = Redacts()
    async with stage.orchestrator(SPEC + "middleware: [given]") as orchestrator:
        rendered = await orchestrator.render(Request(message="order 4711"))
    assert rendered.messages == (Message("user", "order ****"),)


async def test_an_error_is_shown_with_what_was_known_before_it(stage: Stage) -> None:
    set_up(stage)
    stage.objects["contributors/given"] = Piece(ContributorError("no file"))
    spec = SPEC.replace("contributors: [", "contributors: [{type: given}, ")
    async with stage.orchestrator(spec) as orchestrator:
        line = (await orchestrator.render(Request(id=1, message="hi"))).to_dict()
    assert line["error"]["code"] == "contributor"
    assert (line["system"], line["tools"], line["settings"]["temperature"]) == ("", [], 0.5)
    assert line["messages"] == [{"role": "user", "content": "hi"}]


async def test_a_bad_request_is_an_error_object(stage: Stage) -> None:
    set_up(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        line = (await orchestrator.render(Request(message="hi", settings={"model": "x"}))).to_dict()
    assert line["error"]["code"] == "bad-request"
    assert (line["settings"], line["origins"], line["kept"]) == ({}, {}, [0])


async def test_a_fault_of_a_component_is_an_error_object_too(stage: Stage) -> None:
    class Broken(Toolbox):
        async def tools(self) -> list[Tool]:
            raise KeyError("oops")

    set_up(stage)
    stage.objects["tools/given"] = Broken({})
    async with stage.orchestrator(SPEC) as orchestrator:
        line = (await orchestrator.render(Request(message="hi"))).to_dict()
    assert line["error"]["code"] == "component"
    assert re.fullmatch("tools/given: internal error [0-9a-f]{8}; see the log", line["error"]["message"])


async def test_the_requests_tools_are_selected_from_with_the_specs(stage: Stage) -> None:
    set_up(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        rendered = await orchestrator.render(Request(message="hi", tools=(Tool("theirs"),)))
    assert rendered.tools == ("look", "find", "theirs")


async def test_only_values_that_are_in_force_have_an_origin(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["a"])
    spec = "models: {main: {type: given}}\ntenants: {acme: {with: {settings: {temperature: 1}}}}\n"
    async with stage.orchestrator(spec, answering=False) as orchestrator:
        rendered = await orchestrator.render(Request(message="a", tenant="acme"))
    assert rendered.settings["temperature"] == 1.0
    assert rendered.origins["settings.temperature"].source == "tenant acme"
    assert all(path.startswith("settings.") for path in rendered.origins)
    assert {path.removeprefix("settings.") for path in rendered.origins} == set(rendered.settings)


async def test_the_pieces_of_the_prompt_have_the_origins_of_their_overlays(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["a"])
    spec = """
    models: {main: {type: given}}
    contributors:
      - {type: text, name: style, text: Be brief.}
      - {type: text, text: Be kind.}
    variants:
      tone: {arms: {control: {}, warm: {with: {contributors: {style: {text: Be warm.}}}}}}
    """
    async with stage.orchestrator(spec, answering=False) as orchestrator:
        base, warm = [
            (await orchestrator.render(Request(message="a", arms=arms))).to_dict()["origins"]
            for arms in ({"tone": "control"}, {"tone": "warm"})
        ]
    style = {"source": "spec", "file": base["contributors.text"]["file"], "line": 6}
    assert {name: base[name] for name in base if name.startswith("contributors")} == {
        "contributors.style": style,
        "contributors.text": {**style, "line": 7},
    }
    arm = {**style, "source": "arm tone.warm", "line": 9}
    assert warm["contributors.style"] == {**arm, "layers": [style, arm]}
    assert warm["contributors.text"] == base["contributors.text"]


async def test_only_system_messages_are_refused_before_anything_is_sent(stage: Stage) -> None:
    async with stage.orchestrator("models: {main: {type: echo}}") as orchestrator:
        request = Request(messages=(Message("system", "Be kind."),))
        answer, rendered = await orchestrator.answer(request), await orchestrator.render(request)
        prefill = (Message("user", "Say hi"), Message("assistant", "Hi, I "))
        kept = await orchestrator.render(Request(messages=prefill))
    for error in (answer.error, rendered.error):
        assert error is not None
        assert error.code == "bad-request"
        assert "there is nothing to answer" in error.message
    assert kept.messages == prefill


async def test_a_late_result_is_listed_as_moved(stage: Stage) -> None:
    call = Message("assistant", None, (ToolCall("a", "look_up", "{}"),))
    late = (Message("user", "task"), call, Message("user", "Well?"), Message("tool", "7", tool_call_id="a"))
    async with stage.orchestrator("models: {main: {type: echo}}") as orchestrator:
        rendered = await orchestrator.render(Request(messages=(Message("system", "Be kind."), *late)))
    assert rendered.to_dict()["mending"] == {"closed": [], "left_out": [], "moved": [4]}
    assert rendered.kept == (0, 1, 2, 3, 4)
    assert [message.role for message in rendered.messages] == ["user", "assistant", "tool", "user"]


CACHE = "models: {main: {type: echo, context_window: 900}}\nvars: {day: Monday}\ncontributors: [{type: template, template: 'It is {{ day }}.'}]\n"


async def test_the_cache_s_share_is_that_of_the_request_before_of_the_same_session(stage: Stage) -> None:
    words = Message("user", "word " * 40)
    first = (words, Message("assistant", "Yes."), words)
    other = (words, Message("assistant", "No."), words)
    tools = (Tool("look_up", "Looks an order up."), Tool("go", "Goes away."))
    requests = [
        Request(messages=first, session="s", tools=tools),
        Request(messages=first, session="other", tools=tools),
        Request(messages=(*first, *other[1:]), session="s", tools=tools),
        Request(messages=first, session="s", tools=tools),
        Request(messages=other, session="s", tools=tools),
        Request(messages=other, session="s", tools=tools, vars={"day": "Sunday"}),
        Request(messages=other, session="s", tools=(tools[0],), vars={"day": "Sunday"}),
        Request(messages=other, session="s", tenant="acme", vars={"day": "Sunday"}),
    ]
    spec = CACHE + "tool_selection: all\ntenants: {acme: {with: {}}}\n"
    async with stage.orchestrator(spec) as orchestrator:
        lines = [(await orchestrator.render(request)).to_dict() for request in requests]
    head = sum(tool.tokens for tool in tools) + text_tokens("It is Monday.")
    assert [line["cache"]["changed_at"] for line in lines] == [
        *(None, None, None, None),
        *("messages/1", "system", "tools", None),
    ]
    assert [line["cache"]["stable_tokens"] for line in lines] == [
        *(0, 0, head + messages_tokens(first), head + messages_tokens(first)),
        *(head + words.tokens, sum(tool.tokens for tool in tools), tools[0].tokens, 0),
    ]
    for line in lines:
        Draft202012Validator(rendered_schema()).validate(line)


@pytest.mark.parametrize("model", ["small", "both"])
async def test_no_secret_of_a_model_is_needed_not_even_of_one_that_compaction_has(tmp_path: Path, model: str) -> None:
    spec = tmp_path / "victor.yml"
    spec.write_text(f"""
victor: 1
name: support
models:
  main: {{type: echo}}
  small: {{type: anthropic, model: claude-haiku-5-5, api_key: "${{env:NOT_SET}}"}}
  both: {{type: pool, members: [small]}}
settings: {{model: main}}
compaction: {{type: summarize, model: {model}}}
""")
    program = compile_spec(str(spec), environment={}).program
    assert program is not None
    async with Orchestrator(program, answering=False) as orchestrator:
        rendered = await orchestrator.render(Request(message="Hi"))
    assert rendered.error is None
