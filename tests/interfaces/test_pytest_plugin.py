"""The pytest plugin: it runs the tests of specs, and leaves all other YAML files and sessions alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SPEC = """\
victor: 1
name: demo
models:
  main: {type: echo}
contributors:
  - {type: text, text: You help customers of Acme.}
tests:
  - {name: it knows the company, given: {message: hi}, expect: {system: {contains: Acme}}}
  - name: it repeats
    given: {message: hi}
    expect:
      reply: bye
  - {name: later, skip: not now, given: {message: hi}, expect: {reply: x}}
"""


def _run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    options = ["-p", "no:cacheprovider", *(() if _is_installed() else ("-p", "victor_dsl.interfaces.pytest_plugin"))]
    return pytester.runpytest_subprocess(*options, *arguments)


def _is_installed() -> bool:
    from importlib.metadata import entry_points

    return any(entry.name == "victor" for entry in entry_points(group="pytest11"))


def test_each_test_of_a_spec_is_an_item(pytester: pytest.Pytester) -> None:
    (pytester.path / "victor.yml").write_text(SPEC)
    result = _run(pytester, "victor.yml", "-v")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "victor.yml::it knows the company PASSED*",
            "victor.yml:12: it repeats: expect.reply",
            "    expected: 'bye'",
            "    got:      'hi'",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_specs_are_found_beside_python_tests(pytester: pytest.Pytester) -> None:
    (pytester.path / "specs").mkdir()
    (pytester.path / "specs" / "shop.yaml").write_text(SPEC)
    pytester.makepyfile(test_python="def test_python(): pass")
    result = _run(pytester, "-k", "company or python")
    result.assert_outcomes(passed=2, deselected=2)


def test_other_yaml_is_left_alone(pytester: pytest.Pytester) -> None:
    others = {
        "compose.yml": "services: {victor: {image: x}}\ntests: []\n",
        "broken.yaml": "victor: [\n\tx\n",
        "indented.yml": "a:\n  victor: 1\n  tests: []\n",
        "spec.yml": "victor: 1\nname: demo\nmodels: {main: {type: echo}}\n",
        "binary.yml": "\0\1\2",
    }
    for name, text in others.items():
        (pytester.path / name).write_text(text)
    (pytester.path / "gone.yml").symlink_to("nowhere.yml")
    pytester.makepyfile("def test_python(): pass")
    result = _run(pytester)
    result.assert_outcomes(passed=1)


def test_a_faulty_spec_is_an_error_of_collection(pytester: pytest.Pytester) -> None:
    (pytester.path / "victor.yml").write_text(SPEC.replace("expect: {system", "expect: {systm"))
    result = _run(pytester, "victor.yml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["victor.yml:8:*: expect has no 'systm' [[]unknown-key]"])


def test_a_spec_without_tests_that_is_named_is_an_error(pytester: pytest.Pytester) -> None:
    (pytester.path / "victor.yml").write_text(SPEC.partition("tests:")[0])
    result = _run(pytester, "victor.yml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["victor.yml: the spec has no tests"])


def test_tests_of_a_spec_run_in_several_processes(pytester: pytest.Pytester) -> None:
    (pytester.path / "victor.yml").write_text(SPEC)
    result = _run(pytester, "-n", "2", "victor.yml")
    result.assert_outcomes(passed=1, failed=1, skipped=1)


def test_a_session_without_specs_imports_nothing_that_runs_them(tmp_path: Path) -> None:
    (tmp_path / "test_python.py").write_text(
        "import sys\n\ndef test_python():\n"
        "    heavy = {'asyncio.taskgroups', 'jinja2', 'numpy', 'aiohttp', 'pydantic', 'victor_dsl.compiler', 'victor_dsl.runtime'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    (tmp_path / "other.yml").write_text("a: 1\n")
    options = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist", "-p", "no:hypothesispytest"]
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *options,
        "-p",
        "victor_dsl.interfaces.pytest_plugin",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
