"""`--untrusted`: nothing that a spec points to is imported or started, by any way in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import victor_dsl
from bench.sizes import imports, reached
from tests.interfaces.conftest import OFFLINE, Victor
from victor_dsl.errors import SpecError
from victor_dsl.language.config import CommandLine, FunctionName, annotated_fields
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
        await victor_dsl.render("victor.yml", "Hi", untrusted=True)
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
    graph = imports()
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
