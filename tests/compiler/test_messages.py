"""The spec's own messages: few-shot examples, and the template of what the user says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compiler.conftest import Compile, Programme
from victor_dsl.graph.plan import Plan
from victor_dsl.language.schema import schema
from victor_dsl.values.settings import Origin

HEAD = "victor: 1\nname: s\nmodels: {main: {type: echo, context_window: 1000}}\nvars: {product: Acme}\n"
EXAMPLES = """\
messages:
  - {role: user, text: Where is my parcel?}
  - {role: assistant, template: "{{ product }} delivers."}
"""
WRAPPER = 'message: {template: "<q>{{ message }}</q>"}\n'


def found(compile: Compile, text: str, files: dict[str, str] | None = None) -> list[tuple[str, int, int, str]]:
    return [(d.code, d.span.line, d.span.column, d.message) for d in compile(HEAD + text, files).diagnostics]


def test_messages_and_a_template_around_what_the_user_says_are_valid(compile: Compile) -> None:
    assert found(compile, EXAMPLES + WRAPPER) == []


def test_a_fault_of_a_whole_message_is_reported_beside_values_of_variables(compile: Compile) -> None:
    [fault] = compile(HEAD + "messages: [{role: user, text: a, path: '${env:P}'}]\n", environment={"P": "x.md"}).errors
    assert fault.message == "messages[0]: give either 'text', 'path' or 'template', not both"


@pytest.mark.parametrize(
    ("item", "code", "message", "hint"),
    [
        ("{role: usr, text: a}", "wrong-value", "role must be 'user' or 'assistant', not the text 'usr'", "did you mean 'user'"),
        ("{role: system, text: a}", "wrong-value", "role must be 'user' or 'assistant', not the text 'system'", "`contributors`"),
        ("{role: [], text: a}", "wrong-value", "role must be 'user' or 'assistant', not a list", ""),
        ("{role: user, content: a}", "unknown-key", "messages[0] has no 'content'", "write it as `text`"),
        ("{text: a}", "missing-key", "messages[0] lacks 'role'", "add 'role'"),
        ("{role: user}", "wrong-value", "messages[0]: give either 'text', 'path' or 'template'", ""),
        ("{role: user, text: a, template: b}", "wrong-value", "messages[0]: give either 'text', 'path' or 'template', not both", ""),
        ("{role: user, text: a, template: b, path: c}", "wrong-value", "messages[0]: give either 'text', 'path' or 'template', not all three", ""),
        ("{role: user, txt: a}", "unknown-key", "messages[0] has no 'txt'", "did you mean 'text'"),
        ("{role: user, type: text, text: a}", "unknown-key", "messages[0] has no 'type'", ""),
        ("{role: user, text: ' '}", "wrong-value", "text: it must not be blank", ""),
        ("{role: user, template: '  '}", "wrong-value", "template: it must not be blank", ""),
        ("{role: user, text: {a: b}}", "wrong-type", "text must be text, not a map", ""),
        ("{role: user, template: [a]}", "wrong-type", "template must be text, not a list", ""),
        ("{role: user, path: 7}", "wrong-type", "path must be text, not 7", "put it in quotes"),
        ("Hello", "wrong-type", "messages[0] must be a map", "write `{role: user, text: …}`"),
        ("null", "wrong-type", "messages[0] must be a map", "write `{role: user, text: …}`"),
        ("[a]", "wrong-type", "messages[0] must be a map", "write `{role: user, text: …}`"),
        ("{role: user, path: none.j2}", "missing-file", "cannot read 'none.j2': there is no such file", ""),
    ],
)  # fmt: skip
def test_a_faulty_message_is_a_fault_of_its_own(
    compile: Compile, item: str, code: str, message: str, hint: str
) -> None:
    faults = [d for d in compile(f"{HEAD}messages:\n  - {item}\n").diagnostics if d.severity == "error"]
    assert (code, message) in [(d.code, d.message) for d in faults]
    fault = next(d for d in faults if d.message == message)
    assert fault.span.line == 6
    assert fault.path[:2] == ("messages", 0)
    assert hint in (fault.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("messages: Hello", "messages must be a list"),
        ("messages: {role: user, text: a}", "messages must be a list"),
        ("message: Hello", "message must be a map"),
        ("message: [a]", "message must be a map"),
        ("message: {role: user, template: '{{ message }}'}", "message has no 'role'"),
        ("message: {}", "message: give either 'path' or 'template'"),
        ("message: {template: '{{ message }}', path: a.j2}", "message: give either 'path' or 'template', not both"),
        ("mesages: []", "the spec has no 'mesages'"),
    ],
)
def test_a_section_of_another_shape_is_a_fault(compile: Compile, text: str, message: str) -> None:
    assert message in [one[3] for one in found(compile, text)]


def test_all_faults_of_all_messages_are_reported_together(compile: Compile) -> None:
    text = "messages:\n  - {role: usr, text: a}\n  - hi\n  - {role: user, path: x.j2}\nmessage: {}\n"
    assert [one[:2] for one in found(compile, text)] == [
        ("wrong-value", 6), ("wrong-type", 7), ("missing-file", 8), ("wrong-value", 9),
    ]  # fmt: skip


def test_templates_of_messages_are_checked_at_the_line_of_the_spec(compile: Compile) -> None:
    text = "messages:\n  - role: user\n    template: |\n      Hi,\n      {{ prodct }}\n  - {role: assistant, text: a}\n"
    assert found(compile, text) == [("undefined-variable", 9, 10, "nothing declares 'prodct'")]
    assert found(compile, 'message: {template: "{{ message }} {{ mesage }}"}')[0][:3] == ("undefined-variable", 5, 39)
    assert found(compile, "message: {template: '{{ message | uper }}'}")[0][0] == "template-syntax"
    assert found(compile, 'message: {template: "{{ message.content }}"}')[0][3] == (
        "message is a text, which has no 'content'"
    )


def test_only_the_template_of_what_the_user_says_sees_it(compile: Compile) -> None:
    text = 'messages:\n  - {role: user, template: "{{ message }}"}\n  - {role: assistant, text: a}\n' + WRAPPER
    assert [one[:2] for one in found(compile, text)] == [("undefined-variable", 6)]
    contributor = 'contributors: [{type: template, template: "{{ message }}"}]\n' + WRAPPER
    assert [one[:2] for one in found(compile, contributor)] == [("undefined-variable", 5)]


def test_templates_in_files_may_include_others(compile: Compile) -> None:
    text = "messages:\n  - {role: user, path: t/a.j2}\n  - {role: assistant, text: a}\nmessage: {path: t/w.j2}\n"
    files = {"t/a.j2": "{% include 'b.j2' %}", "t/b.j2": "{{ product }}", "t/w.j2": "{% include 'c.j2' %}"}
    assert found(compile, text, {**files, "t/c.j2": "{{ message }}"}) == []
    ((code, line, _, _),) = found(compile, text, {**files, "t/c.j2": "{{ product }}"})
    assert (code, line) == ("lost-message", 8)
    codes = [one[0] for one in found(compile, text, {"t/a.j2": "{% include '../x' %}", "t/w.j2": "{{ message }}"})]
    assert codes == ["missing-file"]


@pytest.mark.parametrize(
    "template", ["Hello", "{{ product }}", "{% if product %}x{% endif %}", "{# {{ message }} #}", "{{ 'message' }}"]
)
def test_a_template_without_the_message_loses_what_the_user_says(compile: Compile, template: str) -> None:
    ((code, line, _, message),) = found(compile, f'message: {{template: "{template}"}}')
    assert (code, line, message) == (
        "lost-message", 5, "this template never uses `message`, so the user's message is not sent",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("roles", "faults"),
    [
        ("ua", []),
        ("uaua", []),
        ("u", [(6, "ends with the user")]),
        ("a", [(6, "begins with the assistant")]),
        ("uaa", [(8, "messages of the assistant follow")]),
        ("uau", [(8, "ends with the user")]),
        ("auu", [(6, "begins with the assistant"), (8, "ends with the user"), (8, "messages of the user follow")]),
    ],
)
def test_examples_are_conversations_that_the_user_goes_on(
    compile: Compile, roles: str, faults: list[tuple[int, str]]
) -> None:
    names = {"u": "user", "a": "assistant"}
    items = "".join(f"  - {{role: {names[role]}, text: Hi.}}\n" for role in roles)
    diagnostics = compile(f"{HEAD}messages:\n{items}").diagnostics
    assert all((d.code, d.severity) == ("message-order", "warning") for d in diagnostics)
    assert len(diagnostics) == len(faults)
    for diagnostic, (line, words) in zip(diagnostics, faults, strict=True):
        assert diagnostic.span.line == line
        assert words in diagnostic.message


def test_nothing_else_may_be_called_message_beside_the_template(compile: Compile) -> None:
    assert found(compile, "inputs: {message: {}}\n" + WRAPPER)[0][:2] == ("bad-name", 5)
    assert found(compile, "tenants: {a: {with: {vars: {message: hi}}}}\nunknown_tenants: base\n" + WRAPPER)[0][:2] == (
        "bad-name",
        5,
    )
    assert found(compile, "inputs: {message: {}}\n" + EXAMPLES) == []


def test_an_input_called_like_a_section_is_no_var(compile: Compile) -> None:
    text = HEAD.replace("vars: {product: Acme}\n", "inputs: {models: {}, messages: {}}\n")
    assert [d.message for d in compile(text).diagnostics] == []


def test_an_empty_file_of_a_message_is_a_warning(compile: Compile) -> None:
    text = "messages:\n  - {role: user, path: a.j2}\n  - {role: assistant, text: a}\n"
    ((code, line, _, message),) = found(compile, text, {"a.j2": " \n"})
    assert (code, line, message) == ("empty-prompt", 6, "the file 'a.j2' is empty, so it adds nothing to the prompt")


LONG = "word " * 900
"""1,125 tokens."""


def test_messages_count_in_the_context_budget(compile: Compile) -> None:
    answer = "  - {role: assistant, text: a}\n"
    for text, files in (
        (f"messages:\n  - {{role: user, text: '{LONG}'}}\n{answer}", {}),
        (f"messages:\n  - {{role: user, template: '{LONG}{{{{ product }}}}'}}\n{answer}", {}),
        (f"messages:\n  - {{role: user, path: a.j2}}\n{answer}", {"a.j2": LONG}),
        (f"message: {{template: '{LONG}{{{{ message }}}}'}}\n", {}),
    ):
        (code, line, _, message), *_ = found(compile, text, files)
        assert code == "over-budget"
        assert line == (5 if text.startswith("message:") else 6)
        assert "(message" in message
    exact = compile(f"{HEAD}messages:\n  - {{role: user, text: {'x' * 3960}}}\n{answer}")  # 990 + 4, 1 + 4
    assert [d.code for d in exact.diagnostics] == []
    over = compile(f"{HEAD}messages:\n  - {{role: user, text: {'x' * 3961}}}\n{answer}")
    assert [d.message.split(" (")[0] for d in over.diagnostics] == ["1,000 tokens are reserved"]


def written(plan: Plan) -> dict[str, Origin]:
    """Who wrote each message."""
    found = {id: plan.origin(id) for id in plan.roles.messages}
    return found if plan.roles.message is None else {**found, "message": plan.origin(plan.roles.message)}


def test_a_plan_has_the_messages_and_who_wrote_each(program: Programme) -> None:
    text = (
        HEAD
        + EXAMPLES
        + WRAPPER
        + """\
