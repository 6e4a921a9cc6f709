"""`victor test`: tests of what is rendered and replied, their failures at file and line, and what is an error."""

from __future__ import annotations

import signal
import socket
import subprocess
import textwrap
from pathlib import Path
from typing import IO

import pytest
from junitparser import Failure, JUnitXml

from tests.interfaces.conftest import Done, Victor, in_a_process

SPEC = """\
victor: 1
name: demo
models:
  main: {type: echo, prefix: "You said: "}
settings: {model: main, temperature: 0.5}
contributors:
  - {type: text, name: role, text: "You help customers of Acme."}
unknown_tenants: refuse
tenants:
  clinic: {with: {contributors: {rules: {type: text, text: Follow HIPAA.}}}}
"""

TOOLS = '''\
"""Tools of the tests' specs."""
from pathlib import Path
from typing import IO

def lookup_order(order: int) -> str:
    """The state of an order."""
    with Path(__file__).with_name("called.txt").open("a") as called:
        called.write(f"{order}\\n")
    return "sent"

def refund(order: int, amount: float) -> str:
    """Pays money back."""
    raise AssertionError("no test may call this")
'''


def _tests(folder: Path, tests: str, spec: str = SPEC) -> None:
    (folder / "victor.yml").write_text(spec + "tests:\n" + textwrap.indent(textwrap.dedent(tests), "  "))


def _statuses(done: Done) -> dict[str, str]:
    return {test["name"]: test["status"] for test in done.json["tests"]}


def test_a_test_of_the_rendered_turn_passes_and_fails_at_its_line(folder: Path, victor: Victor) -> None:
    _tests(
        folder,
        """
        - name: a clinic reads of HIPAA
          given: {message: hi, tenant: clinic}
          expect: {system: {contains: HIPAA}, contributors: [role, rules]}
        - name: everyone reads of HIPAA
          given: {message: hi}
          expect:
            system:
              contains: HIPAA
            tokens: {at_most: 2}
        """,
    )
    done = victor("test", "victor.yml", "--format", "json")
    assert done.code == 1
    assert done.json == {
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "tests": [
            {"name": "a clinic reads of HIPAA", "file": "victor.yml", "line": 13, "status": "passed", "failures": []},
            {
                "name": "everyone reads of HIPAA",
                "file": "victor.yml",
                "line": 16,
                "status": "failed",
                "failures": [
                    {
                        "path": "/tests/1/expect/system/contains",
                        "line": 20,
                        "expected": "contains 'HIPAA'",
                        "got": "'You help customers of Acme.'",
                    },
                    {"path": "/tests/1/expect/tokens/at_most", "line": 21, "expected": "at most 2", "got": "12"},
                ],
            },
        ],
    }


def test_the_text_names_the_line_what_was_expected_and_what_was_there(folder: Path, victor: Victor) -> None:
    _tests(
        folder,
        """
        - {name: it repeats, given: {message: hi}, expect: {reply: "You said: hi", stop_reason: stop}}
        - {name: it greets, given: {message: hi}, expect: {reply: {matches: "^Hello"}}}
        - {name: later, skip: it is not written yet, given: {message: hi}, expect: {reply: x}}
        """,
    )
    done = victor("test", "victor.yml")
    assert done.code == 1
    assert done.out.rpartition(", in ")[0] == textwrap.dedent(
        """\
        victor.yml
          passed   it repeats
          failed   it greets
          skipped  later (it is not written yet)

        victor.yml:14: it greets: expect.reply.matches
            expected: matches /^Hello/
            got:      'You said: hi'

        3 tests: 1 passed, 1 failed, 1 skipped"""
    )


