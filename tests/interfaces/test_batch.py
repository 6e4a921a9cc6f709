"""A batch answers every line once, whatever happens to it."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.conftest import OFFLINE, Victor, in_a_process
from tests.interfaces.test_run import RENDERED_KEYS, REPLY_KEYS

LINES = 800
KILLS = int(os.environ.get("VICTOR_KILLS", "3"))
"""How often the long-suffering batch is killed; `VICTOR_KILLS=200 ./dev test tests/interfaces/test_batch.py` is the long form."""


def write_input(folder: Path, *lines: Any) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "in.jsonl").write_text("".join(f"{text}\n" for text in texts))


def read_output(folder: Path, name: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


RUN = ("run", "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl")


def test_every_line_is_answered_and_a_bad_one_is_an_error_object(victor: Victor, folder: Path) -> None:
    write_input(
        folder,
        {"id": "a", "session": "s", "tenant": "t", "message": "one"},
        "{broken",
        "",
        {"message": "two"},
        {"id": "a", "message": "three"},
        {"mesage": "four"},
        {"messages": [{"role": "user", "content": "five"}]},
        {"id": "x" * 500, "message": "six"},
    )
    done = victor(*RUN)
    assert done.code == 3
    assert done.out == ""
    answers = read_output(folder)
    assert all(list(answer)[: len(REPLY_KEYS)] == REPLY_KEYS for answer in answers)
    by_id = {answer["id"]: answer for answer in answers if (answer["error"] or {}).get("code") != "repeated-id"}
    assert [by_id[id]["reply"] for id in ("a", 4, 7, "x" * 500)] == ["one", "two", "five", "six"]
    assert (by_id["a"]["session"], by_id["a"]["tenant"]) == ("s", "t")
    errors = {answer["error"]["line"]: answer["error"]["code"] for answer in answers if answer["error"]}
    assert errors == {2: "bad-line", 5: "repeated-id", 6: "bad-request"}
    assert "in.jsonl:2: not JSON: " in done.err
    assert "in.jsonl:6: " in done.err
    assert "'mesage'; did you mean 'message'?" in done.err
    assert "7 lines answered, 3 errors, in " in done.err


def test_a_batch_without_an_output_goes_to_stdout(victor: Victor, folder: Path) -> None:
    write_input(folder, {"message": "one"}, {"message": "two"})
    done = victor("run", "victor.yml", "--input", "in.jsonl")
    assert done.code == 0
    assert sorted(line["reply"] for line in done.lines) == ["one", "two"]
    assert victor("run", "victor.yml", "--input", "in.jsonl", "--output", "-").code == 0


def test_a_batch_may_come_from_stdin(victor: Victor) -> None:
    done = victor("run", "victor.yml", "--input", "-", stdin='{"message": "one"}')
    assert [line["reply"] for line in done.lines] == ["one"]


def test_an_empty_input_is_an_empty_output(victor: Victor, folder: Path) -> None:
    write_input(folder)
    assert victor(*RUN).code == 0
    assert (folder / "out.jsonl").read_text() == ""


def test_an_output_that_exists_is_refused_unless_overwritten(victor: Victor, folder: Path) -> None:
    write_input(folder, {"message": "one"})
    (folder / "out.jsonl").write_text("mine\n")
    done = victor(*RUN)
    assert done.code == 2
    assert "out.jsonl exists already; --resume continues it, --overwrite replaces it" in done.err
    assert (folder / "out.jsonl").read_text() == "mine\n"
    assert victor(*RUN, "--overwrite").code == 0
    assert [answer["reply"] for answer in read_output(folder)] == ["one"]


def test_resume_answers_only_what_the_output_lacks(victor: Victor, folder: Path) -> None:
    write_input(folder, *({"id": n, "message": str(n)} for n in range(20)))
    assert victor(*RUN, "--resume").code == 0
    whole = (folder / "out.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "out.jsonl").write_bytes(b"".join(whole[:7]) + whole[7][:25])
    done = victor(*RUN, "--resume")
    assert done.code == 0
    assert "13 lines answered (7 before)" in done.err
    assert sorted(answer["id"] for answer in read_output(folder)) == list(range(20))
    before = (folder / "out.jsonl").read_bytes()
    assert victor(*RUN, "--resume").code == 0
    assert (folder / "out.jsonl").read_bytes() == before


def test_resume_does_not_repeat_errors_nor_mistake_repeated_ids(victor: Victor, folder: Path) -> None:
    write_input(folder, "{broken", {"id": "a", "message": "one"}, {"id": "a", "message": "two"})
    assert victor(*RUN).code == 3
    whole = (folder / "out.jsonl").read_text().splitlines(keepends=True)
    for kept in ([], whole[:1], whole[1:], whole[2:], whole[::2]):
        (folder / "out.jsonl").write_text("".join(kept))
        victor(*RUN, "--resume")
        answers = [(answer["id"], (answer["error"] or {}).get("code")) for answer in read_output(folder)]
        assert sorted(answers, key=str) == [("a", "repeated-id"), ("a", None), (1, "bad-line")]


SCRIPTED = """\
victor: 1
name: demo
models:
  main:
    type: scripted
    replies: [{request: one, content: uno}, {request: two, error: unreachable}]
