"""A path's files are those that it runs."""

from __future__ import annotations

from bench.sizes import ROOT, paths


def test_the_paths_of_a_reader_are_found_by_running_them() -> None:
    reply, diagnostics, openai, command_line = paths().values()
    assert "victor_dsl/runtime/orchestrator.py" in reply
    assert "victor_dsl/compiler/link.py" in diagnostics
    assert "victor_dsl/interfaces/cli/app.py" in command_line
    assert any(path.startswith("victor_dsl/components/models/openai") for path in openai)
    assert not set(openai) & set(reply)
    assert all((ROOT / path).is_file() for path in (*reply, *diagnostics, *openai, *command_line))
