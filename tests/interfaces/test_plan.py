"""`victor plan`: changes in meaning, and what they do to recorded requests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from tests.interfaces.conftest import Victor, in_a_process

pytestmark = pytest.mark.usefixtures("warm_python")

OLD = """\
victor: 1
name: shop
models:
  main: {type: echo, context_window: 4000, input_usd_per_million: 2, output_usd_per_million: 8}
  spare: {type: echo, context_window: 4000, input_usd_per_million: 1, output_usd_per_million: 4}
settings: {model: main, temperature: 0.5}
vars: {product: Acme}
contributors:
  - {type: file, name: base, path: base.md, priority: 90}
  - {type: text, name: tone, text: Answer briefly.}
  - {type: template, name: who, template: "The customer is {{ session }}.", priority: 10}
tools:
  - {type: python, name: lookup, function: "tools:lookup"}
middleware:
  - {type: timeout, seconds: 60}
  - logging
variants:
  warmth:
    arms: {control: {weight: 1}, warm: {weight: 1, with: {contributors: {tone: {text: Answer warmly.}}}}}
tenants:
  acme: {with: {contributors: {tone: {text: Answer formally.}}}}
"""

TOOLS = '''\
def lookup(order: str) -> str:
    """Finds an order."""
    return order
'''


@pytest.fixture
def shop(folder: Path) -> Path:
    """A folder with a spec `old.yml`, and traffic of eight sessions."""
    (folder / "old.yml").write_text(OLD)
    (folder / "base.md").write_text("You work for a shop.\nBe kind.\n")
    (folder / "tools.py").write_text(TOOLS)
    lines = [{"id": i, "session": f"s{i % 8}", "message": f"Where is order {i}?"} for i in range(24)]
    lines[3]["tenant"] = "acme"
    (folder / "traffic.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def plan(shop: Path, victor: Victor) -> Callable[..., dict[str, Any]]:
    """The document of a plan from `old.yml` to a text."""

    def plan(new: str, *options: str) -> dict[str, Any]:
        (shop / "new.yml").write_text(new)
        done = victor("plan", "old.yml", "new.yml", "--format", "json", *options)
        assert done.code == 0, done.err
        document: dict[str, Any] = done.json
        return document

    return plan


Plan = Callable[..., dict[str, Any]]


def test_what_means_the_same_is_no_change(plan: Plan, shop: Path) -> None:
    (shop / "parent.yml").write_text(
        "victor: 1\nname: shop\nvars: {product: Acme}\nmiddleware:\n  - timeout\n  - {type: logging}\n"
    )
    new = OLD.replace("vars: {product: Acme}\n", "").replace(
        "name: shop\n", "extends: parent.yml\n# a comment\nname: shop\n"
    )
    new = new.replace("middleware:\n  - {type: timeout, seconds: 60}\n  - logging\n", "compaction: {type: salience}\n")
    new = new.replace("{model: main, temperature: 0.5}", "{temperature: 0.5, model: main}")
    found = plan(new)
    assert found["changes"] == []
    assert found["affected"] == {"base": False, "tenants": [], "arms": [], "restarts": []}


def test_each_change_has_its_path_values_and_place(plan: Plan) -> None:
    new = OLD.replace("Answer briefly.", "Answer at length.").replace("seconds: 60", "seconds: 30")
    new = new.replace("temperature: 0.5", "temperature: 0.5, max_tokens: 100").replace("vars: {product: Acme}\n", "")
    found = plan(new)["changes"]
    assert [(one["path"], one["kind"], one["old"], one["new"]) for one in found] == [
        ("/contributors/tone/text", "changed", "Answer briefly.", "Answer at length."),
        ("/middleware/timeout/seconds", "changed", 60, 30),
        ("/settings/max_tokens", "added", None, 100),
        ("/vars", "removed", {"product": "Acme"}, None),
    ]
    assert [(one["file"], one["line"]) for one in found] == [
        ("new.yml", 9),
        ("new.yml", 14),
        ("new.yml", 6),
        ("old.yml", 7),
    ]


def test_the_text_shows_the_first_200_changes_and_counts_the_others(plan: Plan, victor: Victor) -> None:
    names = ", ".join(f"v{number}: 1" for number in range(250))
    assert len(plan(OLD.replace("{product: Acme}", f"{{product: Acme, {names}}}"))["changes"]) == 250
    shown = victor("plan", "old.yml", "new.yml").out
    assert shown.count("+ vars.v") == 200
    assert "… and 50 further changes" in shown


def test_a_new_item_is_one_change_and_an_old_one_too(plan: Plan) -> None:
    new = OLD.replace("  - logging\n", "  - logging\n  - {type: retry, attempts: 5}\n")
    new = new.replace('  - {type: template, name: who, template: "The customer is {{ session }}.", priority: 10}\n', "")
    found = plan(new)["changes"]
    assert [(one["path"], one["kind"]) for one in found] == [
        ("/contributors/who", "removed"),
        ("/middleware/retry", "added"),
    ]
    assert found[1]["new"] == {"type": "retry", "attempts": 5}


def test_a_tool_that_goes_is_shown_as_it_was_written(plan: Plan) -> None:
    [change] = plan(
        OLD.replace("tools:\n", "").replace('  - {type: python, name: lookup, function: "tools:lookup"}\n', "")
    )["changes"]
    assert (change["path"], change["old"]) == ("/tools/lookup", {"type": "python", "function": "tools:lookup"})


def test_the_order_of_middleware_counts_and_that_of_models_does_not(plan: Plan) -> None:
    lines = OLD.splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    lines[14], lines[15] = lines[15], lines[14]
    found = plan("".join(lines))["changes"]
    assert [(one["path"], one["old"], one["new"]) for one in found] == [
        ("/middleware", ["timeout", "logging"], ["logging", "timeout"])
    ]


def test_tenants_and_arms_are_affected_where_their_plan_differs(plan: Plan) -> None:
    found = plan(OLD.replace("Answer formally.", "Answer in French."))
    assert [one["path"] for one in found["changes"]] == ["/tenants/acme/with/contributors/tone/text"]
    assert found["affected"] == {"base": False, "tenants": ["acme"], "arms": [], "restarts": ["contributors/tone"]}
    found = plan(OLD.replace("Answer warmly.", "Answer heartily."))
    assert found["affected"]["arms"] == ["warmth.warm"]
    found = plan(OLD.replace("Answer briefly.", "Answer at length."))
    assert found["affected"]["base"]
    assert found["affected"]["tenants"] == []


def test_secrets_are_shown_as_references(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "sk-very-secret-text")
    found = plan(
        OLD.replace("  spare:", "  other: {type: openai, model: gpt-4o, api_key: '${env:SHOP_KEY}'}\n  spare:")
    )
    added = next(one for one in found["changes"] if one["path"] == "/models/other")
    assert added["new"] == {"type": "openai", "model": "gpt-4o", "api_key": "${env:SHOP_KEY}"}
    assert "very-secret" not in json.dumps(found)


def test_secrets_that_stand_in_a_spec_are_masked(plan: Plan, victor: Victor, shop: Path) -> None:
    key = "sk-live-0123456789abcdefghij"
    secrets = f"  third: {{type: openai, model: m, api_key: plain-and-short, headers: {{X-Token: {key}}}}}\n"
    old = OLD.replace("  spare:", secrets + "  spare:").replace("product: Acme", f"product: {key}")
    old = old.replace("{contributors: {tone", "{models: {third: {api_key: of-a-tenant}}, contributors: {tone")
    (shop / "old.yml").write_text(old)
    (shop / "new.yml").write_text(
        old.replace("plain-and", "still-plain-and").replace("key: of-a", "key: of-the").replace(key, f"{key}k")
    )
    for format_ in ("text", "json", "markdown", "html"):
        done = victor("plan", "old.yml", "new.yml", "--format", format_)
        assert done.code == 1
        assert not any(text in done.out + done.err for text in (key, "plain-and-short", "of-a-tenant", "of-the-tenant"))
    done = victor("plan", "old.yml", "new.yml", "--format", "json")
    assert [one["path"] for one in done.json["changes"]] == [
        "/models/third/api_key",
        "/models/third/headers/X-Token",
        "/vars/product",
        "/variants/warmth/arms/warm/with/models/third/api_key",
        "/tenants/acme/with/models/third/api_key",
    ]


def test_a_setting_on_its_component_means_what_it_means_under_settings(plan: Plan, shop: Path) -> None:
    old = OLD + "compaction: {type: salience, threshold: 0.7}\n"
    (shop / "old.yml").write_text(old.replace("  - logging\n", "  - {type: rate_limit, requests_per_minute: 7}\n"))
    new = OLD.replace("temperature: 0.5", "temperature: 0.5, threshold: 0.7, limits: {requests_per_minute: 7}")
    assert plan(new.replace("  - logging\n", "  - rate_limit\n"))["changes"] == []
    (change,) = plan(new.replace("  - logging\n", "  - rate_limit\n").replace("minute: 7", "minute: 8"))["changes"]
    assert (change["path"], change["old"], change["new"]) == ("/settings/limits/requests_per_minute", 7, 8)


def test_the_text_of_a_prompt_file_and_of_a_tool_is_part_of_the_meaning(victor: Victor, repository: Path) -> None:
    (repository / "base.md").write_text("You work for a shop.\nBe very kind.\n")
    (repository / "tools.py").write_text(TOOLS.replace("Finds", "Looks up"))
    found = victor("plan", "HEAD:old.yml", "--format", "json").json["changes"]
    assert [one["path"] for one in found] == ["/contributors/base/path", "/tools/lookup/function/source"]
    assert found[0]["new"] == "You work for a shop.\nBe very kind.\n"
    text = victor("plan", "HEAD:old.yml").out
    assert "    - Be kind.\n    + Be very kind.\n" in text


@pytest.fixture
def repository(shop: Path) -> Path:
    """The folder as a git repository with one commit."""
    git(shop, "init", "-q", "-b", "main")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "first")
    return shop


def git(folder: Path, *arguments: str) -> None:
    """Runs git as somebody."""
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_spec_of_a_ref_has_its_own_files_and_its_own_python(victor: Victor, repository: Path) -> None:
    (repository / "tools.py").write_text(TOOLS.replace("lookup(order: str)", "lookup(order: str, year: int = 0)"))
    done = victor("plan", "main:old.yml", "old.yml", "--traffic", "traffic.jsonl", "--format", "json")
    assert done.json["traffic"]["tools"]["changed"] == {"lookup": 24}
    assert done.json["traffic"]["tokens"]["new"]["total"] > done.json["traffic"]["tokens"]["old"]["total"]
    assert not list(repository.glob("victor-plan-*"))


def test_a_ref_from_a_folder_below_the_top(victor: Victor, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "below").mkdir()
    (repository / "below" / "spec.yml").write_text(
        OLD.replace("path: base.md", "path: ../base.md").replace("tools:lookup", "shop:lookup")
    )
    (repository / "below" / "shop.py").write_text(TOOLS)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "second")
    monkeypatch.chdir(repository / "below")
    for name in ("HEAD:below/spec.yml", "HEAD:./spec.yml", "HEAD:spec.yml"):
        done = victor("plan", name, "spec.yml", "--format", "json", "--traffic", "../traffic.jsonl")
        assert (done.json["changes"], done.json["traffic"]["changed"]) == ([], 0)
        assert done.json["affected"]["restarts"] == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mian:old.yml", "git has no commit 'mian' (did you mean 'main'?)"),
        ("main:odl.yml", "'main' has no file 'odl.yml' (did you mean 'main:old.yml'?)"),
        ("main:../old.yml", "'../old.yml' lies outside the repository"),
        ("-x:old.yml", "git has no commit '-x'"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_a_ref_that_cannot_be_read_exits_3(victor: Victor, spec: str, message: str) -> None:
    done = victor("plan", "--", spec, "old.yml")
    assert done.code == 3
    assert message in done.err


def test_a_shallow_clone_is_named(
    victor: Victor, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "old.yml").write_text(OLD.replace("Acme", "Apex"))
    git(repository, "commit", "-qam", "second")
    git(repository, "clone", "-q", "--depth", "1", f"file://{repository}", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    done = victor("plan", "HEAD~1:old.yml", "old.yml")
    assert done.code == 3
    assert "this clone is shallow: get the ref with `git fetch --depth 1 origin HEAD~1`" in done.err


def test_no_repository_exits_3(victor: Victor, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(shop.parent))
    done = victor("plan", "main:old.yml", "old.yml")
    assert (done.code, "not in a git repository" in done.err) == (3, True)


def test_links_of_a_ref_that_leave_the_tree_are_not_followed(victor: Victor, repository: Path) -> None:
    outside = repository.parent / "outside.md"
    outside.write_text("secret of this machine")
    (repository / "base.md").unlink()
    (repository / "base.md").symlink_to(outside)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "link")
    done = victor("plan", "HEAD:old.yml", "old.yml", "--format", "json")
    [fault] = [one for one in done.json["diagnostics"]["old"] if one["severity"] == "error"]
    assert (fault["code"], fault["file"]) == ("missing-file", "HEAD:old.yml")


def test_figures_are_those_of_two_separate_renders(victor: Victor, shop: Path) -> None:
    new = OLD.replace("Answer briefly.", "Answer at length with examples.").replace(
        "control: {weight: 1}", "control: {weight: 3}"
    )
    (shop / "new.yml").write_text(new)
    rendered = {}
    for name in ("old", "new"):
        assert victor("render", f"{name}.yml", "--input", "traffic.jsonl", "--output", f"{name}.jsonl").code == 0
        rendered[name] = [json.loads(line) for line in (shop / f"{name}.jsonl").read_text().splitlines()]
    traffic = victor("plan", "old.yml", "new.yml", "--traffic", "traffic.jsonl", "--format", "json").json["traffic"]
    pairs = list(zip(rendered["old"], rendered["new"], strict=True))
    sent = ("system", "messages", "sent_tools", "settings")
    assert traffic["requests"] == len(pairs)
    assert traffic["changed"] == sum(any(a[key] != b[key] for key in sent) for a, b in pairs)
    for name, lines in rendered.items():
        totals = [line["tokens"]["total"] for line in lines]
        assert traffic["tokens"][name]["total"] == sum(totals)
        assert traffic["tokens"][name]["p50"] in totals
        assert traffic["cache"][name] == pytest.approx(
            sum(line["cache"]["stable_tokens"] for line in lines) / sum(totals)
        )
        assert traffic["cost_usd"][name] == pytest.approx(sum(totals) * 2 / 1_000_000)
    moved = {a["session"] for a, b in pairs if a["variants"] != b["variants"]}
    assert traffic["arms_moved"] == ({"warmth": len(moved)} if moved else {})


def test_one_change_of_the_system_prompt_is_shown_once(plan: Plan) -> None:
    new = OLD.replace("The customer is {{ session }}.", "Our customer is {{ session }}.")
    traffic = plan(new, "--traffic", "traffic.jsonl")["traffic"]
    [diff] = traffic["system_diffs"]
    assert (diff["requests"], diff["example"]) == (24, 0)
    assert diff["diff"].splitlines()[-2:] == ["- The customer is s0.", "+ Our customer is s0."]


def test_a_piece_that_moves_or_comes_with_names_in_it_is_one_change(plan: Plan) -> None:
    for old, new in (
        ("priority: 10}", "priority: 99}"),
        ("The customer is {{ session }}.", "{{ session }} asks, of {{ session }}."),
    ):
        traffic = plan(OLD.replace(old, new), "--traffic", "traffic.jsonl")["traffic"]
        assert [one["requests"] for one in traffic["system_diffs"]] == [24]


def test_tools_gained_and_lost_are_counted(plan: Plan, shop: Path) -> None:
    (shop / "tools.py").write_text(
        TOOLS + '\n\ndef refund(order: str) -> str:\n    """Pays back."""\n    return order\n'
    )
    new = OLD.replace('name: lookup, function: "tools:lookup"', 'name: refund, function: "tools:refund"')
    traffic = plan(new, "--traffic", "traffic.jsonl")["traffic"]
    assert (traffic["tools"]["gained"], traffic["tools"]["lost"]) == ({"refund": 24}, {"lookup": 24})


def test_bad_lines_and_foreign_tenants_are_errors_of_both_sides(plan: Plan, shop: Path) -> None:
    with (shop / "traffic.jsonl").open("a") as file:
        file.write('{"broken\n{"id": 0, "message": "again"}\n{"message": "hi", "tenant": "nobody"}\n')
    traffic = plan(OLD + "unknown_tenants: refuse\n", "--traffic", "traffic.jsonl")["traffic"]
    assert (traffic["requests"], traffic["errors"]["old"], traffic["errors"]["new"]) == (27, 2, 3)
    assert {code: one["line"] for code, one in traffic["errors"]["all"].items()} == {
        "bad-line": 25,
        "repeated-id": 26,
        "refused": 27,
    }
    assert list(traffic["errors"]["gained"]) == ["refused"]


def test_timestamps_make_costs_of_a_month_and_recorded_output_is_counted(plan: Plan, shop: Path) -> None:
    lines = [
        {"message": "hi", "timestamp": "2026-01-01T00:00:00.000000Z", "recorded": {"usage": {"output_tokens": 1000}}},
        {"message": "hi", "timestamp": "2026-01-11T00:00:00.000000Z"},
    ]
    (shop / "traffic.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cost = plan(OLD, "--traffic", "traffic.jsonl")["traffic"]["cost_usd"]
    assert cost["old"] > 1000 * 8 / 1_000_000
    assert cost["monthly"]["old"] == pytest.approx(cost["old"] * 3.04375)


@pytest.mark.parametrize(
    ("condition", "change", "code"),
    [
        ("cost>4%", ("Answer briefly.", "Answer briefly and then explain at length how you found it."), 1),
        ("cost>500%", ("Answer briefly.", "Answer briefly and then explain."), 0),
        ("tokens>10", ("Answer briefly.", "Answer briefly and then explain."), 1),
        ("errors", ("tenants:\n", "unknown_tenants: refuse\ntenants:\n"), 0),
        ("errors", ("max_tokens", "max_tokens"), 0),
        ("arms-moved", ("warm: {weight: 1", "warm: {weight: 1000"), 1),
        ("arms-moved", ("warm: {weight: 1", "warm: {weight: 1.0"), 0),
        ("cache>1%", ("The customer is {{ session }}.", "{{ session }}: {{ session | length }}"), 0),
    ],
)
def test_fail_on_exits_1_where_it_holds(
    victor: Victor, shop: Path, condition: str, change: tuple[str, str], code: int
) -> None:
    (shop / "new.yml").write_text(OLD.replace(*change))
    done = victor("plan", "old.yml", "new.yml", "--traffic", "traffic.jsonl", "--fail-on", condition)
    assert (done.code, f"--fail-on {condition}" in done.err) == (code, bool(code)), done.out + done.err


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("cots>5%", "did you mean 'cost'?"),
        ("cost>=5%", "write `cost`, `cost>5%` or `cost>5`"),
        ("errors>5%", "errors is a number of them"),
        ("latency", "measures"),
        ("", "measures"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_wrong_condition_is_a_usage_error(victor: Victor, condition: str, message: str) -> None:
    done = victor("plan", "old.yml", "old.yml", "--traffic", "traffic.jsonl", "--fail-on", condition)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_new_spec_with_faults_exits_1_and_what_can_be_compared_is(victor: Victor, shop: Path) -> None:
    (shop / "new.yml").write_text(OLD.replace("- logging", "- loging").replace("0.5", "0.6"))
    done = victor("plan", "old.yml", "new.yml", "--format", "json", "--traffic", "traffic.jsonl")
    assert done.code == 1
    assert done.err.startswith("new.yml:16:")
    assert "/settings/temperature" in [one["path"] for one in done.json["changes"]]
    assert done.json["traffic"] is None


def test_a_side_that_cannot_be_read_is_not_the_same(victor: Victor, shop: Path) -> None:
    done = victor("plan", "missing.yml", "old.yml")
    assert (done.code, "mean the same" in done.out) == (0, False)
    assert "The old spec has faults: what could not be read is not compared." in done.out
    done = victor("plan", "missing.yml", "missing.yml", "--format", "markdown")
    assert done.code == 1
    assert "No changes are known. Both specs have faults" in done.out


def test_conditions_without_requests_are_named(victor: Victor, shop: Path) -> None:
    (shop / "empty.jsonl").write_text("\n")
    done = victor("plan", "old.yml", "old.yml", "--traffic", "empty.jsonl", "--fail-on", "errors")
    assert done.code == 0
    assert "--traffic empty.jsonl: there are no requests" in done.err


def test_markdown_stays_in_its_code_blocks(victor: Victor, shop: Path) -> None:
    hostile = "@everyone ````\\n</details>\\n```\\n# Approved |\\n[x](javascript:1) <img src=x>"
    (shop / "new.yml").write_text(OLD.replace("text: Answer briefly.", f'text: "{hostile}"'))
    shown = victor("plan", "old.yml", "new.yml", "--format", "markdown", "--traffic", "traffic.jsonl").out
    fence, outside = "", []
    for line in shown.splitlines():
        if not fence and line.startswith("```"):
            fence = line[: len(line) - len(line.lstrip("`"))]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert not fence
    assert not any(word in line for line in outside for word in ("@everyone", "# Approved", "<img"))


def test_html_is_one_file_without_scripts(victor: Victor, shop: Path) -> None:
    (shop / "new.yml").write_text(OLD.replace("Answer briefly.", "<script>alert(1)</script>"))
    shown = victor("plan", "old.yml", "new.yml", "--format", "html", "--traffic", "traffic.jsonl").out
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script" not in shown
    assert "http" not in shown.replace("http-equiv", "")


def test_one_message_is_shown_whole(victor: Victor, shop: Path) -> None:
    (shop / "new.yml").write_text(OLD.replace("The customer", "Our customer"))
    done = victor("plan", "old.yml", "new.yml", "--message", "Where is order 7?", "--tenant", "acme", "--session", "s9")
    rows = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "- The customer is s9. │ + Our customer is s9." in rows
    assert "Be kind. │ Be kind." in rows
    assert "user: Where is order 7?" in rows
    document = victor("plan", "old.yml", "new.yml", "--message", "Hi", "--tenant", "acme", "--format", "json").json
    rendered = victor("render", "new.yml", "--message", "Hi", "--tenant", "acme").json
    compared = document["rendered"]["new"]
    assert {key: compared[key] for key in ("system", "messages", "tokens", "settings", "plan", "sent_tools")} == {
        key: rendered[key] for key in ("system", "messages", "tokens", "settings", "plan", "sent_tools")
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--traffic", "traffic.jsonl", "--message", "hi"], "either --traffic, or --message"),
        (["--tenant", "acme"], "require --message"),
        (["--fail-on", "cost"], "--fail-on requires --traffic"),
        (["--traffic", "absent.jsonl"], "--traffic absent.jsonl: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_options_that_do_not_fit_together_are_usage_errors(victor: Victor, options: list[str], message: str) -> None:
    done = victor("plan", "old.yml", "old.yml", *options)
    assert (done.code, message in done.err) == (2, True), done.err


HOSTILE = OLD.replace(
    "middleware:\n",
    """  - {type: mcp, name: clock, command: [touch, ran-a-program]}
  - {type: python, name: odd, function: "tools:odd"}
