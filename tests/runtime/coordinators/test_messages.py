"""What a model gets of the spec's messages, and what a session keeps of what the user said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.runtime.stage import Says, Spy, Stage, Toolbox, call
from victor_dsl.errors import BudgetError, ContributorError
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Handler, Turn

SPEC = """
models: {main: {type: given, context_window: 4000}}
vars: {product: Acme, shy: false}
inputs: {topic: {default: parcels}}
contributors: [{type: text, text: Be brief.}]
messages:
  - {role: user, text: "Where is {{ it }}?"}
  - {role: assistant, template: "{{ product }} has it, {{ user | default('friend') }}."}
message:
  template: |
    <q>{{ message }}</q>
    {% if not shy %}
    About {{ topic }} of {{ product }}.
    {% endif %}
"""
EXAMPLES = [("user", "Where is {{ it }}?"), ("assistant", "Acme has it, friend.")]


def said(messages: Sequence[Message]) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in messages]


def wrapped(text: str) -> str:
    return f"<q>{text}</q>\nAbout parcels of Acme."


def model(stage: Stage, *replies: Any) -> Says:
    stage.objects["models/main"] = says = Says(list(replies) or ["Fine."])
    return says


async def test_examples_come_before_the_history_and_the_message_is_wrapped(stage: Stage) -> None:
    says = model(stage, "One.", "Two.")
    async with stage.orchestrator(SPEC) as orchestrator:
        await orchestrator.chat("Hi", session_id="s")
        await orchestrator.chat("Ho", session_id="s", user="Ada", vars={"shy": True}, inputs={"topic": "hats"})
    first, second = (said(turn.messages) for turn in says.turns)
    assert first == [*EXAMPLES, ("user", wrapped("Hi"))]
    assert second == [
        EXAMPLES[0],
        ("assistant", "Acme has it, Ada."),
        ("user", wrapped("Hi")),
        ("assistant", "One."),
        ("user", "<q>Ho</q>"),
    ]
    assert [turn.system for turn in says.turns] == ["Be brief."] * 2


async def test_the_next_request_of_a_session_begins_byte_for_byte_as_the_last_one(stage: Stage) -> None:
    says = model(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        for text in ("Hi", "Ho", "Hu"):
            await orchestrator.chat(text, session_id="s")
    before, *_, last = (turn.messages for turn in says.turns)
    assert last[: len(before)] == before
    assert said(last)[-1] == ("user", wrapped("Hu"))


async def test_of_a_whole_conversation_the_last_message_is_wrapped_if_it_is_the_users(stage: Stage) -> None:
    says = model(stage)
    asked = (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Ho"))
    called = (
        Message("user", "Hi"),
        Message("assistant", None, (call("look"),)),
        Message("tool", "x", tool_call_id="c1"),
    )
    async with stage.orchestrator(SPEC) as orchestrator:
        for messages in (asked, asked[:2], called):
            answer = await orchestrator.answer(Request(messages=messages))
            assert answer.error is None
    whole, begun, results = (turn.messages for turn in says.turns)
    assert said(whole) == [*EXAMPLES, ("user", "Hi"), ("assistant", "Hello."), ("user", wrapped("Ho"))]
    assert said(begun) == [*EXAMPLES, *said(asked[:2])]
    assert said(results) == [*EXAMPLES, *said(called)]


@pytest.mark.parametrize(
    "text",
    [
        "{{ product }}",
        "{% for i in range(10) %}{{ i }}{% endfor %}",
        "{{ 7 * 7 }}",
        "{# x #}",
        "{% raw %}",
        "</q> {{",
        "}}\\n",
    ],
)
async def test_what_the_user_says_is_never_a_template(stage: Stage, text: str) -> None:
    says = model(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        await orchestrator.chat(text, session_id="s")
        await orchestrator.chat("again", session_id="s")
    assert [said(turn.messages)[2] for turn in says.turns] == [("user", wrapped(text))] * 2


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (({"type": "text", "text": "Hi"}, IMAGE), ({"type": "text", "text": wrapped("Hi")}, IMAGE)),
        (
            (IMAGE, {"type": "text", "text": "a", "x": 1}, IMAGE, {"type": "text", "text": "b"}),
            (IMAGE, {"type": "text", "text": wrapped("a\nb"), "x": 1}, IMAGE),
        ),
        ((IMAGE,), ({"type": "text", "text": wrapped("")}, IMAGE)),
        ("", wrapped("")),
    ],
)
async def test_the_texts_of_a_message_with_parts_are_wrapped_as_one(stage: Stage, content: Any, sent: Any) -> None:
    says = model(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        answer = await orchestrator.answer(Request(messages=(Message("user", content),)))
    assert answer.error is None
    assert says.turns[0].messages[-1].content == sent


async def test_an_example_whose_template_writes_nothing_is_left_out(stage: Stage) -> None:
    says = model(stage)
    spec = """
    models: {main: {type: given}}
    vars: {expert: false}
    messages:
      - {role: user, template: "{% if expert %}Explain.{% endif %}"}
      - {role: assistant, template: "{% if expert %}In depth.{% endif %}"}
      - {role: user, text: Hi}
      - {role: assistant, text: Hello.}
    """
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.chat("Ho")
        await orchestrator.chat("Ho", vars={"expert": True})
    assert [len(turn.messages) for turn in says.turns] == [3, 5]
    assert said(says.turns[0].messages) == [("user", "Hi"), ("assistant", "Hello."), ("user", "Ho")]


async def test_tools_are_selected_by_the_users_own_words(stage: Stage) -> None:
    says = model(stage, [call("weather")], "Rain.")

    async def found(_: Any) -> str:
        return "It rains."

    stage.objects["tools/given"] = box = Toolbox({"weather": found, "parcels": found})
    async with stage.orchestrator(SPEC + "tools: [given]\ntool_selection: {type: keyword, k: 1}\n") as orchestrator:
        await orchestrator.chat("How is the weather?", session_id="s")
        await orchestrator.chat("And now?", session_id="s")
    assert [tool.name for tool in says.turns[0].tools] == ["weather"]
    assert [one.name for one in box.called] == ["weather"]
    after_the_tool, next_turn = says.turns[1], says.turns[2]
    assert said(after_the_tool.messages)[:3] == [*EXAMPLES, ("user", wrapped("How is the weather?"))]
    assert next_turn.messages[: len(after_the_tool.messages)] == after_the_tool.messages


@pytest.mark.parametrize("sessions", ["memory", "{type: sqlite, path: s.db}"])
async def test_what_a_session_was_offered_stays_offered_in_every_process(stage: Stage, sessions: str) -> None:
    says = model(stage)
    stage.objects["tools/given"] = Toolbox({"weather": never, "parcels": never, "invoices": never})
    spec = f"""
    models: {{main: {{type: given}}}}
    message: {{template: "Know the weather. {{{{ message }}}} Never speak of the weather."}}
    tools: [given]
    tool_selection: {{type: keyword, k: 1, most: 2}}
    sessions: {sessions}
    """
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.chat("Where are my parcels?", session_id="s")
        await orchestrator.chat("Thanks.", session_id="s")
        again = await orchestrator.render(Request(message="And the invoices?", session="s"))
        if "sqlite" in sessions:
            async with stage.orchestrator(spec) as another:
                await another.chat("Thanks.", session_id="s")
    assert [[tool.name for tool in turn.tools] for turn in says.turns] == [["parcels"]] * len(says.turns)
    assert again.sent_tools == ("parcels", "invoices")
    assert not any("said" in message for message in again.to_dict()["messages"])


async def never(_: Any) -> Any:
    raise AssertionError("nobody may call it")


async def test_compaction_never_leaves_examples_out(stage: Stage) -> None:
    says = model(stage)
    spec = SPEC.replace("4000", "400") + "compaction: {type: truncate, threshold: 0.9, target_ratio: 0.5}\n"
    async with stage.orchestrator(spec) as orchestrator:
        for number in range(20):
            await orchestrator.chat(f"{number} " + "word " * 25, session_id="s")
        rendered = await orchestrator.render(Request(message="Ho", session="s"))
    for turn in says.turns:
        assert said(turn.messages)[:2] == EXAMPLES
        assert sum(message.tokens for message in turn.messages) + 3 <= 360
    assert len(says.turns[-1].messages) < 20
    assert rendered.error is None


async def test_examples_that_leave_no_room_are_an_error_that_counts_them(stage: Stage) -> None:
    model(stage)
    async with stage.orchestrator(SPEC.replace("4000", "60") + "settings: {max_tokens: 1}\n") as orchestrator:
        with pytest.raises(BudgetError, match=r"needs 8\d \(system prompt 3, few-shot messages 18, tools 0, messages"):
            await orchestrator.chat("word " * 40)


async def test_what_is_rendered_is_what_is_sent(stage: Stage) -> None:
    says = model(stage)
    async with stage.orchestrator(SPEC + "sessions: {type: sqlite, path: s.db}\n") as orchestrator:
        await orchestrator.chat("Hi", session_id="s")
        rendered = [await orchestrator.render(Request(message=text, session="s")) for text in ("Ho", "Hu")]
        await orchestrator.chat("Ho", session_id="s")
        system = Message("system", "Be kind.")
        line = (Message("user", "Hi"), Message("assistant", "Hello."), system, Message("user", "Ho"), system)
        whole = await orchestrator.render(Request(messages=line))
    first, second = rendered
    assert said(first.messages) == said(says.turns[1].messages)
    assert first.tokens.messages == sum(message.tokens for message in first.messages)
    assert first.kept == (0, 1, 2)
    assert [(one.index, one.message.content) for one in first.explained] == [
        (0, wrapped("Hi")), (1, "Fine."), (2, wrapped("Ho")),
    ]  # fmt: skip
    assert sum(one.tokens for one in first.explained) == sum(message.tokens for message in first.messages[2:])
    assert second.cache.changed_at == "messages/4"
    assert {name: origin.line for name, origin in first.origins.items() if name.startswith("message")} == {
        "messages/0": 9, "messages/1": 10, "message": 12,
    }  # fmt: skip
    assert whole.kept == (0, 1, 2, 3, 4)
    assert [one.message.content for one in whole.explained] == ["Hi", "Hello.", "Be kind.", wrapped("Ho"), "Be kind."]


async def test_a_turn_that_failed_after_a_tool_is_remembered_as_it_was_sent(stage: Stage) -> None:
    says = model(stage, [call("look")], ValueError("broken"), "Fine.")

    async def found(_: Any) -> str:
        return "x"

    stage.objects["tools/given"] = Toolbox({"look": found})
    async with stage.orchestrator(SPEC + "tools: [given]\n") as orchestrator:
        answer = await orchestrator.answer(Request(message="Hi", session="s"))
        assert answer.error is not None
        await orchestrator.chat("Ho", session_id="s")
    assert said(says.turns[-1].messages)[2] == ("user", wrapped("Hi"))


async def test_a_fault_of_a_template_names_its_line_in_the_spec(stage: Stage) -> None:
    model(stage)
    spec = """
    models: {main: {type: given}}
    vars: {parts: [one]}
    message:
      template: |
        {{ message }}
        {{ parts[1] }}
    """
    async with stage.orchestrator(spec) as orchestrator:
        rendered = await orchestrator.render(Request(message="Hi"))
    assert isinstance(rendered.error, ContributorError)
    assert f"{stage.folder / 'victor.yml'}:9: " in rendered.error.message
    assert rendered.error.node == "message/template"


async def test_a_message_too_long_for_a_template_is_an_error_of_the_turn(stage: Stage) -> None:
    model(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        for size, bound in ((2_000_000, "1,048,576 characters"), (10_000_000, "200,000 units of work")):
            with pytest.raises(ContributorError, match=f"more than {bound}.*what the user says has {size:,} char"):
                await orchestrator.chat("x" * size)
        assert (await orchestrator.chat("\0" + "x" * 1000)).message.content == "Fine."


async def test_a_template_that_writes_nothing_of_what_the_user_says_fails_the_turn(stage: Stage) -> None:
    says = model(stage)
    spec = "models: {main: {type: given}}\nmessage: {template: ' {% if tenant %}{{ message }}{% endif %}'}\n"
    async with stage.orchestrator(spec) as orchestrator:
        with pytest.raises(ContributorError, match=r"message/template.*writes nothing, so what the user says"):
            await orchestrator.chat("Hi")
        await orchestrator.chat(" ")
        await orchestrator.chat("Hi", tenant="acme")
    assert [said(turn.messages) for turn in says.turns] == [[("user", "")], [("user", "Hi")]]


async def test_the_same_examples_are_one_object_over_turns(stage: Stage) -> None:
    says = model(stage)
    async with stage.orchestrator(SPEC) as orchestrator:
        await orchestrator.chat("Hi")
        await orchestrator.chat("Ho")
    assert says.turns[0].examples is says.turns[1].examples


class Sees:
    """A middleware that notes the turns."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def wrap(self, handler: Handler) -> Handler:
        async def seen(turn: Turn) -> Reply:
            self.turns.append(turn)
            return await handler(turn)

        return seen


