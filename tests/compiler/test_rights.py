"""Who may set what: locks, rights of tenants' rows, unknown tenants, and arms above tenants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compiler.conftest import Compile
from victor_dsl.compiler import Compilation
from victor_dsl.language.registry import Registry

SPEC = """\
victor: 1
name: support
models:
  main: {type: echo, settings: {top_p: 0.9}}
  spare: {type: echo}
settings: {model: main, fallbacks: [spare], limits: {tokens_per_minute: 900, tools: {deny: [rm]}}}
vars: {legal: Be lawful., brand: {year: 2020, name: Acme}, order: null}
tool_selection: {type: keyword, k: 3}
middleware:
  - {type: rate_limit, name: rates, requests_per_minute: 60}
"""
TENANT = "unknown_tenants: refuse\ntenants: {acme: {with: %s}}\n"
ARM = "variants: {tone: {arms: {plain: {}, warm: {with: %s}}}}\n"
INLINE = "providers: [{type: inline, values: %s}]\n"


@pytest.fixture
def compile(compile: Compile) -> Compile:
    """With the package's own components: the limits of `rate_limit` are settings."""

    def compiled(*arguments: Any) -> Compilation:
        return compile(*arguments, registry=Registry(entry_points=False))

    return compiled


@pytest.mark.parametrize("holder", [TENANT, ARM])
@pytest.mark.parametrize(
    ("lock", "overlay", "path"),
    [
        ("settings.model", "{settings: {model: spare}}", "settings.model"),
        ("settings.model", "{settings: {model: null}}", "settings.model"),
        ("settings.*", "{settings: {temperature: 1}}", "settings.temperature"),
        ("settings", "{settings: {temperature: 1}}", "settings.temperature"),
        ("'*'", "{settings: {temperature: 1}}", "settings.temperature"),
        ("'**'", "{vars: {legal: x}}", "vars.legal"),
        ("settings.*_p", "{models: {main: {settings: {top_p: 0.1}}}}", "settings.top_p"),
        ("settings.top_p", "{models: {main: {settings: null}}}", "settings"),
        ("settings.top_p", "{models: {own: {type: echo, settings: {top_p: 0.2}}}}", "settings.top_p"),
        ("settings.k", "{tool_selection: {k: 9}}", "settings.k"),
        ("settings.k", "{tool_selection: {k: null}}", "settings.k"),
        (
            "settings.limits",
            "{middleware: {rates: {requests_per_minute: null}}}",
            "settings.limits.requests_per_minute",
        ),
        ("settings.limits.*", "{middleware: [{type: rate_limit, concurrency: 2}]}", "settings.limits.concurrency"),
        ("settings.limits.tools.deny", "{settings: {limits: null}}", "settings.limits"),
        ("settings.limits.tools.deny", "{settings: {limits: {tools: null}}}", "settings.limits.tools"),
        ("settings.limits.tools.deny", "{settings: {limits: {tools: {deny: []}}}}", "settings.limits.tools.deny"),
        ("settings.stop", "{settings: {+stop: [x]}}", "settings.stop"),
        ("vars.legal", "{vars: {legal: null}}", "vars.legal"),
        ("vars.brand.year", "{vars: {brand: {year: 2021}}}", "vars.brand.year"),
        ("vars.brand.year", "{vars: {brand: null}}", "vars.brand"),
        ("vars.order.id", "{vars: {order: {id: 3}}}", "vars.order.id"),
        ("vars.*", "{vars: {extra: 1}}", "vars.extra"),
    ],
)
def test_what_is_locked_stays_as_the_spec_wrote_it(
    compile: Compile, holder: str, lock: str, overlay: str, path: str
) -> None:
    compilation = compile(f"{SPEC}locked: [{lock}]\n" + holder % overlay)
    who = "tenant acme" if holder is TENANT else "arm tone.warm"
    [fault] = [d for d in compilation.errors if d.code == "locked"]
    assert fault.message == f"{who} may not set {path}: it is locked"
    assert (fault.span.line, fault.related[0].span.line) == (13 if holder is TENANT else 12, 11)
    assert "with" in fault.path