middleware:
  - {type: function, name: shape, function: "tools:shape"}
""",
)

HOSTILE_TOOLS = """
from pathlib import Path
Path("ran-a-module").write_text("it did")


def lookup(order: str, limit: int = 3) -> str:
    \'\'\'Finds an order.

    Args:
        order: The number of the order.
    \'\'\'
    return order


def odd(order: str = open("ran-a-default", "w").name) -> str:
    return order


def shape(turn, handler):
    return handler(turn)
"""


def test_nothing_of_an_untrusted_spec_runs(victor: Victor, shop: Path) -> None:
    (shop / "tools.py").write_text(HOSTILE_TOOLS)
    (shop / "new.yml").write_text(HOSTILE)
    tool = {"description": "The time.", "parameters": {"type": "object"}}
    server = {"server": "clock", "instructions": "", "tools": {"clock__now": tool}}
    lock = {"version": 1, "spec": "shop", "models": {}, "servers": {"tools/clock": server}}
    options = ("--traffic", "traffic.jsonl", "--untrusted", "--format", "json")
    done = victor("plan", "old.yml", "new.yml", *options)
    assert done.code == 0, done.err
    assert [one.split(":")[0] for one in done.json["unknown"]] == ["middleware/shape", "tools/clock", "tools/odd"]
    assert done.json["traffic"]["tools"] == {"gained": {}, "lost": {}, "changed": {}}
    assert done.json["traffic"]["errors"]["new"] == 0
    (shop / "victor.lock").write_text(json.dumps(lock))
    done = victor("plan", "old.yml", "new.yml", *options)
    assert done.json["traffic"]["tools"]["gained"] == {"clock__now": 24}
    assert not list(shop.glob("**/ran-*"))


def test_the_tools_of_an_untrusted_spec_are_those_that_would_run(victor: Victor, shop: Path) -> None:
    (shop / "tools.py").write_text(
        HOSTILE_TOOLS.replace('Path("ran-a-module")', "Path('ran-' + 'here')").split("def odd")[0]
    )
    trusted = victor("plan", "old.yml", "old.yml", "--message", "hi", "--format", "json").json
    untrusted = victor("plan", "old.yml", "old.yml", "--message", "hi", "--format", "json", "--untrusted").json
    assert untrusted["unknown"] == []
    assert untrusted["rendered"]["new"]["tokens"] == trusted["rendered"]["new"]["tokens"]
    assert untrusted["rendered"]["new"]["tokens"]["tools"] > 0


def test_an_untrusted_spec_reads_no_file_outside_its_folder(victor: Victor, shop: Path) -> None:
    (shop / "below").mkdir()
    (shop / "secret.md").write_text("the secret of this machine")
    (shop / "below" / "new.yml").write_text(OLD.replace("path: base.md", "path: ../secret.md").replace("extends", ""))
    done = victor("plan", "old.yml", "below/new.yml", "--untrusted", "--format", "json")
    assert done.code == 1
    assert "untrusted-path" in done.err
    assert "of this machine" not in done.out + done.err


SCRIPTED = """\
victor: 1
name: shop
models:
  main: {type: scripted, path: script.yml, input_usd_per_million: 2, output_usd_per_million: 8}