@pytest.mark.parametrize(
    ("expect", "fails"),
    [
        ("{settings: {temperature: 0.5}}", False),
        ("{settings: {temperature: {at_least: 0.4, less_than: 0.6}}}", False),
        ("{settings: {temperature: {more_than: 0.5}}}", True),
        ("{settings: {model: main, limits: {concurrency: 3}}}", True),
        ("{settings: {max_tokens: null}}", False),
        ("{system: You help customers of Acme.}", False),
        ("{system: You help}", True),
        ("{system: {not_contains: [HIPAA, secret]}}", False),
        ("{system: {not_contains: Acme}}", True),
        ("{system: {matches: 'customers of \\w+'}}", False),
        ("{message: hi}", False),
        ("{kept: [0]}", False),
        ("{kept: {contains: 1}}", True),
        ("{tokens: {system: 7, messages: {less_than: 6}, tools: 0}}", False),
        ("{tokens: {system: 8}}", True),
        ("{contributors: {first: role, count: 1}}", False),
        ("{contributors: {count: {at_least: 2}}}", True),
        ("{contributors: {not_contains: rules}}", False),
        ("{plan: {matches: '^[0-9a-f]{64}$'}}", False),
        ("{model: main}", False),
        ("{error: over-budget}", True),
        ("{reply: {contains: [You, hi], not_contains: bye}}", False),
        ("{reply: {json_schema: {type: object}}}", True),
        ("{reply: {equals: bye}}", True),
        ("{stop_reason: length}", True),
        ("{tool_calls: []}", False),
        ("{tool_calls: {count: {at_least: 1}}}", True),
        ("{latency_ms: {less_than: 1000000000}}", False),
        ("{latency_ms: {less_than: 0}}", True),
        ("{cost_usd: {more_than: 1}}", True),
        ("{model: main, reply: {contains: hi}}", False),
        ("{settings: {temperature: {not_contains: 9}}}", True),
    ],
)
def test_an_expectation_holds_or_fails(expect: str, fails: bool, folder: Path, victor: Victor) -> None:
    _tests(folder, f"- {{name: a, given: {{message: hi}}, expect: {expect}}}")
    done = victor("test", "victor.yml", "--format", "json")
    assert _statuses(done) == {"a": "failed" if fails else "passed"}, done.out


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("{expect: {systm: x}}", "expect has no 'systm' [unknown-key]"),
        ("{expect: {system: {contain: x}}}", "expect.system has no 'contain' [unknown-key]"),
        ("{expect: {}}", "expect: it expects nothing, so the test would always pass [wrong-value]"),
        ("{expect: {system: {}}}", "expect.system: it checks nothing"),
        ("{expect: {system: {contains: ''}}}", "expect.system.contains must not be empty [wrong-value]"),
        ("{expect: {system: {contains: []}}}", "expect.system.contains must not be empty [wrong-value]"),
        ("{expect: {system: {matches: '('}}}", "expect.system.matches: it is no regular expression"),
        ("{expect: {system: {matches: '.*'}}}", "expect.system.matches: every text matches this pattern"),
        ("{expect: {system: {contains: a, not_contains: [b, a]}}}", "'a' is both in `contains` and in `not_contains`"),
        ("{expect: {system: {equals: abc, contains: x}}}", "`equals` does not contain 'x'"),
        ("{expect: {tokens: {at_least: 9, less_than: 9}}}", "expect.tokens: no number meets all of these bounds"),
        ("{expect: {settings: {temperatur: 1}}}", "expect.settings.temperatur: there is no such setting [unknown-key]"),
        ("{expect: {settings: {temperature: hot}}}", "expect.settings.temperature must be a number"),
        ("{expect: {tools: {not_contains: lookup_ordr}}}", "tools has no 'lookup_ordr' [unknown-name]"),
        ("{expect: {tool_calls: [refnd]}}", "tools has no 'refnd' [unknown-name]"),
        ("{expect: {contributors: [rool]}}", "contributors has no 'rool' [unknown-name]"),
        ("{expect: {model: mian}}", "models has no 'mian' [unknown-name]"),
        ("{expect: {judge: {model: mian, rubric: x, at_least: 0.5}}}", "models has no 'mian' [unknown-name]"),
        ("{expect: {error: x, reply: y}}", "`error` and `reply` cannot both hold"),
        ("{expect: {system: x}, repeats: 3}", "`repeats` needs an expectation on the reply"),
        ("{expect: {reply: x}, pass_rate: 0.5}", "`pass_rate` needs `repeats`"),
        ("{given: {message: hi, tenant: clinc}, expect: {system: x}}", "tenants has no 'clinc' [unknown-name]"),
        ("{given: {message: hi, arms: {tone: x}}, expect: {system: x}}", "variants has no 'tone' [unknown-name]"),
        ("{given: {messages: [{rol: user}]}, expect: {system: x}}", "given: messages[0]"),
        ("{given: {}, expect: {system: x}}", "given: a test gives either `message` or `messages`"),
        ("{given: {message: hi, tool_results: {lookup: x}}, expect: {system: x}}", "tools has no 'lookup'"),
        ("{each: [{a: 1}], expect: {system: ((b))}}", "the test has no parameter 'b' [unknown-name]"),
        ("{each: [{a: 1}], expect: {system: x}}", "nothing in the test uses the parameter 'a' [wrong-value]"),
        ("{each: [{a: 1}, {b: 1}], expect: {system: 'x ((a)) ((b))'}}", "this set of parameters lacks 'a'"),
        ("{each: [], expect: {system: x}}", "each must not be empty [wrong-value]"),
        ("{expect: {system: null}}", "expect.system is null, so it checks nothing [wrong-value]"),
        ("{expect: {reply: {contains: null, matches: a}}}", "expect.reply.contains is null, so it checks nothing"),
        ("{expect: {settings: {temperature: {at_least: null}}}}", "temperature.at_least is null, so it checks nothing"),
        ("{expect: {tool_calls: {equals: null}}}", "expect.tool_calls.equals is null"),
        ("{expect: {settings: {}}}", "`settings` names none, so it checks nothing"),
        ("{expect: {settings: {stop: {not_contains: []}}}}", "`not_contains` has no item, so it checks nothing"),
        ("{expect: {kept: {contains: []}}}", "expect.kept.contains must not be empty"),
        ("{expect: {kept: {not_contains: -1}}}", "expect.kept.not_contains must be at least 0, not -1"),
        (
            "{expect: {tools: {count: {at_least: 0}}}}",
            "expect.tools.count: it is never below 0, so this checks nothing",
        ),
        ("{expect: {tokens: {at_least: 0}}}", "expect.tokens: it is never below 0, so this checks nothing"),
        ("{expect: {latency_ms: {at_least: 0}}}", "expect.latency_ms: it is never below 0, so this checks nothing"),
        ("{expect: {error: over-budget, system: x}}", "`error` and `system` cannot both hold"),
        ("{expect: {reply: {json_schema: {type: objct}}}}", "JSON Schema has no type 'objct' [wrong-value]"),
        ("{expect: {reply: {json_schema: {requred: [a]}}}}", "JSON Schema has no keyword 'requred' [wrong-value]"),
        ("{expect: {reply: {json_schema: {properties: {a: {patern: x}}}}}}", "JSON Schema has no keyword 'patern'"),
        ("{expect: {reply: {json_schema: {pattern: '(a+'}}}}", "its schema is not valid: pattern:"),
    ],
)
def test_a_test_that_could_not_fail_or_not_pass_is_an_error(
    test: str, message: str, folder: Path, victor: Victor
) -> None:
    given = "" if "given:" in test else "given: {message: hi}, "
    _tests(folder, f"- {{name: a, {given}{test[1:]}")
    validated = victor("validate", "victor.yml")
    assert (validated.code, message in validated.out) == (1, True), validated.out
    done = victor("test", "victor.yml", "--format", "json")
    assert done.code == 1
    assert done.json["passed"] == 0
    assert any(message in failure["got"] for failure in done.json["tests"][0]["failures"]), done.json


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ("tests: []\n", "`tests` has no test [no-tests]"),
        ("tests: [none/*.yml]\n", "'none/*.yml' names no file [no-tests]"),
        ("tests: [gone.yml]\n", "cannot read 'gone.yml': there is no such file [unreadable-file]"),
        ("tests: [empty.yml]\n", "the file has no test [no-tests]"),
        ("tests: [map.yml]\n", "the top of the file is a map, not a list [wrong-type]"),
        ("tests:\n  - {name: a, given: {message: x}, expect: {reply: x}}\n" * 1 + "  - {name: a, given: {message: y}, expect: {reply: y}}\n",
         "two tests are named 'a' [duplicate-name]"),
    ],
)  # fmt: skip
def test_a_suite_that_is_empty_or_cannot_be_read_is_an_error(
    tests: str, message: str, folder: Path, victor: Victor
) -> None:
    (folder / "victor.yml").write_text(SPEC + tests)
    (folder / "empty.yml").write_text("[]\n")
    (folder / "map.yml").write_text("name: a\n")
    done = victor("test", "victor.yml", "--format", "json")
    assert (done.code, message in done.err) == (1, True), done.err


