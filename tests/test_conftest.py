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
TIDY = """
    import asyncio
    async def test_tidy(tmp_path):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread((tmp_path / "a").write_text, "done"))
"""


@pytest.fixture(autouse=True)
def with_this_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of conftest.py finds what it names."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_a_test_that_leaves_something_behind_fails_and_a_tidy_one_passes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(
        **{f"test_{name.partition(' ')[0]}": program for name, program in LEAKS.items()}, test_tidy=TIDY
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
    for message in LEAKS:
        assert f"{message}: [" in result.stdout.str()
    result.assert_outcomes(passed=len(LEAKS) + 1, errors=len(LEAKS))


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 120