contributors:
  - {type: text, name: tone, text: Answer briefly.}
tools:
  - {type: python, name: refund, function: "tools:refund"}
sessions: {type: sqlite, path: sessions.db}
exporters:
  - {type: jsonl, path: events.jsonl}
"""


def test_rerun_counts_what_the_models_decide_otherwise(victor: Victor, shop: Path) -> None:
    replies = "replies: [{request: '1', tool_calls: [{name: refund, arguments: {order: '1'}}]}, Fine.]"
    other = "replies: [{request: '1', content: No., tool_calls: []}, Well.]"
    (shop / "tools.py").write_text(
        "def refund(order: str) -> str:\n    open('refunded', 'w').write(order)\n    return order\n"
    )
    (shop / "old.yml").write_text(SCRIPTED.replace("path: script.yml", replies))
    (shop / "new.yml").write_text(SCRIPTED.replace("path: script.yml", other).replace("briefly", "at length"))
    (shop / "traffic.jsonl").write_text("".join(f'{{"message": "{n}", "session": "s{n}"}}\n' for n in range(1, 5)))
    done = victor(
        "plan", "old.yml", "new.yml", "--traffic", "traffic.jsonl", "--rerun", "3", "--repeats", "2", "--format", "json"
    )
    assert done.code == 0, done.err
    found = done.json["rerun"]
    assert (found["requests"], found["repeats"], found["flips"]) == (3, 2, 1)
    assert found["tool_calls"] == {"lost": {"refund": 1}, "gained": {}, "arguments": {}}
    assert (found["noise"], found["differ"]) == (0.0, pytest.approx(1 / 3))
    assert found["texts"] == {"same": 0, "differ": 3}
    assert found["cost_usd"]["old"] > 0
    assert found["examples"][0]["old"]["tool_calls"] == [["refund", '{"order":"1"}']]
    assert not any((shop / name).exists() for name in ("refunded", "events.jsonl"))
    assert not (shop / "sessions.db").exists() or b"at length" not in (shop / "sessions.db").read_bytes()


def test_a_model_that_wavers_by_itself_is_noise(victor: Victor, shop: Path) -> None:
    (shop / "tools.py").write_text("def refund(order: str) -> str:\n    return order\n")
    wavering = "end: loop, replies: [{tool_calls: [{name: refund, arguments: {order: '1'}}]}, Fine.]"
    (shop / "old.yml").write_text(SCRIPTED.replace("path: script.yml", wavering))
    (shop / "new.yml").write_text(SCRIPTED.replace("path: script.yml", wavering).replace("briefly", "at length"))
    (shop / "traffic.jsonl").write_text('{"message": "1", "session": "s"}\n')
    done = victor(
        "plan", "old.yml", "new.yml", "--traffic", "traffic.jsonl", "--rerun", "1", "--repeats", "4", "--format", "json"
    )
    found = done.json["rerun"]
    assert found["noise"] == pytest.approx(4 / 6)
    assert found["differ"] == pytest.approx(0.5)
    assert found["flips"] == 0


class Replies(BaseHTTPRequestHandler):
    """An OpenAI-compatible server on loopback: the shop's model, which goes by the tone that it is told, and a judge."""

    judged: ClassVar[list[dict[str, Any]]] = []
    counts: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        system, last = asked["messages"][0]["content"], asked["messages"][-1]["content"]
        if asked["model"] == "judge":
            question = json.loads(last)
            self.judged.append(question)
            replies = question["first reply"] + question["second reply"]
            text = (
                "It depends." if "oracle" in replies else json.dumps({"reason": "r", "equivalent": "No" not in replies})
            )
        else:
            self.counts[last] += 1
            text = f"{'Yes' if 'briefly' in system or 'refund' not in last else 'No'}, {self.counts[last]}: {last}"
        body = {
            "id": "1",
            "object": "chat.completion",
            "model": asked["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
        }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def replies() -> Iterator[str]:
    """The address of the server."""
    Replies.judged.clear()
    Replies.counts.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Replies)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