def test_a_file_that_is_named_twice_is_read_once(folder: Path, victor: Victor) -> None:
    (folder / "more.yml").write_text("- {name: a, given: {message: hi}, expect: {reply: {contains: hi}}}\n")
    (folder / "victor.yml").write_text(SPEC + 'tests: [more.yml, "m*.yml", ./more.yml]\n')
    done = victor("test", "victor.yml", "--format", "json")
    assert (done.code, done.json["passed"]) == (0, 1), done.err


def test_a_test_that_is_written_twice_by_an_alias_is_an_error(folder: Path, victor: Victor) -> None:
    _tests(folder, "- &a {name: a, given: {message: hi}, expect: {reply: {contains: hi}}}\n- *a\n")
    done = victor("test", "victor.yml", "--format", "json")
    assert (done.code, "two tests are named 'a' [duplicate-name]" in done.err) == (1, True), done.err


def test_a_spec_without_tests_is_an_error(folder: Path, victor: Victor) -> None:
    done = victor("test", "victor.yml")
    assert (done.code, "the spec has no tests" in done.out) == (1, True)


def test_tests_come_from_files_too_and_fail_there(folder: Path, victor: Victor) -> None:
    (folder / "victor.yml").write_text(
        SPEC + "tests:\n  - {name: inline, given: {message: x}, expect: {reply: {contains: x}}}\n  - tests/*.yml\n"
    )
    (folder / "tests").mkdir()
    (folder / "tests" / "b.yml").write_text("- {name: second, given: {message: x}, expect: {reply: {contains: x}}}\n")
    (folder / "tests" / "a.yml").write_text(
        "# the first\n- name: first\n  given: {message: x}\n  expect: {reply: {contains: y}}\n"
    )
    done = victor("test", "victor.yml", "--format", "json")
    assert _statuses(done) == {"inline": "passed", "first": "failed", "second": "passed"}
    failed = done.json["tests"][1]
    assert (failed["file"], failed["line"]) == ("tests/a.yml", 2)
    assert (failed["failures"][0]["path"], failed["failures"][0]["line"]) == ("/0/expect/reply/contains", 4)
    (folder / "tests" / "a.yml").write_text("- {name: first, given: {mesage: x}, expect: {reply: x}}\n")
    validated = victor("validate", "victor.yml")
    assert "tests/a.yml:1:25: error: given has no 'mesage' [unknown-key]" in validated.out


