"""`--untrusted`: nothing that a spec points to is imported or started, by any way in."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import victor_dsl
from bench.sizes import imports, reached
from tests.interfaces.conftest import OFFLINE, Victor
from victor_dsl.errors import SpecError
from victor_dsl.language.annotations import CommandLine, FunctionName, annotated_fields
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry

MODULE = """\
from pathlib import Path

Path(__file__).with_name("ran").touch()

def greeting(turn):
    \"\"\"A greeting.\"\"\"
    return "Hello."

def wrapper(handler):
    return handler
"""
PROGRAM = f"[{json.dumps(sys.executable)}, -c, \"open('ran', 'w')\"]"
CODE = {
    "tool": 'tools: [{type: python, name: greet, function: "greetings:greeting"}]',
    "contributor": 'contributors: [{type: function, function: "greetings:greeting"}]',
    "middleware": 'middleware: [{type: function, function: "greetings:wrapper"}]',
    "program": f"tools: [{{type: mcp, name: clock, startup_seconds: 5, command: {PROGRAM}}}]",
}
COMMANDS = {
    "render": ("render", "victor.yml", "--message", "Hi"),
    "run": ("run", "victor.yml", "Hi"),
    "validate": ("validate", "victor.yml", "--connect"),
}


@pytest.fixture(params=CODE)
def ran(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The file that the code of a spec writes when it runs."""
    (folder / "greetings.py").write_text(MODULE)
    (folder / "victor.yml").write_text(f"{OFFLINE}{CODE[request.param]}\n")
    return folder / "ran"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_trusted_spec_runs_its_code(victor: Victor, ran: Path, command: tuple[str, ...]) -> None:
    victor(*command)
    assert ran.exists()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_untrusted_spec_runs_none_and_is_refused_at_the_place(
    victor: Victor, ran: Path, command: tuple[str, ...]
) -> None:
    done = victor(*command, "--untrusted")
    assert done.code == 1
    assert "victor.yml:5:" in done.out + done.err
    assert "[untrusted-code]" in done.out + done.err
    assert not ran.exists()


async def test_python_callers_can_refuse_it_too(ran: Path) -> None:
    with pytest.raises(SpecError, match="untrusted-code"):
        victor_dsl.load("victor.yml", untrusted=True)
    with pytest.raises(SpecError, match="untrusted-code"):
        async with victor_dsl.open("victor.yml", untrusted=True):
            pass
    assert victor_dsl.compile("victor.yml", untrusted=True).program is None
    assert victor_dsl.compile("victor.yml").program is not None
    assert not ran.exists()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_untrusted_spec_without_code_is_as_good_as_any(victor: Victor, command: tuple[str, ...]) -> None:
    assert victor(*command, "--untrusted").code == 0


def test_code_in_a_parent_s_overlay_is_found_in_the_file_that_wrote_it(victor: Victor, ran: Path) -> None:
    ran.with_name("victor.yml").rename(ran.with_name("parent.yml"))
    ran.with_name("victor.yml").write_text("extends: parent.yml\ntenants: {acme: {with: {settings: {seed: 1}}}}\n")
    done = victor("render", "victor.yml", "--message", "Hi", "--untrusted")
    assert (done.code, ran.exists()) == (1, False)
    assert "parent.yml:5:" in done.err


def test_every_component_that_can_import_or_start_something_marks_the_field() -> None:
    graph = imports(for_types=True)  # what is imported late is, too
    package = Path(victor_dsl.__path__[0])
    starting = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in package.rglob("*.py")
        if any(call in path.read_text() for call in ("create_subprocess", "subprocess.", "os.exec", "os.system"))
    }
    able = {"victor_dsl.language.importing", *starting}
    registry = Registry(entry_points=False)
    running, marked = set(), set()
    for kind in KINDS:
        for type in registry.types(kind):
            component = registry.find(kind, type)
            assert component is not None
            if any(
                isinstance(annotation, FunctionName | CommandLine)
                for annotation in annotated_fields(component.config).values()
            ):
                marked.add(f"{kind}/{type}")
            if reached(f"victor_dsl.components.{kind}.{type}", graph) & able:
                running.add(f"{kind}/{type}")
    assert running == marked
    assert {"tools/mcp", "tools/python"} <= marked