@pytest.mark.parametrize(
    ("lock", "overlay"),
    [
        ("settings.limits.tools.deny", "{settings: {limits: {}}}"),
        ("settings.limits.tools.deny", "{settings: {limits: {requests_per_minute: 9}}}"),
        ("settings.model", "{settings: {fallbacks: [main]}}"),
        ("settings.max_*", "{settings: {temperature: 1}}"),
        ("vars.brand.year", "{vars: {brand: {name: Other}}}"),
        ("settings.k", "{tool_selection: {type: keyword}}"),
    ],
)
def test_what_no_lock_covers_may_be_set(compile: Compile, lock: str, overlay: str) -> None:
    assert "locked" not in {d.code for d in compile(f"{SPEC}locked: [{lock}]\n" + TENANT % overlay).diagnostics}


def test_values_of_inline_and_file_providers_that_are_locked_are_faults_at_their_lines(compile: Compile) -> None:
    providers = "providers:\n  - {type: inline, values: {settings: {k: 1}, vars: {legal: null}}}\n  - {type: file, path: v.yml}\n"
    text = f"{SPEC}locked: [settings.k, vars.legal, settings.limits.tools]\n{providers}"
    compilation = compile(text, {"v.yml": "vars: {order: 3}\nsettings:\n  limits: null\n"})
    assert [(d.code, d.span.file, d.span.line, d.message) for d in compilation.diagnostics] == [
        ("locked", "victor.yml", 13, "a provider may not set settings.k: it is locked"),
        ("locked", "victor.yml", 13, "a provider may not set vars.legal: it is locked"),
        ("locked", "v.yml", 3, "a provider may not set settings.limits: it is locked"),
    ]


def test_a_setting_cannot_be_locked_and_open_to_requests(compile: Compile) -> None:
    [fault] = compile(f"{SPEC}locked: [settings.mod*]\nrequest: [limits, model]\n").errors
    assert (fault.code, fault.message) == ("locked", "requests may not set settings.model: it is locked")
    assert (fault.span.line, fault.span.column, fault.related[0].span.line) == (12, 19, 11)


@pytest.mark.parametrize(
    ("lock", "hint"),
    [
        ("settings.modle", "did you mean 'settings.model'?"),
        ("model", "did you mean 'settings.model'?"),
        ("legal", "did you mean 'vars.legal'?"),
        ("vars.leagl", "did you mean 'vars.legal'?"),
        ("settings.limits.tools.dney", "did you mean 'settings.limits.tools.deny'?"),
        ("'settings.temp?'", "did you mean"),
        ("vars.", "did you mean"),
        ("settings.model.name", "did you mean 'settings.model'?"),
        ("''", "write paths such as"),
        ("'.'", "write paths such as"),
        ("settings..model", "did you mean 'settings.model'?"),
        ("'[*'", "write paths such as"),
    ],
)
def test_a_lock_that_matches_nothing_is_a_fault(compile: Compile, lock: str, hint: str) -> None:
    [fault] = compile(f"{SPEC}locked: [settings.model, {lock}]\n").diagnostics
    assert (fault.code, fault.span.line, fault.span.column) == ("unknown-name", 11, 26)
    assert hint in str(fault.hint)


@pytest.mark.parametrize(
    "lock", ["vars.*", "vars", "settings.response_format.type", "vars.order.id", "'settings.[mk]*'"]
)
def test_a_lock_may_name_what_is_open(compile: Compile, lock: str) -> None:
    assert compile(f"{SPEC}locked: [{lock}]\n").errors == ()


