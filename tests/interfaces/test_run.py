"""`victor run` and `render` of one message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interfaces.conftest import OFFLINE, ROOT, Victor, in_a_process

SPEC = """\
victor: 1
name: demo
models:
  main: {type: echo, context_window: 8000}
settings: {temperature: 0.5}
vars: {product: Acme}
contributors:
  - {type: template, name: who, template: "{{ product }} {{ tenant or '' }} {{ user or '' }}"}
variants:
  tone:
    arms:
      control: {weight: 1}
      warm: {weight: 0, with: {settings: {temperature: 0.9}}}
tenants:
  acme: {with: {settings: {temperature: 0.1}}}
unknown_tenants: base
"""

REPLY_KEYS = [
    "id",
    "session",
    "tenant",
    "reply",
    "stop_reason",
    "model",
    "response_model",
    "variants",
    "usage",
    "latency_ms",
    "plan",
    "error",
]
RENDERED_KEYS = [
    "id",
    "session",
    "tenant",
    "variants",
    "settings",
    "origins",
    "system",
    "contributors",
    "messages",
    "kept",
    "tools",
    "sent_tools",
    "tokens",
    "cache",
    "compaction",
    "plan",
    "error",
]


@pytest.fixture(autouse=True)
def _spec(folder: Path) -> None:
    (folder / "victor.yml").write_text(SPEC)


def test_a_message_is_answered_with_plain_text_where_stdout_is_no_terminal(victor: Victor) -> None:
    done = victor("run", "victor.yml", "Hello\x1b[31m")
    assert (done.code, done.out, done.err) == (0, "Hello\x1b[31m\n", "")


def test_a_message_may_come_from_stdin(victor: Victor) -> None:
    assert victor("run", "victor.yml", "-", stdin="two\nlines").out == "two\nlines\n"


def test_json_prints_the_reply_line_of_the_contract(victor: Victor) -> None:
    done = victor("run", "victor.yml", "Hello", "--session", "s", "--tenant", "acme", "--json")
    [line] = done.lines
    assert list(line) == REPLY_KEYS
    assert (line["session"], line["tenant"], line["reply"], line["error"]) == ("s", "acme", "Hello", None)
    assert list(line["usage"]) == [
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "cost_usd",
    ]
    assert line["variants"] == {"tone": "control"}


def test_render_prints_the_rendered_turn_of_the_contract(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--message", "Hello", "--tenant", "acme", "--user", "ann")
    [rendered] = done.lines
    assert list(rendered) == RENDERED_KEYS
    assert rendered["system"] == "Acme acme ann"
    assert rendered["settings"]["temperature"] == 0.1
    assert rendered["origins"]["settings.temperature"] == {"source": "tenant acme", "file": "victor.yml", "line": 15}
    assert rendered["messages"] == [{"role": "user", "content": "Hello"}]
    assert rendered["kept"] == [0]


def test_an_arm_and_a_var_can_be_forced(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--message", "Hello", "--arm", "tone=warm", "--var", "product=Other=1")
    assert done.json["variants"] == {"tone": "warm"}
    assert done.json["settings"]["temperature"] == 0.9
    assert done.json["system"].startswith("Other=1")


def test_a_failed_answer_is_told_on_stderr_and_in_the_reply_line(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels:\n"
        "  main: {type: openai, base_url: 'http://127.0.0.1:9/v1', model: m, context_window: 9000}\n"
    )
    done = victor("run", "victor.yml", "Hello", "--json")
    assert done.code == 3
    assert done.lines[0]["error"]["code"] == "model-unreachable"
    assert list(done.lines[0]) == REPLY_KEYS
    assert done.err.splitlines()[-1].startswith("error: models/main: ")
    plain = victor("run", "victor.yml", "Hello")
    assert (plain.code, plain.out) == (3, "")


def test_a_missing_secret_is_told_before_anything_runs(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        'victor: 1\nname: demo\nmodels:\n  main: {type: openai, model: m, context_window: 9000, api_key: "${env:NO_SUCH_KEY}"}\n'
    )
    done = victor("run", "victor.yml", "Hello")
    assert done.code == 3
    assert "victor.yml:4:" in done.err
    assert "NO_SUCH_KEY" in done.err
    assert victor("render", "victor.yml", "--message", "Hello").code == 0


def test_without_a_message_lines_of_stdin_are_a_chat(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SPEC + "sessions: {type: sqlite, path: s.db}\n")
    done = victor("run", "victor.yml", "--session", "s", stdin="one\n\n two \n/quit\nthree\n")
    assert (done.code, done.out, done.err) == (0, "one\ntwo\n", "")
    history = victor("render", "victor.yml", "--session", "s", "--message", "x").json["messages"]
    assert [message["content"] for message in history] == ["one", "one", "two", "two", "x"]


def test_a_chat_with_json_prints_reply_lines_of_one_session(victor: Victor) -> None:
    lines = victor("run", "victor.yml", "--json", stdin="one\ntwo").lines
    assert [line["reply"] for line in lines] == ["one", "two"]
    assert len({line["session"] for line in lines}) == 1


def test_the_state_folder_can_be_moved(victor: Victor, folder: Path) -> None:
    (folder / "in.jsonl").write_text('{"message": "hi"}\n')
    arguments = ("run", "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl")
    assert victor(*arguments, "--state", "elsewhere").code == 0
    assert {path.suffix for path in (folder / "elsewhere" / "runs").iterdir()} == {".json", ".lines"}
    assert not (folder / ".victor").exists()


@pytest.mark.parametrize("arguments", [("run", "victor.yml", "hi"), ("render", "victor.yml", "--message", "hi")])
def test_nothing_but_json_and_replies_is_on_stdout(folder: Path, arguments: tuple[str, ...]) -> None:
    process = in_a_process(*arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    assert process.returncode == 0
    assert len(out.splitlines()) == 1
    assert err == b""


def test_an_error_of_an_item_names_the_overlay_that_changed_it(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: shop\nmodels: {main: {type: echo}}\nunknown_tenants: base\n"
        "contributors: [{type: text, name: rules, text: be kind, max_tokens: 5, overflow: fail}]\n"
        "tenants:\n  acme: {with: {contributors: {rules: {max_tokens: 1}}}}\n"
    )
    done = victor("run", "victor.yml", "hello", "--tenant", "acme", "-q")
    assert done.code == 3
    assert "victor.yml:7 (tenant acme) over victor.yml:5: the piece has 2 tokens" in done.err


@pytest.mark.parametrize(
    ("closed", "code", "out", "err"),
    [
        ("<&-", 0, "hello\n", ""),
        ("2>&-", 0, "hello\n", ""),
        (">&-", 3, "", "error: Bad file descriptor\n"),
    ],
)
def test_a_stream_that_is_closed_is_no_fault_of_victor(
    folder: Path, closed: str, code: int, out: str, err: str
) -> None:
    (folder / "victor.yml").write_text(OFFLINE)
    command = f'exec "{sys.executable}" -m victor_dsl run victor.yml hello -q {closed}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_a_model_of_unknown_window_and_price_is_named_once(victor: Victor, tmp_path: Path) -> None:
    spec = tmp_path / "victor.yml"
    spec.write_text(
        "victor: 1\nname: demo\nmodels:\n"
        '  main: {type: openai, model: made-up, base_url: "http://127.0.0.1:1/v1", context_window: CONTEXT}\n'
    )
    text = spec.read_text()
    spec.write_text(text.replace(", context_window: CONTEXT", ""))
    done = victor("run", str(spec), stdin="Hi\nHi\n")
    assert done.err.count("victor does not know its window (write `context_window`") == 1
    assert done.err.count("its price (write `input_usd_per_million`") == 1
    assert "does not know" not in victor("run", str(spec), "Hi", "-q").err
    spec.write_text(text.replace("CONTEXT", "8000, input_usd_per_million: 0, output_usd_per_million: 0"))
    assert "does not know" not in victor("run", str(spec), "Hi").err