@pytest.fixture
def outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file beside the spec's folder, which is now the current one."""
    (folder / "specs").mkdir()
    monkeypatch.chdir(folder / "specs")
    path = folder / "outside.yml"
    path.write_text("description: hunter2\n")
    return path


NAMED = {
    "extends": "extends: PATH",
    "reference": 'contributors: [{type: text, text: "${file:PATH}"}]',
    "contributor": "contributors: [{type: file, path: PATH}]",
    "optional": "contributors: [{type: file, path: PATH, optional: true}]",
    "template": "contributors: [{type: template, path: PATH}]",
    "provider": "providers: [{type: file, path: PATH}]",
    "keys": "middleware: [{type: auth, keys: PATH}]",
    "database": "databases: {main: {type: sqlite, path: PATH}}",
    "exporter": "exporters: [{type: jsonl, path: PATH}]",
    "recording": "models: {main: {type: scripted, path: PATH}}",
    "tenant": "tenants: {acme: {with: {contributors: {a: {type: file, path: PATH}}}}}",
}


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("path", ["../outside.yml", "link.yml", "../specs/../outside.yml"])
def test_a_file_outside_the_folder_is_refused_at_the_place(
    victor: Victor, outside: Path, named: str, path: str
) -> None:
    (outside.parent / "specs" / "link.yml").symlink_to(outside)
    head = OFFLINE.replace("models:\n  main: {type: echo}\n", "") if named.startswith("models") else OFFLINE
    (outside.parent / "specs" / "victor.yml").write_text(head + named.replace("PATH", path) + "\n")
    for command in (
        ("validate", "victor.yml", "--env"),
        ("render", "victor.yml", "--message", "Hi"),
        ("graph", "victor.yml"),
    ):
        done = victor(*command, "--untrusted")
        assert done.code != 0
        assert "untrusted spec" in done.out + done.err
        assert "hunter2" not in done.out + done.err


def test_a_spec_that_is_itself_a_link_out_of_its_folder_is_not_read(victor: Victor, outside: Path) -> None:
    (outside.parent / "specs" / "link.yml").symlink_to(outside)
    done = victor("validate", "link.yml", "--untrusted")
    assert (done.code, "[unreadable-file]" in done.out) == (1, True)


