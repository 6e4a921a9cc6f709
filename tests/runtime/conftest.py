"""A stage in the test's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)