def test_other_commands_do_not_read_tests(folder: Path, victor: Victor) -> None:
    (folder / "victor.yml").write_text(SPEC + "tests: [gone/*.yml, {name: broken}]\n")
    assert victor("run", "victor.yml", "hi").out == "You said: hi\n"
    assert victor("render", "victor.yml", "--message", "hi").code == 0


def test_tests_do_not_change_the_digest(folder: Path, victor: Victor) -> None:
    (folder / "victor.yml").write_text(SPEC)
    before = victor("render", "victor.yml", "--message", "hi").json["plan"]
    _tests(folder, f"- {{name: a, given: {{message: hi}}, expect: {{plan: {before}}}}}")
    assert victor("test", "victor.yml").code == 0


def test_parameters_make_a_test_of_each_set_and_keep_their_types(folder: Path, victor: Victor) -> None:
    _tests(
        folder,
        """
        - name: it repeats ((text))
          each: [{text: salut, tokens: 14, arms: {}}, {text: hi, tokens: 15, arms: null}]
          given: {message: "((text)), ((text))", arms: ((arms))}
          expect: {reply: "You said: ((text)), ((text))", tokens: {at_most: ((tokens))}}
        - name: no parameter in the name
          each: [{text: a}, {text: b}]
          given: {message: ((text))}
          expect: {reply: {contains: ((text))}}
        """,
    )
    done = victor("test", "victor.yml", "--format", "json")
    assert _statuses(done) == {
        "it repeats salut": "passed",
        "it repeats hi": "passed",
        "no parameter in the name (1)": "passed",
        "no parameter in the name (2)": "passed",
    }, done.out