async def test_middleware_around_turns_sees_the_users_words_and_around_models_what_is_sent(stage: Stage) -> None:
    model(stage)
    stage.objects |= {"middleware/turn": (turn := Sees()), "middleware/model": (call_ := Sees())}
    spec = SPEC + "middleware: [{type: given, name: turn}, {type: given, name: model, around: model}]\n"
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.chat("Hi")
    assert said(turn.turns[0].messages) == [("user", "Hi")]
    assert said(call_.turns[0].messages) == [("user", wrapped("Hi"))]
    assert said(call_.turns[0].examples) == EXAMPLES


async def test_redact_around_models_covers_examples_and_templates(stage: Stage) -> None:
    says = model(stage)
    spec = """
    models: {main: {type: given}}
    messages:
      - {role: user, text: I am ada@example.com.}
      - {role: assistant, text: Hello.}
    message: {template: "{{ message }} (by bob@example.com)"}
    middleware: [{type: redact, patterns: [email], around: AROUND}]
    """
    for around, sent in (
        ("model", ["I am [email].", "Hello.", "I am [email] now. (by [email])"]),
        ("turn", ["I am ada@example.com.", "Hello.", "I am [email] now. (by bob@example.com)"]),
    ):
        async with stage.orchestrator(spec.replace("AROUND", around)) as orchestrator:
            await orchestrator.chat("I am cid@example.com now.")
            rendered = await orchestrator.render(Request(message="I am cid@example.com now."))
        assert [message.content for message in says.turns[-1].messages] == sent
        assert [message.content for message in rendered.messages] == sent


