"""What the compiler knows of models: pools, fallbacks, settings that a model refuses, and tools that it cannot take."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile, Programme
from victor_dsl.compiler import Compilation

KEY = 'api_key: "${env:KEY}"'
LOCAL = '{type: openai, model: qwen3, base_url: "http://127.0.0.1:11434/v1"}'
GPT = f"{{type: openai, model: gpt-6.1-sol, {KEY}}}"
CLAUDE = f"{{type: anthropic, model: claude-opus-4-6, {KEY}}}"


def spec(models: str, rest: str = "") -> str:
    return f"victor: 1\nname: s\nmodels:\n  {models}\n{rest}\n"


def found(compilation: Compilation) -> list[tuple[str, str, int]]:
    """The code, message and line of each diagnostic."""
    return [(fault.code, fault.message, fault.span.line) for fault in compilation.diagnostics]


def codes(compilation: Compilation) -> list[str]:
    return [fault.code for fault in compilation.diagnostics]


POOL = "main: {type: pool, members: [eu, us]}\n  eu: {type: echo}\n  us: {type: echo}"


def test_a_pools_members_are_used_and_it_is_the_model_where_none_is_named(program: Programme) -> None:
    made = program(spec(POOL)).plan_for(None, {})
    assert made.only_model() == "main"
    assert made.by_id["models/main"].needs == ("models/eu", "models/us")
    assert [node.id for node in made.with_needs(["models/main"])] == ["models/eu", "models/us", "models/main"]


def test_a_pool_that_nothing_uses_is_reported_and_its_members_are_not(compile: Compile) -> None:
    compiled = compile(spec(POOL + "\n  other: {type: echo}", "settings: {model: other}"))
    assert found(compiled) == [("unused-name", "nothing uses 'main' of models", 4)]


@pytest.mark.parametrize(
    ("models", "message", "hint"),
    [
        (
            "main: {type: pool, members: [eu, uss]}\n  eu: {type: echo}\n  us: {type: echo}",
            "models has no 'uss'",
            "'us'?",
        ),
        ("main: {type: pool, members: []}", "members must not be empty", ""),
        ("main: {type: pool}", "models.main (pool) lacks 'members'", ""),
        (POOL.replace("us]", "us], by: wait"), "by must be 'order', 'weight' or 'least_busy'", "'weight'"),
        (POOL.replace("us]", "eu]"), "models.main (pool): members has 'eu' twice", ""),
        (
            POOL.replace("us]", "us], by: weight, weights: {euu: 2}"),
            "weights: 'euu' is not one of the members; did you mean 'eu'? members: eu, us",
            "",
        ),
        (POOL.replace("us]", "us], by: weight, weights: {eu: 0}"), "weights.eu must be more than 0", ""),
        (POOL.replace("us]", "us], weights: {eu: 2}"), "weights have no effect with `by: order`", ""),
        (POOL.replace("us]", "us], limits: {eu: {rpm: 2}}"), "limits.eu has no 'rpm'", "requests_per_minute"),
        (POOL.replace("us]", "us], limits: {asia: {concurrency: 2}}"), "limits: 'asia' is not one of the members", ""),
        (
            POOL.replace("us]", "us], limits: {concurrency: 2}"),
            "limits: 'concurrency' is not one of the members; members: eu, us",
            "",
        ),
        (POOL.replace("us]", "us], circuit: {open_seconds: 0}"), "circuit.open_seconds must be more than 0", ""),
        (POOL.replace("us]", "us], input_usd_per_million: 2"), "a pool has no prices of its own", ""),
        (POOL.replace("us]", "us], cache_write_usd_per_million: 2"), "a pool has no prices of its own", ""),
        (POOL.replace("us]", "main]"), "'main' is the pool itself, so it cannot be a member of 'main'", ""),
        (
            POOL + "\n  outer: {type: pool, members: [main]}",
            "'main' is a pool, so it cannot be a member of 'outer'",
            "name models",
        ),
        (
            "a: {type: pool, members: [b]}\n  b: {type: pool, members: [a]}",
            "'b' is a pool, so it cannot be a member of 'a'",
            "",
        ),
    ],
)
def test_a_faulty_pool_is_reported(compile: Compile, models: str, message: str, hint: str) -> None:
    faults = [fault for fault in compile(spec(models)).errors if message in fault.message]
    assert faults, [fault.message for fault in compile(spec(models)).diagnostics]
    assert hint in (faults[0].hint or "")


def test_members_with_different_windows_are_reported_once(compile: Compile) -> None:
    models = POOL.replace("eu: {type: echo}", "eu: {type: echo, context_window: 9000}")
    assert codes(compile(spec(models))) == []  # the other one is not known
    models = models.replace("us: {type: echo}", "us: {type: echo, context_window: 8000}")
    message = "the members of 'main' have different context windows (eu 9,000, us 8,000), so the smallest holds for all"
    assert found(compile(spec(models))) == [("uneven-pool", message, 4)]


def test_every_member_of_a_pool_must_have_room_for_what_the_spec_promises(compile: Compile) -> None:
    models = POOL.replace("us: {type: echo}", "us: {type: echo, context_window: 100}")
    assert codes(compile(spec(models, "settings: {max_tokens: 100}"))) == ["over-budget"]


THREE = "main: {type: echo}\n  b: {type: echo}\n  c: {type: echo}"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{model: main, fallbacks: [b, c]}", []),
        ("{model: main, fallbacks: [b, main, c]}", ["'main' is the model itself"]),
        ("{model: main, fallbacks: [b, c, b, b]}", ["'b' is an earlier fallback"] * 2),
        (
            "{model: main, fallbacks: [main, b, b, main, c]}",
            ["'main' is the model itself", "'b' is an", "'main' is the"],
        ),
    ],
)
def test_a_fallback_that_failed_before_is_reported(compile: Compile, settings: str, expected: list[str]) -> None:
    faults = compile(spec(THREE, f"settings: {settings}")).diagnostics
    assert [fault.code for fault in faults] == ["repeated-fallback"] * len(expected)
    for fault, wanted in zip(faults, expected, strict=True):
        assert wanted in fault.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b, c", []),
        ("b, main", ["'main' is the model itself"]),
        ('["b", "c", "b"]', ["'b' is an earlier fallback"]),
        ("", []),
    ],
)
def test_fallbacks_of_a_variable_are_reported_at_it(compile: Compile, text: str, expected: list[str]) -> None:
    rest = 'settings: {model: main, fallbacks: "${env:F:-c}"}'
    found = compile(spec(THREE, rest), environment={"F": text}).diagnostics
    repeated = [fault for fault in found if fault.code == "repeated-fallback"]
    assert [fault.span.column for fault in repeated] == [36] * len(expected)
    for fault, wanted in zip(repeated, expected, strict=True):
        assert wanted in fault.message


def test_a_member_of_the_pool_is_no_fallback_for_it(compile: Compile) -> None:
    rest = "settings: {model: main, fallbacks: [eu, spare]}"
    (fault,) = compile(spec(POOL + "\n  spare: {type: echo}", rest)).diagnostics
    assert fault.message == "the fallback 'eu' is a member of 'main', so it has failed before"


def test_a_tenants_model_may_be_another_ones_fallback(compile: Compile) -> None:
    rest = "settings: {model: main, fallbacks: [b, c]}\ntenants: {acme: {with: {settings: {model: b}}}}\nunknown_tenants: base"
    (fault,) = compile(spec(THREE, rest)).diagnostics
    assert fault.message == "the fallback 'b' is the model itself for tenant acme, so it has failed before"


@pytest.mark.parametrize(
    ("models", "rest", "expected"),
    [
        (
            f"main: {GPT}",
            "settings: {stop: [x]}",
            [("setting-not-sent", "settings.stop is not sent to 'main': OpenAI's", 5)],
        ),
        (f"main: {LOCAL}", "settings: {stop: [x], temperature: 1.5}", []),
        (
            f"main: {LOCAL}\n  spare: {GPT}",
            "settings: {model: main, fallbacks: [spare], temperature: 0.2}",
            [
                (
                    "setting-not-sent",
                    "settings.temperature is not sent to 'spare': OpenAI's reasoning models refuse it",
                    6,
                )
            ],
        ),
        (
            f"main: {LOCAL}\n  spare: {CLAUDE}",
            "settings: {model: main, fallbacks: [spare], response_format: {type: json_object}}",
            [("setting-refused", "'spare' refuses settings.response_format: this API has no `json_object`; it has", 6)],
        ),
        (
            f"main: {{type: pool, members: [eu, us]}}\n  eu: {LOCAL}\n  us: {GPT}",
            "settings: {stop: [x]}",
            [
                ("setting-not-sent", "settings.stop is not sent to 'us': OpenAI's reasoning models refuse it", 7),
            ],
        ),
        (
            f"main: {CLAUDE}",
            "settings: {temperature: 0.5, top_p: 0.9}",
            [("setting-not-sent", "settings.top_p is not sent to 'main': the model refuses it together with", 5)],
        ),
        (
            f"main: {LOCAL}\n  spare: {CLAUDE}",
            "settings: {model: main, fallbacks: [spare], thinking: {budget_tokens: 2000}, max_tokens: 1500}",
            [
                (
                    "setting-not-sent",
                    "settings.thinking is not sent to 'main': this API has `reasoning_effort` for it",
                    6,
                ),
                (
                    "setting-refused",
                    "'spare' refuses settings.thinking: its budget of 2,000 must be less than max_tokens",
                    6,
                ),
            ],
        ),
        (
            f"main: {CLAUDE}",
            "settings: {thinking: {budget_tokens: 1000}}",
            [
                (
                    "setting-not-sent",
                    "settings.thinking is not sent to 'main' as it is written: its budget is sent as 1,024",
                    5,
                )
            ],
        ),
        (
            f"main: {LOCAL}",
            "tenants: {acme: {with: {models: {main: {model: gpt-6.1-sol, base_url: 'https://api.openai.com/v1', api_key: '${env:KEY}'}}, settings: {stop: [x]}}}}\nunknown_tenants: base",
            [("setting-not-sent", "settings.stop is not sent to 'main' for tenant acme: OpenAI's", 5)],
        ),
        (
            f"main: {LOCAL}\n  spare: {GPT}",
            "settings: {model: main, stop: [x]}\nvariants: {m: {arms: {a: {}, b: {with: {settings: {model: spare}}}}}}",
            [("setting-not-sent", "settings.stop is not sent to 'spare' for arm m.b: OpenAI's reasoning models", 6)],
        ),
        (
            f"main: {LOCAL}\n  spare: {GPT[:-1]}, settings: {{seed: 3, stop: [x]}}}}",
            "settings: {model: main, fallbacks: [spare]}",
            [("setting-not-sent", "settings.stop is not sent to 'spare': OpenAI's reasoning models refuse it", 5)],
        ),
        (
            f"main: {LOCAL}\n  spare: {GPT[:-1]}, settings: {{stop: null, temperature: null}}}}",
            "settings: {model: main, fallbacks: [spare], stop: [x], temperature: 0.1}",
            [],
        ),
        (
            f"main: {CLAUDE}",
            "settings: {max_tokens: 128001}",
            [("setting-refused", "'main' refuses settings.max_tokens: its answers have at most 128,000 tokens", 5)],
        ),
        (f"main: {CLAUDE}", "settings: {max_tokens: 128000}", []),
        (f"main: {CLAUDE[:-1]}, base_url: 'http://localhost:1'}}", "settings: {max_tokens: 128001}", []),
        (f"main: {GPT[:-1]}, sampling: true}}", "settings: {temperature: 0.2}", []),
    ],
)
def test_a_setting_that_a_model_is_not_sent_or_refuses_is_reported_at_its_place(
    compile: Compile, models: str, rest: str, expected: list[tuple[str, str, int]]
) -> None:
    faults = found(compile(spec(models, rest)))
    assert [(code, line) for code, _, line in faults] == [(code, line) for code, _, line in expected]
    for (_, message, _), (_, wanted, _) in zip(faults, expected, strict=True):
        assert message.startswith(wanted)


def test_the_hint_says_how_to_unset_a_setting_for_one_model(compile: Compile) -> None:
    rest = "settings: {model: main, fallbacks: [spare], stop: [x]}"
    (fault,) = compile(spec(f"main: {LOCAL}\n  spare: {GPT}", rest)).diagnostics
    assert "`models.spare.settings.stop: null`" in (fault.hint or "")
    (fault,) = compile(spec(f"main: {GPT}", "settings: {stop: [x]}")).diagnostics
    assert fault.hint == "leave it out, or use another model"


def schema(text: str) -> str:
    return f"response_format: {{type: json_schema, json_schema: {{name: a, schema: {text}}}}}"


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        (schema("{type: object, properties: {a: {type: integr}}}"), "JSON Schema has no type 'integr'", "'integer'?"),
        (schema("{type: objct}"), "JSON Schema has no type 'objct'", "'object'?"),
        (schema("{type: object, required: a}"), "its schema is not valid: required: 'a' is not of type 'array'", ""),
        (schema("{anyOf: [{type: strng}]}"), "JSON Schema has no type 'strng'", "'string'?"),
        ("response_format: {type: json_objct}", "there is no type 'json_objct'", "'json_object'?"),
        ("response_format: {strict: true}", "it has no `type`", "json_schema"),
        ("response_format: {type: json_schema}", "its `json_schema` has no `schema`", "name"),
        ("response_format: {type: json_schema, json_schema: {schema: {}}}", "its `json_schema` has no `name`", "add"),
        (schema("{type: object, properties: {a: {type: [string, 'null']}}}"), "", ""),
        ("response_format: {type: text}", "", ""),
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        "settings: {%s}",
        "tenants: {acme: {with: {settings: {%s}}}}\nunknown_tenants: base",
        "variants: {m: {arms: {a: {}, b: {with: {settings: {%s}}}}}}",
        "providers: [{type: inline, values: {settings: {%s}}}]",
    ],
)
def test_a_response_format_that_no_model_understands_is_reported(
    compile: Compile, place: str, written: str, message: str, hint: str
) -> None:
    faults = compile(spec("main: {type: echo}", place % written)).diagnostics
    assert [fault.code for fault in faults] == (["bad-response-format"] if message else [])
    for fault in faults:
        assert fault.message.startswith(f"response_format: {message}")
        assert hint in (fault.hint or "")
        assert fault.span.line == 5


def test_a_models_own_response_format_is_checked_too(compile: Compile) -> None:
    models = f"main: {{type: echo, settings: {{{schema('{type: objct}')}}}}}"
    assert codes(compile(spec(models))) == ["bad-response-format"]


TOOL = "{type: http, name: t%d, description: A tool., url: 'https://example.com/'%s}"


@pytest.mark.parametrize(
    ("window", "more", "expected"),
    [(7999, "", 1), (8000, "", 0), (2000, ", max_result_tokens: 2000", 0), (2000, ", max_result_tokens: 2001", 1)],
)
def test_results_longer_than_a_window_are_reported(compile: Compile, window: int, more: str, expected: int) -> None:
    models = f"main: {{type: echo, context_window: 90000}}\n  spare: {{type: echo, context_window: {window}}}"
    rest = f"settings: {{model: main, fallbacks: [spare]}}\ntools: [{TOOL % (1, more)}]"
    assert codes(compile(spec(models, rest))) == ["large-results"] * expected


@pytest.mark.parametrize(
    ("count", "selection", "models", "expected"),
    [
        (129, "tool_selection: all", f"main: {GPT}", ["a request may offer 129 tools, but 'main' accepts 128"]),
        (128, "tool_selection: all", f"main: {GPT}", []),
        (129, "", f"main: {GPT}", []),
        (129, "tool_selection: {type: keyword, k: 20}", f"main: {GPT}", []),
        (129, "tool_selection: {type: keyword, k: 200}", f"main: {GPT}", ["a request may offer 129 tools, but 'main'"]),
        (20, "tool_selection: {type: keyword, k: 200}", f"main: {GPT}", []),
        (129, "tool_selection: all", f"main: {CLAUDE}", []),
        (
            129,
            "tool_selection: all\nsettings: {model: main, fallbacks: [spare]}",
            f"main: {CLAUDE}\n  spare: {GPT}",
            ["a request may offer 129 tools, but 'spare' accepts 128"],
        ),
    ],
)
def test_more_tools_than_a_model_accepts_are_reported(
    compile: Compile, count: int, selection: str, models: str, expected: list[str]
) -> None:
    tools = "\n".join(f"  - {TOOL % (number, '')}" for number in range(count))
    faults = found(compile(spec(models, f"tools:\n{tools}\n{selection}")))
    assert [code for code, _, _ in faults] == ["too-many-tools"] * len(expected)
    for (_, message, _), wanted in zip(faults, expected, strict=True):
        assert message.startswith(wanted)


@pytest.mark.parametrize(
    ("choice", "tools", "hint"),
    [
        ("auto", "", None),
        ("look", "{type: http, name: look, description: Looks., url: 'https://shop.example/'}", None),
        (
            "loook",
            "{type: http, name: look, description: Looks., url: 'https://shop.example/'}",
            "did you mean 'look'?",
        ),
        ("any", "", "did you mean 'required'?"),
        ("files__read", "{type: mcp, name: files, command: [files]}", None),
    ],
)
def test_a_chosen_tool_must_be_there_where_all_are_known(
    compile: Compile, choice: str, tools: str, hint: str | None
) -> None:
    faults = compile(spec("main: {type: echo}", f"settings: {{tool_choice: {choice}}}\ntools: [{tools}]")).diagnostics
    assert [fault.code for fault in faults] == ([] if hint is None else ["unknown-tool"])
    for fault in faults:
        assert (fault.hint or "").startswith(hint or "-")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("prompt_cache: {ttl: 2h}", "prompt_cache.ttl must be '5m' or '1h', not the text '2h'"),
        ("prompt_cache: {tll: 1h}", "prompt_cache has no 'tll'"),
        ("prompt_cache: 1h", "prompt_cache must be true or false or a map, not the text '1h'"),
        (
            "reasoning_summary: auto",
            "models.main (openai): only the Responses API has `reasoning_summary`; write `api: responses`",
        ),
    ],
)
def test_a_faulty_field_of_a_hosted_model_is_one_fault(compile: Compile, field: str, message: str) -> None:
    (fault,) = compile(spec(f"main: {{type: openai, model: gpt-6.1-sol, {KEY}, {field}}}")).diagnostics
    assert fault.message == message


def test_a_budget_of_thinking_that_leaves_no_answer_gets_a_hint(compile: Compile) -> None:
    (fault,) = compile(
        spec(f"main: {CLAUDE}", "settings: {max_tokens: 500, thinking: {budget_tokens: 2000}}")
    ).diagnostics
    assert (fault.code, fault.hint) == (
        "setting-refused",
        "set max_tokens of this model well above 2,000, or leave `thinking` out",
    )


@pytest.mark.parametrize(
    ("base_url", "path", "right"),
    [
        ("https://a.b/v1/chat/completions", "/chat/completions", "https://a.b/v1"),
        ("https://a.b/v1/chat/completions/", "/chat/completions", "https://a.b/v1"),
        ("https://a.b/v1/completions", "/completions", "https://a.b/v1"),
        ("https://a.b/v1/responses", "/responses", "https://a.b/v1"),
        ("https://a.b/v1/messages/", "/messages", "https://a.b/v1"),
        ("https://a.b/v1/messages/count_tokens", "/messages/count_tokens", "https://a.b/v1"),
        ("https://a.b/v1/embeddings", "/embeddings", "https://a.b/v1"),
        ("https://a.b/v1/models", "/models", "https://a.b/v1"),
        ("http://127.0.0.1:11434/api/chat", "/api/chat", "http://127.0.0.1:11434/v1"),
    ],
)
@pytest.mark.parametrize(
    "type", ["models: {main: {type: openai", "models: {main: {type: anthropic", "embedders: {e: {type: openai"]
)
def test_a_base_url_ends_before_the_path_that_is_appended(
    compile: Compile, type: str, base_url: str, path: str, right: str
) -> None:
    text = f'victor: 1\nname: s\n{type}, model: m, api_key: "${{env:K}}", base_url: "{base_url}"}}}}\n'
    found = [(d.message, d.hint) for d in compile(text).errors if "base_url" in d.message]
    (message, hint) = found[0]
    assert message.endswith(f"base_url: must end before '{path}', which is appended to it")
    assert hint == f"write `base_url: {right}`"


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("api-version=2025-01", 'write `base_url: https://x/v1` and `query: {api-version: "2025-01"}`'),
        ("a=1&b=x%20y", 'write `base_url: https://x/v1` and `query: {a: "1", b: "x y"}`'),
        ("key=AIzaSecret", "write `base_url: https://x/v1`"),
        ("", "write `base_url: https://x/v1`"),
    ],
)
def test_the_query_of_an_address_is_shown_as_it_is_written_unless_it_has_a_key(
    compile: Compile, query: str, hint: str
) -> None:
    address = f"https://x/v1/chat/completions?{query}"
    text = f'victor: 1\nname: s\nmodels: {{main: {{type: openai, model: m, base_url: "{address}"}}}}\n'
    (fault,) = compile(text).errors
    assert fault.hint == hint
    assert "Secret" not in fault.message