def test_tests_are_request_lines_for_render_run_and_plan(folder: Path, victor: Victor) -> None:
    spec = SPEC + "variants: {tone: {arms: {control: {}, warm: {with: {settings: {temperature: 0.9}}}}}}\n"
    (folder / "victor.yml").write_text(spec)
    (folder / "tests.yml").write_text(
        """\
- name: asks ((q))
  each: [{q: one}, {q: two}]
  given: {message: ((q)), tenant: clinic, arms: {tone: warm}}
  expect: {reply: {contains: ((q))}}
"""
    )
    rendered = victor("render", "victor.yml", "--input", "tests.yml").lines
    assert [(line["id"], line["tenant"], line["variants"]) for line in rendered] == [
        ("asks one", "clinic", {"tone": "warm"}),
        ("asks two", "clinic", {"tone": "warm"}),
    ]
    assert {line["reply"] for line in victor("run", "victor.yml", "--input", "tests.yml").lines} == {
        "You said: one",
        "You said: two",
    }
    (folder / "new.yml").write_text(spec.replace("temperature: 0.9", "temperature: 0.8").replace("Acme.", "Acme Ltd."))
    planned = victor("plan", "victor.yml", "new.yml", "--traffic", "tests.yml", "--format", "json").json
    assert (planned["traffic"]["requests"], planned["traffic"]["changed"]) == (2, 2)
    (folder / "tests.yml").write_text("- {name: a, given: {}, expect: {reply: x}}\n")
    done = victor("render", "victor.yml", "--input", "tests.yml")
    assert (done.code, "tests.yml:1: given: a test gives either" in done.err) == (2, True), done.err


def test_an_expression_selects_tests(folder: Path, victor: Victor) -> None:
    names = ["acme gets HIPAA", "acme gets French", "globex gets German"]
    _tests(
        folder, "".join(f"- {{name: {n}, given: {{message: x}}, expect: {{reply: {{contains: x}}}}}}\n" for n in names)
    )

    def chosen(expression: str) -> list[str]:
        return [*_statuses(victor("test", "victor.yml", "--format", "json", "-k", expression))]

    assert chosen("hipaa") == names[:1]
    assert chosen("acme and not HIPAA") == names[1:2]
    assert chosen("gets german or (acme and french)") == names[1:]
    for expression, fault in (("nobody", "no test matches"), ("a and", "a word is missing"), ("(a", "not closed")):
        done = victor("test", "victor.yml", "-k", expression)
        assert (done.code, fault in done.err) == (2, True), done.err


