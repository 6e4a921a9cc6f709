"""The page that `victor render` shows on a terminal: a pseudo-terminal stands in for one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve
from jsonschema import Draft202012Validator

import victor_dsl
from tests.interfaces.conftest import ROOT
from victor_dsl.errors import RequestError
from victor_dsl.interfaces.cli.pages import page_text
from victor_dsl.interfaces.cli.render_page import render_page
from victor_dsl.language.output_schema import rendered_schema
from victor_dsl.values.message import Message
from victor_dsl.values.outcome import CacheUse, Explained, Rendered, Tokens
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Origin
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import CompactionRecord, Contribution

pytest.importorskip("pty")

SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
STYLE = re.compile(r"\x1b\[[0-9;]*m")

SPEC = """\
victor: 1
name: shop
models: {main: {type: echo, context_window: 900}}
settings: {temperature: 0.5}
vars: {product: Acme}
inputs: {level: {type: string, default: free}}
prompt: {max_tokens: 40, overflow: drop}
contributors:
  - {type: template, name: role, template: "You help with {{ product }}.", priority: 90}
  - {type: text, name: rules, text: Be brief., priority: 80}
  - {type: text, name: legal, text: "This piece has more tokens than it may have.", max_tokens: 5, overflow: drop}
  - {type: text, name: law, text: "This piece has more tokens than it may have.", max_tokens: 5, overflow: truncate}
messages:
  - {role: user, text: "<q>Hello</q>"}
  - {role: assistant, text: What is it?}
message: {template: "<q>{{ message }}</q>"}
variants:
  tone:
    arms:
      control: {}
      warm: {with: {contributors: {rules: {text: Be warm and brief.}}}}
tenants:
  acme: {with: {settings: {temperature: 0.2}}}
unknown_tenants: base
"""

PAGE = """\
victor.yml · plan DIGEST · tenant acme · arm tone.warm · model main ·
session 1

SYSTEM PROMPT  16 tokens · 1 of 4 pieces dropped
role (template)  victor.yml:9 ───────────────────────────────────────── 5 tokens
  You help with Acme.
rules (text)  victor.yml:21 (arm tone.warm) over victor.yml:10 ──────── 5 tokens
  Be warm and brief.
legal (text)  victor.yml:11 ──────────────────────────────────────────── dropped
  dropped: the piece has 11 tokens; its max_tokens allows 5
law (text)  victor.yml:12 ───────────────────────────────────────────── 5 tokens
  cut: the piece has 11 tokens; its max_tokens allows 5
  This piece has more

MESSAGES  23 tokens
few-shot  user       <q>Hello</q>                                  victor.yml:14
few-shot  assistant  What is it?                                   victor.yml:15
index  role  tokens  kept  why       text
    0  user       9  yes   all fits  <q>A \\x1b[2J lamp</q>
the user's words stand in the template of victor.yml:16

VALUES
model            "main"  default
temperature      0.2     victor.yml:23 (tenant acme)
max_tool_rounds  8       default
max_tool_calls   32      default
threshold        0.8     default
target_ratio     0.5     default
vars.product     "Acme"  victor.yml:5
inputs.level     "free"  victor.yml:6

BUDGET  39 of 900 tokens (4.3 %)
█▓▓░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
█ system 16   ▓ messages 23   ▒ tools 0   ░ free 861
prompt cache nothing to compare with: this session's first rendering here
"""


@pytest.fixture(autouse=True)
def _spec(folder: Path) -> None:
    (folder / "victor.yml").write_text(SPEC)


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and what a terminal shows."""
    command = [sys.executable, "-c", SPAWN, sys.executable, "-m", "victor_dsl", *arguments]
    variables = {"COLUMNS": "80", "TERM": "xterm", **environment}
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    done = subprocess.run(
        command, cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), **variables}, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode().replace("\r\n", "\n")


CALLER = ("--tenant", "acme", "--arm", "tone=warm", "--message", "A \x1b[2J lamp")