JUDGED = """\
victor: 1
name: shop
models:
  main: {{type: openai, model: shop, base_url: "{url}", context_window: 4000}}
  judge: {{type: openai, model: judge, base_url: "{url}", context_window: 4000}}
settings: {{model: main}}
contributors:
  - {{type: text, name: tone, text: Answer briefly.}}
"""


def test_a_judge_says_which_texts_differ_to_the_user(victor: Victor, shop: Path, replies: str) -> None:
    old = JUDGED.format(url=replies)
    (shop / "old.yml").write_text(old)
    (shop / "new.yml").write_text(old.replace("briefly", "sternly"))
    texts = ["a refund?", "the hours?", "an oracle?"]
    (shop / "traffic.jsonl").write_text("".join(json.dumps({"id": text, "message": text}) + "\n" for text in texts))
    options = ("--traffic", "traffic.jsonl", "--rerun", "3", "--judge", "judge")
    done = victor("plan", "old.yml", "new.yml", *options, "--format", "json")
    assert done.code == 0, done.err
    found = done.json["rerun"]
    assert (found["flips"], found["texts"]) == (0, {"same": 0, "differ": 3})
    judged = found["judged"]
    assert (judged["model"], judged["flips"], judged["flipped"]) == ("judge", 1, ["a refund?"])
    assert (judged["noise"], judged["differ"]) == (0.0, 0.5)
    assert (judged["verdicts"], judged["errors"]) == (10, 5)
    assert "equivalent" in judged["error"]
    assert {one["request"] for one in Replies.judged} == set(texts)
    assert all(one["first reply"] < one["second reply"] for one in Replies.judged)
    done = victor("plan", "old.yml", "new.yml", *options)
    assert "judged by judge: 1 request answered otherwise to the user, such as a refund?" in done.out