def test_the_order_of_results_is_that_of_the_tests(folder: Path, victor: Victor) -> None:
    scripted = SPEC.replace(
        '{type: echo, prefix: "You said: "}', "{type: scripted, replies: [{content: x, delay_seconds: 5}]}"
    )
    names = [f"test {n}" for n in range(30)]
    _tests(folder, "".join(f"- {{name: {n}, given: {{message: x}}, expect: {{reply: x}}}}\n" for n in names), scripted)
    for concurrency in ("1", "20"):
        done = victor("test", "victor.yml", "--format", "json", "-n", concurrency)
        assert [test["name"] for test in done.json["tests"]] == names
        assert done.json["passed"] == 30


def test_a_pattern_that_never_ends_fails_its_test(folder: Path, victor: Victor) -> None:
    _tests(
        folder,
        "- {name: slow, given: {message: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!}, expect: {reply: {matches: '(a+)+$'}}}",
    )
    done = victor("test", "victor.yml", "--format", "json")
    assert "longer than 1 s" in done.json["tests"][0]["failures"][0]["got"]


@pytest.mark.parametrize(
    ("reply", "schema", "got"),
    [
        ("{}", '{$ref: "URL/schema.json"}', "'URL/schema.json', which is not in it; other documents are not fetched"),
        ("{}", '{$ref: "#/$defs/gone"}', "'/$defs/gone', which is not in it"),
        ("{}", '{$ref: "#"}', "the schema refers to itself without an end"),
        ('"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"', "{pattern: '^(a+)+$'}", "the check takes longer than 1 s"),
        (
            "[1]",
            '{$schema: "http://json-schema.org/draft-07/schema#", items: [{type: string}]}',
            "/0: 1 is not of type",
        ),
    ],
)
def test_a_schema_that_does_not_end_or_is_elsewhere_fails_its_test(
    reply: str, schema: str, got: str, folder: Path, victor: Victor
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        server.setblocking(False)
        spec = f"victor: 1\nname: a\nmodels: {{main: {{type: scripted, replies: ['{reply}']}}}}\nsettings: {{model: main}}\n"
        schema = schema.replace("URL", url)
        _tests(folder, f"- {{name: a, given: {{message: hi}}, expect: {{reply: {{json_schema: {schema}}}}}}}", spec)
        done = victor("test", "victor.yml", "--format", "json")
        with pytest.raises(BlockingIOError):
            server.accept()
    assert _statuses(done) == {"a": "failed"}, done.err
    assert got.replace("URL", url) in done.json["tests"][0]["failures"][0]["got"]


def test_a_pass_rate_asks_for_one_good_repeat_at_least(folder: Path, victor: Victor) -> None:
    _tests(
        folder,
        "- {name: a, given: {message: hi}, expect: {reply: {contains: no}}, repeats: 2, pass_rate: 0.000000000001}",
    )
    assert _statuses(victor("test", "victor.yml", "--format", "json")) == {"a": "failed"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("{order: 7}", "passed"),
        ("{filter: {state: {contains: op}}}", "passed"),
        ("{}", "failed"),
        ("{ordr: {not_contains: x}}", "failed"),
        ("{ordr: null}", "failed"),
        ("{order: {not_contains: x}}", "failed"),
        ("{filter: {}}", "failed"),
        ("{filter: {stat: {not_contains: x}}}", "failed"),
    ],
)
def test_expected_arguments_must_be_there(arguments: str, status: str, folder: Path, victor: Victor) -> None:
    call = "{name: find, arguments: {order: 7, filter: {state: open}}}"
    spec = f"""\
victor: 1
name: a
models: {{main: {{type: scripted, replies: [{{tool_calls: [{call}]}}, done]}}}}
settings: {{model: main}}
tools: [{{type: http, name: find, url: "http://127.0.0.1:9/", parameters: {{order: integer, filter: object}}, description: Find.}}]
"""
    expect = f"{{tool_calls: [{{name: find, arguments: {arguments}}}]}}"
    _tests(folder, f"- {{name: a, given: {{message: hi, tool_results: {{find: x}}}}, expect: {expect}}}", spec)
    done = victor("test", "victor.yml", "--format", "json")
    assert _statuses(done) == {"a": status}, done.out + done.err


