"""The benchmark of gateways runs: its servers answer, and victor's own rows are whole."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from bench.gateway_clients import CLIENTS
from bench.gateways import PACKAGES, model_server, rounds

OWN = ["asyncio", "victor_min", "victor_full"]


@pytest.mark.parametrize("compiler", [None, "cc"])
def test_the_rows_that_need_no_peer_are_measured(compiler: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if compiler is None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    elif shutil.which(compiler) is None:
        pytest.skip("there is no C compiler")
    with model_server() as base:
        results = rounds({name: Path(sys.executable) for name in OWN}, base, 1, ["--calls", "32", "--connections", "4"])
    for found in results.values():
        assert [result["cpu_us"] > 0 for result in found] == [True]


def test_every_peer_is_said_how_to_be_installed() -> None:
    assert set(CLIENTS) - set(OWN) == set(PACKAGES)