tenants:
  acme:
    with:
      messages:
        - {role: user, text: Hi}
        - {role: assistant, text: Ho}
  plain: {with: {messages: null, message: null}}
variants:
  tone:
    arms:
      control: {}
      warm:
        with:
          message: {template: "Kindly: {{ message }}"}
"""
    )
    made = program(text)
    base = made.plan_for(None, {})
    assert base.roles.messages == ("messages/0", "messages/1")
    assert base.roles.message == "message/template"
    assert {name: (origin.source, origin.line) for name, origin in written(base).items()} == {
        "messages/0": ("spec", 6), "messages/1": ("spec", 7), "message": ("spec", 8),
    }  # fmt: skip
    warm = made.plan_for("acme", {"tone": "warm"})
    assert written(warm) == {
        "messages/0": Origin("tenant acme", "victor.yml", 13),
        "messages/1": Origin("tenant acme", "victor.yml", 14),
        "message": Origin("arm tone.warm", "victor.yml", 22),
    }
    plain = made.plan_for("plain", {})
    assert (plain.roles.messages, plain.roles.message, written(plain)) == ((), None, {})
    assert len({plan.digest for plan in (base, warm, plain)}) == 3


def test_a_section_that_is_null_has_no_messages(program: Programme) -> None:
    plan = program(HEAD + "messages: null\nmessage: null\n").plan_for(None, {})
    assert (plan.roles.messages, plan.roles.message, written(plan)) == ((), None, {})


def test_an_overlay_may_add_messages_that_keep_their_own_lines(program: Programme) -> None:
    overlay = "tenants:\n  acme:\n    with:\n      +messages: [{role: user, text: A}, {role: assistant, text: b}]\n"
    plan = program(HEAD + EXAMPLES + overlay).plan_for("acme", {})
    assert [(origin.source, origin.line) for origin in written(plan).values()] == [
        ("spec", 6), ("spec", 7), ("tenant acme", 11), ("tenant acme", 11),
    ]  # fmt: skip


def test_an_overlay_replaces_the_template_as_a_whole(compile: Compile) -> None:
    overlay = "tenants: {acme: {with: {message: {path: w.j2}}}}\nunknown_tenants: base\n"
    assert found(compile, WRAPPER + overlay, {"w.j2": "{{ message }}"}) == []
    base = compile("victor: 1\nextends: base.yml\nname: s\nmessage: {path: w.j2}\n", {"base.yml": HEAD + WRAPPER})
    assert base.diagnostics == ()


def test_arms_and_parents_that_wrap_differently_disagree(compile: Compile) -> None:
    arms = (
        "variants: {a: {arms: {x: {with: {message: {path: w.j2}}}}}, b: {arms: {y: {with: {message: "
        '{template: "{{ message }}!"}}}}}}\n'
    )
    codes = [one[0] for one in found(compile, arms, {"w.j2": "{{ message }}"})]
    assert codes == ["arms-disagree"]
    parents = {"a.yml": HEAD + WRAPPER, "b.yml": "victor: 1\nname: b\nmessage: {path: w.j2}\n", "w.j2": "{{ message }}"}
    siblings = compile("victor: 1\nname: s\nextends: [a.yml, b.yml]\n", parents)
    assert [d.code for d in siblings.diagnostics] == ["siblings-disagree"]


CHANGES = {
    "a role": (EXAMPLES.replace("assistant", "user"), {}),
    "a text": (EXAMPLES.replace("parcel", "order"), {}),
    "a template": (EXAMPLES.replace("delivers", "sends"), {}),
    "the order": ("messages:\n" + "\n".join(reversed(EXAMPLES.splitlines()[1:])) + "\n", {}),
    "the wrapper": (EXAMPLES + WRAPPER.replace("q>", "p>"), {}),
    "no wrapper": (EXAMPLES, {}),
    "a file": (EXAMPLES + "message: {path: w.j2}\n", {"w.j2": "<q>{{ message }}</q> "}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_digest_covers_messages(program: Programme, name: str) -> None:
    text, files = CHANGES[name]
    plan = program(HEAD + EXAMPLES + WRAPPER).plan_for(None, {})
    assert program(HEAD + text, files).plan_for(None, {}).digest != plan.digest
    assert program(HEAD + WRAPPER + EXAMPLES).plan_for(None, {}).digest == plan.digest


def test_the_digest_covers_the_contents_of_files_and_of_what_they_include(program: Programme) -> None:
    text = HEAD + "messages:\n  - {role: user, path: a.j2}\n  - {role: assistant, text: a}\nmessage: {path: w.j2}\n"
    files = {"a.j2": "{% include 'b.j2' %}", "b.j2": "one", "w.j2": "{{ message }}"}
    digest = program(text, files).plan_for(None, {}).digest
    assert digest != program(text, {**files, "b.j2": "two"}).plan_for(None, {}).digest
    assert digest != program(text, {**files, "w.j2": "{{ message }}."}).plan_for(None, {}).digest
    moved = text.replace("path: a.j2", "path: t/a.j2")
    assert (
        digest == program(moved, {**files, "t/a.j2": "{% include 'b.j2' %}", "t/b.j2": "one"}).plan_for(None, {}).digest
    )


def test_every_file_of_messages_is_watched(program: Programme) -> None:
    text = HEAD + "messages:\n  - {role: user, path: a.j2}\n  - {role: assistant, text: '${file:b.txt}'}\n"
    made = program(text + "message: {path: w.j2}\n", {"a.j2": "Hi", "b.txt": "Ho", "w.j2": "{{ message }}"})
    assert sorted(name.rsplit("/", 1)[-1] for name in made.texts) == ["a.j2", "b.txt", "w.j2"]


def test_a_text_is_never_a_template(program: Programme) -> None:
    text = HEAD + "messages:\n  - {role: user, text: '{{ nobody }} {% if'}\n  - {role: assistant, text: a}\n"
    config: Any = program(text).plan_for(None, {}).by_id["messages/0"].config
    assert config.text == "{{ nobody }} {% if"


def test_fixed_messages_behind_what_varies_are_behind_the_end_of_the_cache(compile: Compile) -> None:
    head = (
        HEAD.replace("1000", "90000")
        + 'contributors: [{type: template, template: "{% if user %}{{ user }}{% endif %}"}]\n'
    )
    messages = f"messages:\n  - {{role: user, text: '{LONG}'}}\n  - {{role: assistant, text: a}}\n"
    (fault,) = compile(head + messages).diagnostics
    assert (fault.code, fault.span.line) == ("volatile-before-stable", 5)
    assert "(`message`)" in (fault.hint or "")
    assert compile(head + messages.replace(LONG, "Hi")).diagnostics == ()


def test_the_schema_has_messages_also_in_overlays() -> None:
    found = schema()
    for place in (found["properties"], found["$defs"]["Overlay"]["properties"]):
        assert "ExampleMessage" in json.dumps(place["messages"])
        assert "MessageTemplate" in json.dumps(place["message"])
    assert found["$defs"]["ExampleMessage"]["required"] == ["role"]