def test_a_judge_that_finds_as_much_within_the_old_answers_finds_no_flip(
    victor: Victor, shop: Path, replies: str
) -> None:
    old = JUDGED.format(url=replies).replace("Answer briefly.", "Be strict.")
    (shop / "old.yml").write_text(old)
    (shop / "new.yml").write_text(old.replace("strict", "stern"))
    (shop / "traffic.jsonl").write_text('{"message": "a refund?"}\n')
    done = victor(
        "plan",
        "old.yml",
        "new.yml",
        "--traffic",
        "traffic.jsonl",
        "--rerun",
        "1",
        "--judge",
        "judge",
        "--format",
        "json",
    )
    judged = done.json["rerun"]["judged"]
    assert (judged["noise"], judged["differ"], judged["flips"]) == (1.0, 1.0, 0)


def test_a_judge_is_a_model_of_the_new_spec(victor: Victor, shop: Path) -> None:
    (shop / "new.yml").write_text(OLD)
    options = ("plan", "old.yml", "new.yml", "--traffic", "traffic.jsonl", "--judge", "mian")
    assert "--judge requires --rerun" in victor(*options).err
    done = victor(*options, "--rerun", "1")
    assert done.code == 2
    assert "did you mean 'main'?" in done.err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_folder_and_no_process(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: signal.Signals
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(tmp_path.iterdir())
    os.mkfifo(tmp_path / "traffic")
    command = ("plan", "main:old.yml", "old.yml", "--untrusted", "--traffic", str(tmp_path / "traffic"))
    process = in_a_process(*command, cwd=repository, stderr=subprocess.PIPE)
    (tmp_path / "traffic").open("wb").close()  # blocks until the command has looked whether it can be read
    with (tmp_path / "traffic").open("wb"):
        process.send_signal(ending)
        process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert {one.name for one in set(tmp_path.iterdir()) - before} == {"traffic"}