sessions: {type: sqlite, path: s.db}
exporters: [{type: sqlite, database: events}]
databases: {events: {type: sqlite, path: events.db}}
"""


def outcomes(folder: Path) -> list[tuple[Any, str]]:
    return sorted((line["id"], (line["error"] or {"code": line["reply"]})["code"]) for line in read_output(folder))


def test_lines_with_an_error_are_asked_again_after_an_outage(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SCRIPTED)
    write_input(folder, {"id": "a", "message": "one"}, {"id": "b", "message": "two"}, {"id": "c", "mesage": "one"})
    began = victor(*RUN)
    assert began.code == 3
    assert "--resume --retry-errors asks the lines with an error again" in began.err
    assert outcomes(folder) == [("a", "uno"), ("b", "model-unreachable"), ("c", "bad-request")]
    first = (folder / "out.jsonl").read_text().splitlines()
    alone = victor(*RUN, "--resume")
    assert (alone.code, (folder / "out.jsonl").read_text().splitlines()) == (3, first)
    assert "0 lines answered (3 before, 2 errors among them)" in alone.err
    assert "--resume --retry-errors asks the lines with an error again" in alone.err
    still = victor(*RUN, "--resume", "--retry-errors")
    assert still.code == 3
    assert "2 lines answered (1 before), 2 errors" in still.err
    assert outcomes(folder) == [("a", "uno"), ("b", "model-unreachable"), ("c", "bad-request")]
    (folder / "victor.yml").write_text(SCRIPTED.replace("error: unreachable", "content: due"))
    write_input(folder, {"id": "a", "message": "one"}, {"id": "b", "message": "two"}, {"id": "c", "message": "one"})
    done = victor(*RUN, "--resume", "--retry-errors")
    assert done.code == 0
    assert "warning: the spec has changed since this run began: models/main" in done.err
    assert "2 lines answered (1 before), in " in done.err
    assert outcomes(folder) == [("a", "uno"), ("b", "due"), ("c", "uno")]
    with sqlite3.connect(folder / "events.db") as database:
        [(turns,)] = database.execute("SELECT count(*) FROM analytics_events WHERE event_type = 'turn'")
    database.close()
    assert turns == 5  # a, b three times, c once: a try does not hide behind the events of the one before


def test_a_retry_that_is_killed_leaves_nothing_twice(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SCRIPTED)
    write_input(folder, *({"id": n, "message": "two"} for n in range(30)), {"id": 30, "message": "one"})
    assert victor(*RUN).code == 3
    whole = (folder / "out.jsonl").read_text().splitlines(keepends=True)
    (folder / "victor.yml").write_text(SCRIPTED.replace("error: unreachable", "content: due"))
    (folder / ".out.jsonl.without-errors").write_text("left behind")
    (folder / "out.jsonl").write_text("".join(whole[:20]) + whole[20][:30])
    assert victor(*RUN, "--resume", "--retry-errors").code == 0
    assert outcomes(folder) == [*((n, "due") for n in range(30)), (30, "uno")]
    assert not (folder / ".out.jsonl.without-errors").exists()


def test_retry_errors_needs_resume(victor: Victor, folder: Path) -> None:
    write_input(folder, {"message": "one"})
    assert "--retry-errors requires --resume" in victor(*RUN, "--retry-errors").err


def test_a_batch_slows_down_where_a_model_refuses_its_rate(victor: Victor, folder: Path) -> None:
    failure = "{error: {kind: rate_limited, retry_after_seconds: 0}}"
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels:\n  main: {type: scripted, replies: [" + f"{failure}, " * 3 + "well]}\n"
    )
    write_input(folder, {"id": 1, "session": "s", "message": "one"})
    done = victor(*RUN)
    assert done.code == 0
    assert outcomes(folder) == [(1, "well")]
    assert "a model refuses requests for their rate: continuing in 0 s, with fewer lines at a time" in done.err


def test_the_error_of_a_refused_rate_says_when_to_try_again(victor: Victor, folder: Path) -> None:
    failure = "{error: {kind: rate_limited, retry_after_seconds: 900.5}}"
    (folder / "victor.yml").write_text(OFFLINE.replace("{type: echo}", f"{{type: scripted, replies: [{failure}]}}"))
    write_input(folder, {"id": 1, "message": "one"})
    assert victor(*RUN).code == 3
    assert read_output(folder)[0]["error"]["retry_after_s"] == 900.5
    assert victor("run", "victor.yml", "--json", "one").json["error"]["retry_after_s"] == 900.5


def test_lines_of_one_session_see_each_other_in_order(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(OFFLINE + "sessions: {type: sqlite, path: s.db}\n")
    write_input(folder, *({"session": f"s{n % 5}", "message": str(n)} for n in range(50)))
    assert victor(*RUN, "--concurrency", "8").code == 0
    for session in range(5):
        shown = victor("render", "victor.yml", "--session", f"s{session}", "--message", "x").json["messages"]
        said = [int(message["content"]) for message in shown[:-1] if message["role"] == "user"]
        assert said == list(range(session, 50, 5))


def test_renders_come_in_the_order_of_the_input(victor: Victor, folder: Path) -> None:
    write_input(folder, *({"session": f"s{n % 3}", "message": str(n)} for n in range(30)), "{broken")
    done = victor("render", "victor.yml", "--input", "in.jsonl")
    assert done.code == 3
    assert [line["id"] for line in done.lines] == list(range(1, 32))
    assert all(list(line) == RENDERED_KEYS for line in done.lines)
    assert victor("render", "victor.yml", "--input", "in.jsonl", "--output", "r.jsonl").code == 3
    assert read_output(folder, "r.jsonl") == done.lines
    assert victor("render", "victor.yml", "--input", "in.jsonl", "--output", "r.jsonl").code == 3
    assert read_output(folder, "r.jsonl") == done.lines


def test_a_killed_batch_that_is_resumed_answers_every_line_once(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(OFFLINE + "sessions: {type: sqlite, path: s.db}\n")
    write_input(folder, *({"id": f"r{n}", "session": f"s{n % 40}", "message": f"m{n}"} for n in range(LINES)))
    chance, output, sizes = random.Random(7), folder / "out.jsonl", [0]
    for _ in range(KILLS):
        process = in_a_process(*RUN, "--resume", cwd=folder, stderr=subprocess.DEVNULL)
        enough = sizes[-1] + chance.randrange(1, LINES * 300 // KILLS)
        while process.poll() is None and (not output.exists() or output.stat().st_size < enough):
            pass
        process.kill()
        process.wait()
        sizes.append(output.stat().st_size if output.exists() else 0)
    last = in_a_process(*RUN, "--resume", cwd=folder, stderr=subprocess.PIPE)
    assert last.communicate()[1].endswith(b"out.jsonl\n")
    assert last.returncode == 0
    counts = Counter(answer["id"] for answer in read_output(folder))
    assert counts == {f"r{n}": 1 for n in range(LINES)}
    for session in range(40):  # the line keeps its turn's id, so that the store has it once
        shown = victor("render", "victor.yml", "--session", f"s{session}", "--message", "x").json["messages"]
        said = [message["content"] for message in shown[:-1] if message["role"] == "user"]
        assert said == [f"m{n}" for n in range(session, LINES, 40)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_batch_leaves_whole_lines_and_says_how_to_go_on(folder: Path, number: signal.Signals) -> None:
    process = in_a_process(
        "run",
        "victor.yml",
        "--input",
        "-",
        "--output",
        "out.jsonl",
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b'{"message": "one"}\n')
    process.stdin.flush()
    output = folder / "out.jsonl"
    while process.poll() is None and (not output.exists() or not output.read_bytes().endswith(b"\n")):
        pass
    process.send_signal(number)
    error = process.stderr.read().decode() if process.stderr else ""
    assert process.wait() == 128 + number
    assert "1 line answered, in " in error
    assert "interrupted; --resume continues from here" in error
    assert [answer["reply"] for answer in read_output(folder)] == ["one"]
    process.stdin.close()
    assert process.stderr is not None
    process.stderr.close()


def test_a_batch_that_nohup_started_goes_on_when_its_terminal_is_closed(folder: Path) -> None:
    command = ("run", "victor.yml", "--input", "-", "--output", "out.jsonl")
    ignored = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    process = in_a_process(*command, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=ignored)
    assert process.stdin is not None
    process.stdin.write(b'{"message": "one"}\n')
    process.stdin.flush()
    output = folder / "out.jsonl"
    while process.poll() is None and (not output.exists() or not output.read_bytes().endswith(b"\n")):
        pass
    process.send_signal(signal.SIGHUP)
    process.stdin.write(b'{"message": "two"}\n')
    process.stdin.close()
    assert process.wait() == 0
    assert [answer["reply"] for answer in read_output(folder)] == ["one", "two"]


def test_a_reader_who_stops_reading_ends_a_batch_in_silence(folder: Path) -> None:
    write_input(folder, *({"message": "x" * 1000} for _ in range(2_000)))
    process = in_a_process(
        "run", "victor.yml", "--input", "in.jsonl", cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.fixture
def answered(victor: Victor, folder: Path) -> list[dict[str, Any]]:
    """The lines of a run that has ended."""
    lines = [{"id": "a", "message": "one"}, {"message": "two", "tenant": "t"}, {"id": "c", "message": "three"}]
    write_input(folder, *lines)
    assert victor(*RUN).code == 0
    return lines


def test_lines_that_are_written_differently_and_new_ones_are_no_change(
    victor: Victor, folder: Path, answered: list[dict[str, Any]]
) -> None:
    written = [json.dumps(dict(reversed(line.items())), indent=None, separators=(", ", " :  ")) for line in answered]
    write_input(folder, *written, "", {"message": "four"})
    done = victor(*RUN, "--resume")
    assert (done.code, "1 line answered (3 before)" in done.err) == (0, True)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_line_that_changed_since_its_answer_stops_a_resumed_run(
    victor: Victor, folder: Path, answered: list[dict[str, Any]], place: int
) -> None:
    answered[place]["message"] = "other"
    write_input(folder, *answered)
    before = (folder / "out.jsonl").read_bytes()
    done = victor(*RUN, "--resume")
    assert done.code == 2
    assert f"line {place + 1} of the input has changed since it was answered (--force leaves its answer" in done.err
    assert (folder / "out.jsonl").read_bytes() == before
    assert victor(*RUN, "--resume", "--force").code == 0
    assert (folder / "out.jsonl").read_bytes() == before
    assert victor(*RUN, "--overwrite").code == 0
    assert victor(*RUN, "--resume").code == 0


def test_a_line_that_was_inserted_before_numbered_ones_is_noticed(victor: Victor, folder: Path) -> None:
    write_input(folder, {"message": "one"}, {"message": "two"})
    assert victor(*RUN).code == 0
    write_input(folder, {"message": "zero"}, {"message": "one"}, {"message": "two"})
    assert "line 1 of the input has changed" in victor(*RUN, "--resume").err


def test_a_torn_record_of_the_answered_lines_is_cut_off(
    victor: Victor, folder: Path, answered: list[dict[str, Any]]
) -> None:
    (record,) = (folder / ".victor" / "runs").glob("*.lines")
    with record.open("ab") as file:
        file.write(b"\0" * 7)
    write_input(folder, *answered, {"id": "d", "message": "four"})
    for _ in range(2):
        assert victor(*RUN, "--resume").code == 0
    answered[0]["message"] = "other"
    write_input(folder, *answered, {"id": "d", "message": "five"})
    assert "line 1 of the input has changed" in victor(*RUN, "--resume").err
    write_input(folder, {"id": "d", "message": "five"})
    assert "line 1 of the input has changed" in victor(*RUN, "--resume").err


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        (OFFLINE.replace("echo}", "echo, prefix: '> '}"), "models/main"),
        (OFFLINE + "contributors: [{type: text, text: Hi}]\n", "contributors/text"),
        (OFFLINE + "settings: {temperature: 1}\n", "its settings, vars or overlays"),
        (OFFLINE + "tenants: {t: {with: {settings: {temperature: 1}}}}\n", "its settings, vars or overlays"),
    ],
)
def test_a_changed_spec_stops_a_resumed_run_and_names_what_changed(
    victor: Victor, folder: Path, answered: list[dict[str, Any]], spec: str, changes: str
) -> None:
    (folder / "victor.yml").write_text(spec)
    write_input(folder, *answered, {"id": "d", "message": "four"})
    done = victor(*RUN, "--resume")
    assert done.code == 2
    assert f"the spec has changed since this run began: {changes}" in done.err
    assert "--force continues with the changed spec" in done.err
    assert len(read_output(folder)) == 3
    assert victor(*RUN, "--resume", "--force").code == 0
    assert len(read_output(folder)) == 4


def test_a_spec_that_is_only_written_differently_is_no_change(
    victor: Victor, folder: Path, answered: list[dict[str, Any]]
) -> None:
    (folder / "victor.yml").write_text("# A comment.\n" + OFFLINE.replace("{type: echo}", "\n    type: echo"))
    write_input(folder, *answered, {"id": "d", "message": "four"})
    assert victor(*RUN, "--resume").code == 0


def test_an_arm_that_is_no_longer_there_is_a_changed_spec(victor: Victor, folder: Path) -> None:
    arms = "variants: {tone: {unit: session, arms: {warm: {weight: 1, with: {settings: {temperature: 1}}}, %s: {weight: 1}}}}\n"
    (folder / "victor.yml").write_text(OFFLINE + arms % "cold")
    write_input(folder, *({"session": f"s{n}", "message": "x"} for n in range(20)))
    assert victor(*RUN).code == 0
    (folder / "victor.yml").write_text(OFFLINE + arms % "cool")
    assert "the spec has changed" in victor(*RUN, "--resume").err


def test_force_is_for_resumed_runs(victor: Victor) -> None:
    assert "--force requires --resume" in victor(*RUN, "--force").err


LIMITED = OFFLINE + "settings: {limits: {requests_per_minute: 60}}\nmiddleware: [rate_limit]\n"


def test_a_batch_waits_for_the_limits_of_its_own_spec(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(LIMITED)
    (folder / "in.jsonl").write_text('{"message": "one"}\n' * 62)  # two more than a minute's worth
    done = victor("run", "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl")
    answers = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert (done.code, len(answers), {answer["error"] is None for answer in answers}) == (0, 62, {True})
    said = "the tenant has reached its limit requests_per_minute: its lines wait for it (--no-wait refuses them)\n"
    assert done.err.count(said) == 1


def test_no_wait_refuses_what_a_limit_does_not_allow(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(LIMITED.replace("60", "2"))
    done = victor("run", "victor.yml", "--input", "-", "--no-wait", stdin='{"message": "one"}\n' * 3)
    errors = [line["error"] for line in done.lines if line["error"]]
    assert (done.code, [error["code"] for error in errors]) == (3, ["limit-reached"])
    assert errors[0]["retry_after_s"] > 0


def test_of_many_limits_that_are_reached_the_first_are_reported(victor: Victor, folder: Path) -> None:
    slow = LIMITED.replace("requests_per_minute: 60", "concurrency: 1") + "unknown_tenants: base\n"
    slow = slow.replace("{type: echo}", "{type: scripted, replies: [{content: hi, delay_seconds: 0.05}]}")
    (folder / "victor.yml").write_text(slow)
    lines = [json.dumps({"message": "one", "tenant": f"t{number % 12}"}) for number in range(12 * 10)]
    done = victor(
        "run", "victor.yml", "--input", "-", "--output", "out.jsonl", "--concurrency", "120", stdin="\n".join(lines)
    )
    assert (done.code, done.err.count("has reached its limit concurrency")) == (0, 10)
    assert done.err.count("further limits that are reached are not reported\n") == 1