@pytest.mark.parametrize("written", ["settings.model", "{a: b}", "[3]", "[null]"])
def test_locked_is_a_list_of_texts(compile: Compile, written: str) -> None:
    assert [d.code for d in compile(f"{SPEC}locked: {written}\n").errors] == ["wrong-type"]


def test_a_spec_may_replace_what_it_extends_locks(compile: Compile) -> None:
    base = f"{SPEC}locked: [settings.model]\n"
    child = "victor: 1\nname: child\nextends: base.yml\n" + TENANT % "{settings: {model: spare}}"
    [fault] = compile(child, {"base.yml": base}).errors
    assert (fault.code, fault.related[0].span.file) == ("locked", "base.yml")
    assert compile(child + "locked: [settings.k]\n", {"base.yml": base}).errors == ()
    own = "victor: 1\nname: child\nextends: base.yml\nsettings: {model: spare, fallbacks: [main]}\n"
    assert compile(own, {"base.yml": base}).errors == (), "the child is the spec itself"


@pytest.mark.parametrize("key", ["locked: []", "unknown_tenants: base"])
def test_tenants_and_arms_may_not_change_rights(compile: Compile, key: str) -> None:
    for holder in (TENANT, ARM):
        assert [d.code for d in compile(SPEC + holder % f"{{{key}}}").errors] == ["untouchable"]


def test_many_odd_locks_and_tenants_are_checked(compile: Compile) -> None:
    odd = ", ".join(f"'settings.{'*a' * 300}{i}*'" for i in range(100))
    locks = ", ".join(f"vars.v{i}" for i in range(900))
    vars = ", ".join(f"v{i}: {i}" for i in range(900))
    tenants = "".join(f"  t{i}: {{with: {{vars: {{v{i}: 1, w: {'a' * 5000}}}}}}}\n" for i in range(250))
    text = f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\nvars: {{{vars}}}\nunknown_tenants: base\n"
    found = compile(f"{text}locked: [{locks}, {odd}]\ntenants:\n{tenants}").errors
    assert sum(d.code == "locked" for d in found) == 250
    assert sum(d.code == "unknown-name" for d in found) == 100


def test_more_than_a_thousand_locks_are_too_many(compile: Compile) -> None:
    [fault] = compile(f"{SPEC}locked: [{'settings.model, ' * 10_000}]\n").errors
    assert (fault.code, fault.message) == ("wrong-value", "locked must have at most 1000, not a list")


ROWS = SPEC + "databases: {app: {type: sqlite, path: app.db}}\nproviders: [{type: tenant, database: app, %s}]\n"


@pytest.mark.parametrize(
    ("rights", "code", "message"),
    [
        ("may_set: [settings.tmperature]", "unknown-name", "this spec has no setting and no var 'settings.tmperature'"),
        ("may_set: [vars.leagl]", "unknown-name", "this spec has no setting and no var 'vars.leagl'"),
        ("may_set: ['']", "unknown-name", "this spec has no setting and no var ''"),
        ("may_set: [3]", "wrong-type", "may_set[0] must be text"),
        (
            "at_most: {limits.requests_per_mnute: 6}",
            "unknown-name",
            "settings has no number 'limits.requests_per_mnute'",
        ),
        ("at_most: {vars.brand.year: 6}", "unknown-name", "settings has no number 'vars.brand.year'"),
        ("at_most: {limits: 6}", "unknown-name", "settings has no number 'limits'"),
        ("at_most: {model: 6}", "wrong-value", "settings.model is not a number"),
        ("at_most: {settings.stop: 6}", "wrong-value", "settings.stop is not a number"),
        (
            "at_most: {max_tokens: -5}",
            "wrong-value",
            "no row can comply with this maximum: settings.max_tokens must be at least 1",
        ),
        ("at_most: {max_tokens: 2.5}", "wrong-value", "settings.max_tokens must be a whole number"),
        ("at_most: {max_tokens: .inf}", "wrong-type", "must be a finite number"),
        ("at_most: {max_tokens: .nan}", "wrong-type", "must be a finite number"),
        ("at_most: {max_tokens: '5'}", "wrong-type", "must be a number"),
        ("at_most: {max_tokens: null}", "wrong-type", "must be a number"),
        ("at_most: 5", "wrong-type", "must be a map"),
    ],
)
def test_rights_that_make_no_sense_are_faults(compile: Compile, rights: str, code: str, message: str) -> None:
    [fault] = compile(ROWS % rights).errors
    assert (fault.code, fault.span.line) == (code, 12)
    assert message in fault.message