@pytest.mark.parametrize("reference", ["${env:HUNTER}", "${file:own.txt}"])
def test_references_have_no_value(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setenv("HUNTER", "hunter2")
    (folder / "own.txt").write_text("hunter2")
    (folder / "victor.yml").write_text(f'{OFFLINE}contributors: [{{type: text, text: "{reference}"}}]\n')
    assert "hunter2" in victor("render", "victor.yml", "--message", "Hi").out
    assert victor("validate", "victor.yml", "--untrusted").code == 0
    done = victor("render", "victor.yml", "--message", "Hi", "--untrusted")
    assert done.code == 3
    assert (
        "victor.yml:5:36: error: an untrusted spec has no variables, and no `${file:…}` [missing-variable]" in done.err
    )
    assert "hunter2" not in done.out + done.err


def test_the_default_of_a_variable_stays(victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUNTER", "hunter2")
    (folder / "victor.yml").write_text(f'{OFFLINE}contributors: [{{type: text, text: "${{env:HUNTER:-nobody}}"}}]\n')
    assert victor("render", "victor.yml", "--message", "Hi", "--untrusted").json["system"] == "nobody"


def test_a_provider_of_the_environment_finds_nothing(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUNTER_TEMPERATURE", "0.75")
    (folder / "victor.yml").write_text(f"{OFFLINE}providers: [{{type: env, prefix: HUNTER_}}]\n")
    render = ("render", "victor.yml", "--message", "Hi")
    assert victor(*render).json["settings"]["temperature"] == 0.75
    assert "temperature" not in victor(*render, "--untrusted").json["settings"]


def test_a_secret_has_no_value_when_the_spec_runs(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUNTER", "hunter2")
    model = '{type: openai, model: m, context_window: 9000, base_url: "http://127.0.0.1:1", api_key: "${env:HUNTER}"}'
    (folder / "victor.yml").write_text(f"victor: 1\nname: demo\nmodels:\n  main: {model}\n")
    done = victor("run", "victor.yml", "Hi", "--untrusted")
    assert done.code == 3
    assert "an untrusted spec has no" in done.err


SOCKETS = {
    "tool": "tools: [{type: mcp, name: m, startup_seconds: 5, url: 'http://127.0.0.1:PORT/mcp'}]",
    "name": "tools: [{type: mcp, name: m, startup_seconds: 5, url: 'http://localhost:PORT/mcp'}]",
    "redis": "databases: {main: {type: redis, url: 'redis://127.0.0.1:PORT'}}\nsessions: {type: redis, database: main}",
    "postgres": "databases: {main: {type: postgres, dsn: 'postgres://a@127.0.0.1:PORT/a'}}\n"
    "providers: [{type: tenant, database: main}]",
}


@pytest.mark.parametrize("named", SOCKETS.values(), ids=SOCKETS)
def test_nothing_is_connected(victor: Victor, folder: Path, named: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        (folder / "victor.yml").write_text(f"{OFFLINE}{named.replace('PORT', str(port))}\n")
        for command in (
            ("render", "victor.yml", "--message", "Hi", "--tenant", "t"),
            ("validate", "victor.yml", "--connect"),
        ):
            victor(*command, "--untrusted")
            with pytest.raises(BlockingIOError):
                server.accept()
        with socket.create_connection(server.getsockname()):  # when the command has ended it is as before
            server.accept()[0].close()


def test_an_untrusted_spec_cannot_choose_a_file_by_a_variable(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text('victor: 1\nname: s\nextends: "${env:STAGE}.yml"\n')
    (folder / "dev.yml").write_text("victor: 1\nname: dev\nmodels: {main: {type: echo}}\n")
    assert victor("validate", "victor.yml", "--untrusted").code == 0
    done = victor("run", "victor.yml", "Hi", "--untrusted")
    assert "hint: write the path itself, or leave out `--untrusted`; STAGE can be dev" in done.out + done.err


def _combinations(folder: Path, count: int) -> None:
    tenants = "".join(f"  t{n}: {{with: {{vars: {{v: 1}}}}}}\n" for n in range(count))
    arms = "".join(f"      a{n}: {{with: {{settings: {{temperature: 0.1}}}}}}\n" for n in range(count))
    (folder / "victor.yml").write_text(
        f"{OFFLINE}vars: {{v: 0}}\nunknown_tenants: refuse\ntenants:\n{tenants}variants:\n  e:\n    arms:\n{arms}"
    )


@pytest.mark.parametrize("command", ["validate", "graph"])
@pytest.mark.parametrize(("name", "most", "said"), [("SECONDS", 0.2, "0.2 seconds of CPU"), ("BYTES", 2**24, "16 MiB")])
def test_combinations_that_take_too_much_end_with_an_error(
    victor: Victor, folder: Path, command: str, name: str, most: float, said: str
) -> None:
    _combinations(folder, 100)
    program = (
        "from victor_dsl.interfaces.cli import bounded, main\n"
        f"bounded.MOST_{name} = {most}\n"
        f"main(['{command}', 'victor.yml', '--untrusted'])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: compiling takes more than {said}")
    assert victor(command, "victor.yml").code == 0


def test_what_an_untrusted_command_bounded_is_free_after_it(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _combinations(folder, 1)
    limits = resource.getrlimit(resource.RLIMIT_DATA), signal.getsignal(signal.SIGPROF)
    assert victor("validate", "victor.yml", "--untrusted").code == 0
    assert (resource.getrlimit(resource.RLIMIT_DATA), signal.getsignal(signal.SIGPROF)) == limits
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_nul_in_a_path_is_a_fault_at_the_path(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(f'{OFFLINE}middleware: [{{type: auth, keys: "a\\\\0"}}]\n')
    done = victor("validate", "victor.yml")
    assert (done.code, "victor.yml:5:33: error: cannot read" in done.out) == (1, True)