def test_a_terminal_shows_a_page(folder: Path) -> None:
    code, shown = on_a_terminal(folder, "render", "victor.yml", *CALLER)
    assert code == 0
    assert "\x1b[1m" in shown
    styles = {number for style in STYLE.findall(shown) for number in style[2:-1].split(";")}
    assert styles <= {"0", "1", "2", *map(str, range(31, 38))}, "only bold, dim and the basic colours"
    plain = STYLE.sub("", shown)
    assert "\x1b" not in plain
    assert re.sub("plan [0-9a-f]{12}", "plan DIGEST", plain) == PAGE


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_page_without_colour_says_the_same(folder: Path, variable: dict[str, str]) -> None:
    shown = on_a_terminal(folder, "render", "victor.yml", *CALLER, **variable)[1]
    assert re.sub("plan [0-9a-f]{12}", "plan DIGEST", shown) == PAGE


@pytest.mark.parametrize("columns", [44, 80, 120, 160])
def test_no_line_is_wider_than_the_terminal(folder: Path, columns: int) -> None:
    words = "--message", "漢字 " * 40 + "x" * 300
    shown = on_a_terminal(folder, "render", "victor.yml", *words, NO_COLOR="1", COLUMNS=str(columns))[1]
    wide = re.compile("[\u2e80-\uffdc]")
    assert max(len(line) + len(wide.findall(line)) for line in shown.splitlines()) <= columns
    assert shown.count("漢") == 40
    assert shown.count("x") >= 300


def test_json_is_printed_on_a_terminal_where_it_is_asked_for(folder: Path) -> None:
    code, shown = on_a_terminal(folder, "render", "victor.yml", "--json", *CALLER)
    assert (code, json.loads(shown)["tenant"]) == (0, "acme")


def test_an_error_ends_the_page_with_what_to_do(folder: Path) -> None:
    code, shown = on_a_terminal(folder, "render", "victor.yml", "--message", "a", "--set", "levl=x", NO_COLOR="1")
    assert code == 1
    assert "SYSTEM PROMPT  not made" in shown
    assert "error: inputs.levl is not declared; did you mean 'level'?" in shown.splitlines()[-1]


def test_secrets_of_a_prompt_are_hidden(folder: Path) -> None:
    secret = "sk-ant-abcdefghijklmnopqrstuvwxyz0123"
    shown = on_a_terminal(folder, "render", "victor.yml", "--message", secret, "--var", f"product={secret}")[1]
    assert "You help with ***." in STYLE.sub("", shown)
    assert "abcdefgh" not in shown