@pytest.mark.parametrize(
    ("lock", "rights", "faulty"),
    [
        ("settings.model", "settings.model", True),
        ("settings.limits", "settings.limits.concurrency", True),
        ("vars.*", "vars.*", True),
        ("vars.legal", "vars.*", False),
        ("settings.limits.tools", "settings.limits", False),
    ],
)
def test_rows_cannot_be_allowed_what_is_locked(compile: Compile, lock: str, rights: str, faulty: bool) -> None:
    found = compile(ROWS % f"may_set: [{rights}]" + f"locked: ['{lock}']\n").errors
    assert [(d.code, d.message, d.span.line) for d in found] == (
        [("locked", f"rows may not set {rights}: it is locked", 12)] if faulty else []
    )


@pytest.mark.parametrize(
    "rights",
    [
        "may_set: [settings.temperature, vars.*, settings.limits.*]",
        "may_set: []",
        "at_most: {limits.requests_per_minute: 60, settings.temperature: 0, max_tool_rounds: 3}",
        "at_most: {}, may_set: null",
    ],
)
def test_rights_are_globs_and_maxima_by_path(compile: Compile, rights: str) -> None:
    assert compile(ROWS % rights).errors == ()


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("tenants: {acme: {}}", True),
        ("tenants: {acme: {}}\nunknown_tenants: null", True),
        ("tenants: {acme: {}}\nunknown_tenants: base", False),
        ("tenants: {acme: {}}\nunknown_tenants: refuse", False),
        ("tenants: {}", False),
        ("tenants: null", False),
        ("settings: {seed: 1}", False),
    ],
)
def test_who_writes_tenants_says_what_happens_to_others(compile: Compile, text: str, warned: bool) -> None:
    found = compile(f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\n{text}\n").diagnostics
    assert [(d.code, d.severity, d.span.line) for d in found] == ([("unknown-tenants", "warning", 4)] if warned else [])


def test_unknown_tenants_is_one_of_two_words(compile: Compile) -> None:
    [fault] = compile(f"{SPEC}unknown_tenants: refus\n").errors
    assert (fault.code, "did you mean 'refuse'?" in str(fault.hint)) == ("wrong-value", True)


@pytest.mark.parametrize(
    ("tenant", "arm", "path"),
    [
        ("{settings: {seed: 1}}", "{settings: {seed: 2}}", "settings.seed"),
        ("{settings: {seed: 1}}", "{settings: {seed: null}}", "settings.seed"),
        ("{settings: {seed: null}}", "{settings: {seed: 1}}", "settings.seed"),
        ("{settings: {k: 5}}", "{tool_selection: {k: 7}}", "tool_selection.k"),
        ("{settings: {limits: {concurrency: 5}}}", "{settings: {limits: null}}", "settings.limits"),
        ("{settings: {limits: null}}", "{settings: {limits: {concurrency: 5}}}", "settings.limits.concurrency"),
        ("{vars: {brand: {name: A}}}", "{vars: {brand: {name: B}}}", "vars.brand.name"),
        ("{contributors: {a: {text: B}}}", "{contributors: {a: {text: C}}}", "contributors.a.text"),
        ("{contributors: {a: {text: B}}}", "{contributors: []}", "contributors"),
        ("{settings: {+stop: [x]}}", "{settings: {stop: [x]}}", "settings.stop"),
    ],
)
def test_an_arm_that_overrides_a_tenants_value_is_reported_with_both_lines(
    compile: Compile, tenant: str, arm: str, path: str
) -> None:
    text = SPEC + "contributors: [{type: text, name: a, text: A}]\n" + TENANT % tenant + ARM % arm
    [fault] = [d for d in compile(text).diagnostics if d.code == "arm-over-tenant"]
    assert fault.message == f"tone.warm sets {path}, as tenant acme does: the arm wins"
    assert (fault.severity, fault.span.line, [one.span.line for one in fault.related]) == ("warning", 14, [13])


@pytest.mark.parametrize(
    ("tenant", "arm"),
    [
        ("{settings: {seed: 1}}", "{settings: {seed: 1}}"),
        ("{settings: {seed: 1}}", "{settings: {temperature: 0.2}}"),
        ("{settings: {seed: 1}, variants: {tone: null}}", "{settings: {seed: 2}}"),
        ("{settings: {limits: {tools: {deny: [a]}}}}", "{settings: {limits: {tools: {deny: [b]}}}}"),
        ("{vars: {brand: {name: A}}}", "{vars: {brand: {year: 1}}}"),
        ("{settings: {stop: [x]}}", "{settings: {+stop: [y]}}"),
        ("{settings: {seed: 1}}", "{settings: {seed: 2}}, weight: 0"),
        ("{settings: {seed: 1}}", "{settings: {seed: 2}}}}, status: stopped"),
    ],
)
def test_an_arm_that_takes_nothing_from_a_tenant_is_not_reported(compile: Compile, tenant: str, arm: str) -> None:
    arms = "variants: {tone: {arms: {plain: {}, warm: {with: {settings: {seed: 2}}}}, status: stopped}}\n"
    text = SPEC + TENANT % tenant + (arms if "stopped" in arm else ARM % arm)
    assert "arm-over-tenant" not in {d.code for d in compile(text).diagnostics}


def test_arms_over_many_tenants_are_one_warning_each(compile: Compile) -> None:
    tenants = "".join(f"  t{i}: {{with: {{settings: {{seed: {i + 5}}}}}}}\n" for i in range(2_000))
    text = SPEC + ARM % "{settings: {seed: 1}}" + f"unknown_tenants: base\ntenants:\n{tenants}"
    [fault] = [d for d in compile(text).diagnostics if d.code == "arm-over-tenant"]
    assert fault.message == "tone.warm sets settings.seed, as 2,000 tenants do: the arm wins"
    assert len(fault.related) == 3


def test_arms_of_two_experiments_may_both_deny_tools(compile: Compile) -> None:
    deny = "{settings: {limits: {tools: {deny: [%s], allow: [%s]}}}}"
    text = (
        f"{SPEC}variants:\n  one: {{arms: {{a: {{}}, b: {{with: {deny % ('x', 'p*')}}}}}}}\n"
        f"  two: {{arms: {{c: {{}}, d: {{with: {deny % ('y', 'q*')}}}}}}}\n"
    )
    assert compile(text).errors == ()


@pytest.mark.parametrize("holder", [TENANT, ARM, INLINE])
def test_no_layer_adds_to_the_allowed_tools(compile: Compile, holder: str) -> None:
    [fault] = compile(SPEC + holder % "{settings: {limits: {tools: {+allow: [x], +deny: [y]}}}}").errors
    assert fault.code == "bad-addition"
    assert fault.message == "'+allow' cannot give a layer more tools: every layer that writes `allow` must allow them"
    assert fault.path[-1] == "+allow"
    base = SPEC.replace("tools: {deny: [rm]}", "tools: {allow: [rm]}")
    child = "victor: 1\nname: child\nextends: base.yml\nsettings: {limits: {tools: {+allow: [x]}}}\n"
    assert compile(child, {"base.yml": base}).errors == (), "a spec that extends another is one with it"
