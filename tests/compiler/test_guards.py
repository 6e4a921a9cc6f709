"""Required middleware: what tenants and arms may do beside it, and what they may not do to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from victor_dsl.compiler import Compilation, compile_spec

RATES = "{type: rate_limit, name: rates, requests_per_minute: 60}"
BASE = """\
victor: 1
name: support
models: {main: {type: echo}}
middleware:
  - logging
  - {type: rate_limit, name: rates, requests_per_minute: 60}
  - redact
  - {type: timeout, seconds: 30}
"""
TENANT = "tenants: {acme: {with: {OVERLAY}}}\nunknown_tenants: base\n"
ARM = "variants: {tone: {arms: {a: {}, b: {with: {OVERLAY}}}}}\n"


def compiled(folder: Path, text: str, **files: str) -> Compilation:
    for name, content in {"victor": text, **files}.items():
        (folder / f"{name}.yml").write_text(content, encoding="utf-8")
    return compile_spec(str(folder / "victor.yml"), environment={})


def faults(folder: Path, overlay: str, base: str = BASE, where: str = TENANT) -> list[tuple[str, str]]:
    """The code of each fault, and the text that it marks."""
    text = base + where.replace("OVERLAY", overlay)
    lines = text.splitlines()
    return [
        (d.code, lines[d.span.line - 1][d.span.column - 1 : d.span.end_column - 1])
        for d in compiled(folder, text).diagnostics
    ]


@pytest.mark.parametrize("where", [TENANT, ARM])
@pytest.mark.parametrize(
    ("overlay", "marked"),
    [
        ("middleware: null", ["middleware", "middleware"]),
        ("middleware: []", ["middleware", "middleware"]),
        ("middleware: {redact: null}", ["redact"]),
        (f"middleware: [logging, {RATES}]", ["middleware"]),
        ("middleware: {redact: logging}", ["redact"]),
        ("middleware: {redact: {type: logging}}", ["type"]),
        ("middleware: {redact: {around: model}}", ["around"]),
        ("middleware: {redact: {patterns: [email]}}", ["patterns"]),
        ("middleware: {redact: {patterns: []}}", ["patterns"]),
        ("middleware: {redact: {custom: {x: y}}}", ["custom"]),
        ("middleware: {rates: {per: session}}", ["per"]),
        ("middleware: {rates: {when_unavailable: allow}}", ["when_unavailable"]),
        ("middleware: [{type: rate_limit, name: rates, requests_per_minute: 60, per: key}, redact]", ["per"]),
        (f"middleware: [redact, {RATES}]", ["redact", "redact"]),
        (f"middleware: [{{type: timeout, name: first, seconds: 1}}, {RATES}, redact]", ["{type: timeout, name: first, seconds: 1}"] * 2),
        ("middleware: {logging: {type: timeout, seconds: 1}}", ["logging"] * 2),
        (f"middleware: [{{type: timeout, name: logging, seconds: 1}}, {RATES}, redact]", ["{type: timeout, name: logging, seconds: 1}"] * 2),
        (f"middleware: [{RATES}, logging, redact]", [RATES]),
        ("middleware: {redact: {required: false}}", ["required"]),
        ("middleware: {timeout: {required: true}}", ["required"]),
        ("+middleware: [{type: timeout, name: last, seconds: 1, required: true}]", ["required"]),
    ],
)  # fmt: skip
def test_an_overlay_cannot_remove_change_or_move_a_guard(
    overlay: str, marked: list[str], where: str, tmp_path: Path
) -> None:
    assert sorted(faults(tmp_path, overlay, where=where)) == sorted(("required-guard", text) for text in marked)


@pytest.mark.parametrize("where", [TENANT, ARM])
@pytest.mark.parametrize(
    "overlay",
    [
        "middleware: {logging: null, timeout: null}",
        "middleware: {logging: {level: debug}, timeout: {type: logging}}",
        "middleware: {rates: {requests_per_minute: 1000, concurrency: 9}}",
        "settings: {limits: {requests_per_minute: 1}}",
        "middleware: {more: {type: redact, patterns: [email]}}",
        "+middleware: [{type: timeout, name: last, seconds: 1}]",
        "middleware: [{type: rate_limit, name: rates, requests_per_minute: 5}, redact]",
        f"middleware: [logging, {RATES}, redact, {{type: timeout, seconds: 1}}]",
    ],
)
def test_amounts_other_items_and_items_after_the_guards_are_free(overlay: str, where: str, tmp_path: Path) -> None:
    assert faults(tmp_path, overlay, where=where) == []


@pytest.mark.parametrize("overlay", ["middleware: null", "middleware: {redact: {patterns: [email]}}"])
def test_a_spec_may_leave_a_guard_to_tenants(overlay: str, tmp_path: Path) -> None:
    base = BASE.replace("- redact", "- {type: redact, required: false}").replace("name: rates", "required: false")
    assert faults(tmp_path, overlay, base) in ([], [("unheld-limit", "requests_per_minute")])


def test_a_spec_may_require_any_middleware(tmp_path: Path) -> None:
    base = BASE.replace("seconds: 30", "seconds: 30, required: true")
    assert faults(tmp_path, "middleware: {timeout: {seconds: 60}}", base) == [("required-guard", "seconds")]
    assert faults(tmp_path, "middleware: {timeout: null}", base) == [("required-guard", "timeout")]


def test_one_of_two_guards_with_the_same_name_cannot_be_left_out(tmp_path: Path) -> None:
    base = BASE.replace("  - redact\n", "  - redact\n  - {type: redact, patterns: [card]}\n")
    assert faults(tmp_path, f"middleware: [{RATES}, redact]", base) == [("required-guard", "middleware")]
    assert faults(tmp_path, f"middleware: [{RATES}, redact, {{type: redact, patterns: [card]}}]", base) == []


def test_auth_is_required_whatever_the_spec_says(tmp_path: Path) -> None:
    base = BASE.replace("  - logging\n", "  - {type: auth, database: app, required: false}\n")
    base += "databases: {app: {type: sqlite, path: app.db}}\n"
    assert [d.code for d in compiled(tmp_path, base).diagnostics] == ["wrong-value"]
    assert faults(tmp_path, "middleware: {auth: null}", base.replace(", required: false", "")) == [
        ("untouchable", "auth")
    ]


def test_a_spec_that_extends_another_may_change_its_guards(tmp_path: Path) -> None:
    child = "victor: 1\nname: child\nextends: base.yml\nmiddleware: {redact: null, rates: {per: user}}\n"
    assert compiled(tmp_path, child, base=BASE).diagnostics == ()


def test_a_fault_of_a_tenant_is_not_that_of_its_arms(tmp_path: Path) -> None:
    text = BASE + TENANT.replace("OVERLAY", "middleware: {redact: null}")
    text += ARM.replace("OVERLAY", "middleware: {timeout: {seconds: 9}}")
    assert [(d.code, d.path) for d in compiled(tmp_path, text).diagnostics] == [
        ("required-guard", ("tenants", "acme", "with", "middleware", "redact"))
    ]


@pytest.mark.parametrize("section", ["redact", "7", "${env:X}", "[[redact]]", "[7]", "{redact: 7}", "{redact: [1]}"])
def test_a_section_of_the_wrong_form_is_a_fault_and_no_crash(section: str, tmp_path: Path) -> None:
    assert faults(tmp_path, f"middleware: {section!r}" if "$" in section else f"middleware: {section}")


def test_required_changes_no_digest(tmp_path: Path) -> None:
    digests = set()
    for written in ("- redact", "- {type: redact, required: false}", "- {type: redact, required: true}"):
        program = compiled(tmp_path, BASE.replace("- redact", written)).program
        assert program is not None
        digests.add(program.plan_for(None, {}).digest)
    assert len(digests) == 1