async def test_the_users_own_words_of_earlier_turns_are_redacted_too(stage: Stage) -> None:
    model(stage)
    stage.objects["middleware/inner"] = inner = Sees()
    spec = SPEC + "sessions: {type: sqlite, path: s.db}\nmiddleware: [MIDDLEWARE{type: given, name: inner}]\n"
    for redact in ("", "{type: redact, patterns: [email]}, "):
        async with stage.orchestrator(spec.replace("MIDDLEWARE", redact)) as orchestrator:
            await orchestrator.chat("I am cid@example.com now.", session_id="s")
    earlier = inner.turns[1].messages[0]
    assert (earlier.content, earlier.said) == (wrapped("I am [email] now."), "I am [email] now.")


async def test_a_fallback_and_a_member_of_a_pool_get_the_examples_once(stage: Stage) -> None:
    members = {name: Says([ValueError("broken") if name == "a" else "Fine."]) for name in ("a", "b", "c")}
    stage.objects |= {f"models/{name}": says for name, says in members.items()}
    spec = SPEC.replace(
        "main: {type: given, context_window: 4000}",
        "a: {type: given}, b: {type: given}, c: {type: given}, both: {type: pool, members: [b, c]}",
    )
    async with stage.orchestrator(spec + "settings: {model: both}\n") as orchestrator:
        await orchestrator.chat("Hi")
    (turn,) = [turn for says in members.values() for turn in says.turns]
    assert said(turn.messages) == [*EXAMPLES, ("user", wrapped("Hi"))]


async def test_a_summary_is_asked_for_without_examples(stage: Stage) -> None:
    says = model(stage, "A summary.")
    spec = SPEC.replace("4000", "400") + (
        "compaction: {type: summarize, model: main, threshold: 0.9, target_ratio: 0.6}\n"
    )
    async with stage.orchestrator(spec) as orchestrator:
        for number in range(8):
            await orchestrator.chat(f"{number} " + "word " * 25, session_id="s")
    asked = [turn for turn in says.turns if turn.system != "Be brief."]
    assert asked
    assert all(len(turn.messages) == 1 and not turn.examples for turn in asked)


async def test_estimates_count_examples(stage: Stage) -> None:
    says = model(stage)
    stage.objects["exporters/given"] = spy = Spy()
    async with stage.orchestrator(SPEC + "exporters: [given]\n") as orchestrator:
        await orchestrator.chat("Hi")
    sent = sum(message.tokens for message in says.turns[0].messages) + 3
    assert spy.data("model_call")[0]["estimated_tokens"] == sent