def rendered(count: int, **changes: object) -> Rendered:
    messages = [Message("user", f"message {index} " + "word " * 40) for index in range(count)]
    fields: dict[str, object] = {
        "id": 1, "session": "s", "tenant": None, "variants": {}, "settings": {}, "origins": {}, "system": "",
        "contributors": (), "messages": tuple(messages), "kept": tuple(range(count // 2, count)), "tools": (),
        "sent_tools": (), "tokens": Tokens(messages=500), "plan": "p", "compaction": CompactionRecord("recent", 900, 500, 450),
        "explained": tuple(
            Explained(index, message, 10, index >= count // 2, "fits" if index >= count // 2 else "over the target")
            for index, message in enumerate(messages)
        ),
    }  # fmt: skip
    return Rendered(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_long_history_is_shortened_unless_it_is_explained() -> None:
    shown = page_text(render_page(rendered(40), "victor.yml"), 100, colour=False)
    assert "MESSAGES  500 tokens · 20 of 40 kept · compaction by recent: 900 → 500 tokens, target 450" in shown
    assert "30 messages, 12 kept: --explain-compaction shows all" in shown
    assert len(re.findall("message [0-9]+ word", shown)) == 10
    whole = page_text(render_page(rendered(40), "victor.yml", explain=True), 100, colour=False)
    assert len(re.findall("message [0-9]+ word", whole)) == 40
    assert re.search(r"    0  user      10  no    over the target  message 0 word .*…$", whole, re.MULTILINE)


def test_the_cache_and_what_failed_are_in_words() -> None:
    changed = page_text(render_page(rendered(1, cache=CacheUse(7, "messages/0")), "victor.yml"), 80, colour=False)
    assert "prompt cache 7 tokens as in this session's last rendering, then messages/0 changed" in " ".join(
        changed.split()
    )
    goes_on = page_text(render_page(rendered(1, cache=CacheUse(7)), "victor.yml"), 80, colour=False)
    assert "prompt cache 7 tokens as in this session's last rendering, which this one continues" in " ".join(
        goes_on.split()
    )
    first = page_text(render_page(rendered(1), "victor.yml"), 80, colour=False)
    assert "prompt cache nothing to compare with: this session's first rendering here" in first
    failed = rendered(1, error=RequestError("no", hint="say yes"), contributors=(Contribution("text", "a", 5, 0),))
    shown = page_text(render_page(failed, "victor.yml"), 80, colour=False)
    assert "no text for this request" in shown
    assert shown.endswith("error: no (say yes)\n")


TOOLS = """\
victor: 1
name: shop
models: {main: {type: echo}}
tools: [{type: python, function: "shop_tools:weather"}]
"""

SHOP_TOOLS = """\
async def weather(city: str) -> str:
    \"\"\"The weather of a city.\"\"\"
    return city
"""


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("tool_selection: keyword", "1 of 1, as none matches"),
        (
            "embedders: {far: {type: openai, base_url: 'http://127.0.0.1:9', model: m}}\ntool_selection: {type: semantic, embedder: far}",
            "1 of 1, the fallback of one that failed",
        ),
    ],
)
def test_a_fallback_of_tool_selection_says_why(folder: Path, strategy: str, words: str) -> None:
    (folder / "victor.yml").write_text(f"{TOOLS}{strategy}\n")
    (folder / "shop_tools.py").write_text(SHOP_TOOLS)
    code, shown = on_a_terminal(folder, "render", "victor.yml", "--message", "hello")
    assert (code, words in shown) == (0, True), shown


def test_the_tokens_of_a_piece_are_whole_beside_a_long_origin() -> None:
    layers = (Origin("spec", "victor.yml", 9), Origin("tenant acme", "victor.yml", 14))
    origin = Origin("arm tone.warm", "experiments/tone.yml", 16, (*layers, Origin("arm tone.warm", "tone.yml", 16)))
    page = rendered(
        1, contributors=(Contribution("text", "style", 5, 1_234, text="x"),), origins={"contributors.style": origin}
    )
    for width in (44, 60, 80):
        assert "1,234 tokens" in page_text(render_page(page, "victor.yml"), width, colour=False)


@pytest.mark.parametrize("width", [40, 80])
def test_examples_and_values_are_readable_beside_a_long_origin(width: int) -> None:
    origin = Origin("spec", "services/assistant-for-customers/configuration/victor.yml", 119)
    example = Message("user", "Could you deliver two lamps tomorrow morning, please?")
    page = rendered(
        1, settings={"max_tool_rounds": 8}, origins={"messages/0": origin, "settings.max_tool_rounds": origin}
    )
    page = evolve(page, messages=(example, *page.messages))
    shown = page_text(render_page(page, "victor.yml"), width, colour=False)
    assert all(len(line) <= width for line in shown.splitlines())
    for word in ("deliver", "tomorrow", "morning,", "max_tool_rounds"):
        assert word in shown, shown
    assert shown.count("services/") == 2, shown
    assert "victor.yml:119" in "".join(shown.split()), shown


@pytest.mark.parametrize(("message", "kind"), [("Xyzzy", "use_and_cost"), ("Where is my order?", None)])
def test_a_selection_that_nothing_matched_is_shown(folder: Path, message: str, kind: str | None) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: s\nmodels: {main: {type: echo, context_window: 900}}\ntool_selection: {type: keyword, k: 1, most: 1}\n"
    )
    tools = (Tool("find_order", "Finds an order."), Tool("write_mail", "Writes a mail."))
    rendered = victor_dsl.render(folder / "victor.yml", Request(message=message, tools=tools))
    line = rendered.to_dict()
    assert line.get("selection") == (None if kind is None else {"type": kind, "fallback": True})
    assert list(Draft202012Validator(rendered_schema()).iter_errors(json.loads(json.dumps(line)))) == []
    assert f"chosen by {kind or 'keyword'}" in page_text(render_page(rendered, "victor.yml"), 120, colour=False)