def test_nothing_is_counted_stored_exported_or_admitted(folder: Path, victor: Victor) -> None:
    spec = SPEC.replace("unknown_tenants: refuse\n", "") + textwrap.dedent(
        """\
        databases: {app: {type: sqlite, path: .victor/app.db}}
        exporters: [{type: jsonl, path: .victor/events.jsonl}]
        sessions: {type: sqlite, database: app}
        middleware:
          - {type: auth, keys: keys.yml}
          - {type: rate_limit, per: session, requests_per_minute: 1}
        unknown_tenants: refuse
        """
    )
    (folder / "keys.yml").write_text("[]\n")
    test = "given: {message: x, session: s, tenant: clinic}, expect: {reply: {contains: x}, kept: [0], contributors: [role, rules]}"
    _tests(folder, f"- {{name: one, {test}}}\n- {{name: two, {test}}}\n- {{name: three, {test}}}\n", spec)
    done = victor("test", "victor.yml", "--format", "json")
    assert [*_statuses(done).values()] == ["passed"] * 3, done.out
    assert not [path for path in (folder / ".victor").rglob("*") if path.name.startswith(("app.db", "events"))]


def test_stand_ins_answer_in_the_place_of_tools(folder: Path, victor: Victor) -> None:
    script = "[{tool_calls: [{name: lookup_order, arguments: {order: 7}}, {name: refund, arguments: {order: 7, amount: 2.5}}]}, Done.]"
    spec = SPEC.replace(
        '{type: echo, prefix: "You said: "}', f"{{type: scripted, replies: {script}}}"
    ) + textwrap.dedent(
        """\
        tools:
          - {type: python, name: lookup_order, function: "shop:lookup_order"}
          - {type: python, name: refund, function: "shop:refund"}
        """
    )
    (folder / "shop.py").write_text(TOOLS)
    calls = """\
        - name: it refunds
          given: {message: refund order 7, tool_results: {lookup_order: {state: lost}, refund: paid}}
          expect:
            reply: Done.
            sent_tools: {contains: [refund, lookup_order]}
            tool_calls:
              - {name: lookup_order, arguments: {order: 7}}
              - {name: refund, arguments: {amount: {at_most: 3}}}
        - name: it pays too much
          given: {message: refund order 7, tool_results: {lookup_order: lost, refund: paid}}
          expect: {tool_calls: {contains: {name: refund, arguments: {amount: {less_than: 2}}}}}
        - name: in the other order
          given: {message: refund order 7, tool_results: {lookup_order: lost, refund: paid}}
          expect: {tool_calls: {in_order: [refund, lookup_order]}}
        """
    _tests(folder, textwrap.dedent(calls), spec)
    done = victor("test", "victor.yml", "--format", "json")
    assert [*_statuses(done).values()] == ["passed", "failed", "failed"], done.out
    assert done.json["tests"][1]["failures"] == [
        {
            "path": "/tests/1/expect/tool_calls/contains",
            "line": 25,
            "expected": 'the call refund with {"amount":{"less_than":2}}',
            "got": 'lookup_order({"order":7}), refund({"order":7,"amount":2.5})',
        }
    ]
    assert not (folder / "called.txt").exists()


def test_an_expected_error_is_no_failure(folder: Path, victor: Victor) -> None:
    spec = SPEC.replace('{type: echo, prefix: "You said: "}', "{type: scripted, replies: [{error: overloaded}]}")
    _tests(
        folder,
        """
        - {name: refused, given: {message: x, tenant: nobody}, expect: {error: refused}}
        - {name: overloaded, given: {message: x}, expect: {error: {code: model-overloaded, message: {contains: script}}}}
        - {name: unexpected, given: {message: x}, expect: {reply: x}}
        """,
        spec,
    )
    done = victor("test", "victor.yml", "--format", "json")
    assert _statuses(done) == {"refused": "passed", "overloaded": "passed", "unexpected": "error"}
    assert done.code == 1


