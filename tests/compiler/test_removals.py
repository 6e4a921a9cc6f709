"""A fault that an overlay makes stands in the overlay, names who wrote it, and shows the innocent line beside it."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile
from victor_dsl.compiler import Compilation

BASE = """\
victor: 1
name: base
models:
  main: {type: echo}
  spare: {type: echo}
embedders: {w: {type: tfidf}}
settings: {model: main, max_tokens: 9, limits: {requests_per_minute: 5}, tool_choice: find}
vars: {product: Acme, brand: {name: A, year: 1}}
inputs: {customer: {required: true}}
contributors:
  - {type: template, name: t, template: "{{ product }} {{ customer }} {{ settings.max_tokens }} {{ brand.name }}"}
  - {type: text, name: x, text: Hi.}
tools: [{type: http, name: find, url: "http://127.0.0.1/x", description: d}]
tool_selection: {type: semantic, embedder: w}
middleware: [{type: rate_limit, name: limiter}]
request: [fallbacks]
"""
FAULTS = [
    ("models: {main: null}", 34, "unknown-name", "models has no 'main'", 7),
    ("embedders: {w: null}", 37, "unknown-name", "embedders has no 'w'", 14),
    ("embedders: null", 25, "unknown-name", "embedders has no 'w'", 14),
    ("settings: {model: null}", 36, "no-model", "no model is chosen: there are main, spare", 3),
    (
        "settings: {max_tokens: null}",
        36,
        "undefined-variable",
        "a turn may have no settings.max_tokens: only a request",
        11,
    ),
    ("vars: {product: null}", 32, "undefined-variable", "null declares nothing: there is no 'product'", 11),
    ("vars: {brand: {name: null}}", 40, "undefined-variable", "brand has no 'name'", 11),
    ("inputs: {customer: null}", 34, "undefined-variable", "nothing declares 'customer'", 11),
    ("inputs: null", 25, "undefined-variable", "nothing declares 'customer'", 11),
    ("contributors: {x: {text: null}}", 44, "missing-key", "contributors.x (text) lacks 'text'", 12),
    ("tools: {find: {url: null}}", 40, "missing-key", "tools.find (http) lacks 'url'", 13),
    ("tool_selection: {embedder: null}", 42, "missing-key", "tool_selection (semantic) lacks 'embedder'", 14),
    ("middleware: {limiter: null}", 38, "unheld-limit", "requests_per_minute is set, but no middleware enforces it", 7),
    ("middleware: null", 25, "unheld-limit", "requests_per_minute is set, but no middleware enforces it", 7),
    ("tools: {find: null}", 33, "unknown-tool", "tool_choice names no tool of this spec: 'find'", 7),
]


def shown(compilation: Compilation) -> list[tuple[str, str, int, int, list[tuple[str, int]]]]:
    """The faults with the places that they relate to; what is unused is not in question."""
    return [
        (d.code, d.span.file, d.span.line, d.span.column, [(place.span.file, place.span.line) for place in d.related])
        for d in compilation.diagnostics
        if d.code != "unused-name"
    ]


@pytest.mark.parametrize(("overlay", "column", "code", "message", "innocent"), FAULTS)
def test_a_tenants_null_is_blamed(
    compile: Compile, overlay: str, column: int, code: str, message: str, innocent: int
) -> None:
    compilation = compile(f"{BASE}tenants: {{acme: {{with: {{{overlay}}}}}}}\nunknown_tenants: base\n")
    assert shown(compilation) == [(code, "victor.yml", 17, column, [("victor.yml", innocent)])]
    (fault,) = (d for d in compilation.diagnostics if d.code == code)
    assert fault.message.startswith(message)
    assert fault.message.endswith(" (tenant acme removes it)")
    assert fault.path[:3] == ("tenants", "acme", "with")


@pytest.mark.parametrize(
    ("overlay", "message", "innocent"),
    [
        (
            "contributors: {t: {path: t.j2}}",
            "contributors.t (template): give either 'path' or 'template', not both",
            [11],
        ),
        ("models: {main: {api: responses}}", "models.main (echo) has no 'api'", []),
    ],
)
def test_what_a_tenant_makes_of_an_item_is_a_fault_of_its_overlay(
    compile: Compile, overlay: str, message: str, innocent: list[int]
) -> None:
    compilation = compile(f"{BASE}tenants: {{acme: {{with: {{{overlay}}}}}}}\nunknown_tenants: base\n")
    (fault,) = compilation.errors
    assert fault.message == message + (" (tenant acme changes it)" if innocent else "")
    assert (fault.span.line, [place.span.line for place in fault.related]) == (17, innocent)


@pytest.mark.parametrize(
    ("overlay", "column", "code", "message", "innocent"), [fault for fault in FAULTS if fault[2] != "unheld-limit"]
)
def test_the_null_of_a_file_that_extends_another_is_blamed(
    compile: Compile, overlay: str, column: int, code: str, message: str, innocent: int
) -> None:
    compilation = compile(f"victor: 1\nname: top\nextends: base.yml\n{overlay}\n", {"base.yml": BASE})
    assert shown(compilation)[0] == (code, "victor.yml", 4, column - 24, [("base.yml", innocent)])
    (fault,) = (d for d in compilation.diagnostics if d.code == code)
    assert fault.message.startswith(message.replace("null declares nothing: there is no", "nothing declares"))
    assert fault.message.endswith(" (victor.yml removes it)")


def test_arms_are_named_and_the_highest_overlay_is_blamed(compile: Compile) -> None:
    compilation = compile(
        f"{BASE}tenants: {{acme: {{with: {{vars: {{product: null}}}}}}}}\nunknown_tenants: base\n"
        "variants: {tone: {arms: {warm: {with: {models: {main: null}, vars: {product: null}}}}}}\n"
    )
    assert [
        (d.span.line, d.message.rpartition("(")[2]) for d in compilation.diagnostics if d.code != "unused-name"
    ] == [
        (17, "tenant acme removes it)"),
        (19, "arm tone.warm removes it)"),
        (19, "arm tone.warm removes it)"),
    ]


def test_each_overlay_that_removes_is_blamed(compile: Compile) -> None:
    compilation = compile(
        f"{BASE}tenants:\n  one: {{with: {{models: {{main: null}}}}}}\n  two: {{with: {{models: {{main: null}}}}}}\nunknown_tenants: base\n"
    )
    assert [d.span.line for d in compilation.diagnostics if d.code == "unknown-name"] == [18, 19]


def test_what_is_given_again_is_no_fault(compile: Compile) -> None:
    text = f"{BASE}tenants: {{acme: {{with: {{models: {{main: null}}, settings: {{model: spare}}}}}}}}\nunknown_tenants: base\n"
    assert compile(text).errors == ()
    files = {"base.yml": BASE, "middle.yml": "victor: 1\nname: m\nextends: base.yml\nmodels: {main: null}\n"}
    assert compile("victor: 1\nname: t\nextends: middle.yml\nmodels: {main: {type: echo}}\n", files).errors == ()


@pytest.mark.parametrize("section", ["settings", "vars"])
@pytest.mark.parametrize("value", ["null", "[a]", "text"])
def test_an_overlay_cannot_remove_all_values_at_once(compile: Compile, section: str, value: str) -> None:
    compilation = compile(f"{BASE}tenants: {{acme: {{with: {{{section}: {value}}}}}}}\nunknown_tenants: base\n")
    assert [d[:3] for d in shown(compilation)] == [("wrong-type", "victor.yml", 17)]
