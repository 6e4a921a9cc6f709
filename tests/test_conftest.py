"""The check that a test leaves nothing behind, checked on tests that do."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]

LEAKS = {
    "tasks left behind": """
        import asyncio
        async def test_leak():
            test_leak.task = asyncio.create_task(asyncio.Event().wait())
    """,
    "threads left behind": """
        import threading
        def test_leak():
            threading.Thread(target=threading.Event().wait, daemon=True).start()
    """,
    "files left open": """
        def test_leak(tmp_path):
            test_leak.file = (tmp_path / "a").open("w")
    """,
}


@pytest.fixture(autouse=True)
def with_this_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of conftest.py finds what it names."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize("message", LEAKS)
def test_a_test_that_leaves_something_behind_fails(message: str, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(LEAKS[message])
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
    assert f"{message}: [" in result.stdout.str()
    result.assert_outcomes(passed=1, errors=1)


def test_a_tidy_asynchronous_test_passes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile("""
        import asyncio
        async def test_tidy(tmp_path):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.to_thread((tmp_path / "a").write_text, "done"))
    """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
    result.assert_outcomes(passed=1)


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 120