def test_a_judge_scores_the_reply(folder: Path, victor: Victor) -> None:
    spec = SPEC.replace(
        "settings:", '  judge: {type: echo, reply: \'I think: {"reason": "it is cold", "score": 0.4}\'}\nsettings:'
    )
    judge = (
        "- {name: NAME, given: {message: x}, expect: {judge: {model: judge, rubric: It is warm., at_least: SCORE}}}\n"
    )
    _tests(
        folder,
        judge.replace("NAME", "low").replace("SCORE", "0.4") + judge.replace("NAME", "high").replace("SCORE", "0.5"),
        spec,
    )
    done = victor("test", "victor.yml", "--format", "json")
    assert _statuses(done) == {"low": "passed", "high": "failed"}
    assert done.json["tests"][1]["failures"][0]["got"] == "0.4: 'it is cold' of 'You said: x'"
    (folder / "victor.yml").write_text((folder / "victor.yml").read_text().replace('\\"score\\": 0.4', ""))
    done = victor("test", "victor.yml", "-k", "low")
    assert victor("validate", "victor.yml").code == 0


def test_junit_is_read_by_a_parser(folder: Path, victor: Victor) -> None:
    _tests(
        folder,
        r"""
        - {name: good, given: {message: hi}, expect: {reply: {contains: hi}}}
        - {name: "bad <&> \"quoted\"", given: {message: "\x01 ]]> <x>"}, expect: {reply: {equals: "bye"}}}
        - {name: later, skip: not now, given: {message: x}, expect: {reply: x}}
        """,
    )
    done = victor("test", "victor.yml", "--format", "junit")
    (folder / "junit.xml").write_text(done.out)
    (suite,) = JUnitXml.fromfile(str(folder / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 1, 0, 1)
    good, bad, later = suite
    assert (good.name, good.result) == ("good", [])
    assert bad.name == 'bad <&> "quoted"'
    assert isinstance(bad.result[0], Failure)
    assert "]]> <x>" in bad.result[0].text
    assert (later.is_skipped, later.result[0].message) == (True, "not now")


def test_watching_runs_the_tests_again_when_a_file_changes(folder: Path) -> None:
    (folder / "tests").mkdir()
    (folder / "victor.yml").write_text(SPEC + "tests: [tests/*.yml]\n")
    (folder / "tests" / "a.yml").write_text("- {name: first, given: {message: x}, expect: {reply: {contains: x}}}\n")
    with in_a_process(
        "test", "victor.yml", "--watch", cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert _until(process.stdout, "1 test: 1 passed")
        (folder / "tests" / "b.yml").write_text(
            "- {name: second, given: {message: x}, expect: {reply: {contains: y}}}\n"
        )
        assert _until(process.stdout, "2 tests: 1 passed, 1 failed")
        (folder / "victor.yml").write_text(SPEC + "tests: [tests/*.yml\n")
        assert _until(process.stdout, "1 test: 1 with an error")
        (folder / "victor.yml").write_text(SPEC + "tests: [tests/a.yml]\n")
        assert _until(process.stdout, "1 test: 1 passed")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130


def _until(stream: IO[bytes], text: str) -> bool:
    """Whether a line has the text; it waits for further lines until the stream ends."""
    return any(text in line.decode() for line in stream)


def test_an_untrusted_spec_reads_no_test_outside_its_folder_and_asks_nobody(folder: Path, victor: Victor) -> None:
    (folder / "inside").mkdir()
    (folder / "secret.yml").write_text("- {name: secret, given: {message: x}, expect: {reply: x}}\n")
    for written in ("../secret.yml", "../*.yml"):
        (folder / "inside" / "victor.yml").write_text(SPEC + f"tests: ['{written}']\n")
        done = victor("test", "inside/victor.yml", "--untrusted")
        assert (done.code, "outside the spec's folder" in done.err, "secret'" in done.err) == (1, True, False), done.err
    assert victor("test", "inside/victor.yml", "--untrusted", "--live").code == 2
