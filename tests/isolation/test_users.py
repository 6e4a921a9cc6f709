"""No message of one user reaches another, on any session store; and the search would find one that did."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.isolation.users import STORES, TURNS, prepared, separate


@pytest.fixture
async def environment(postgres_dsn: str, redis_url: str) -> dict[str, str]:
    await prepared(postgres_dsn)
    return {"DSN": postgres_dsn, "REDIS": redis_url}


@pytest.mark.parametrize("store", STORES)
async def test_users_with_the_same_session_ids_never_see_each_other(
    store: str, environment: dict[str, str], tmp_path: Path
) -> None:
    reader = await separate(tmp_path, STORES[store], environment, sessions=10)
    assert reader.faults == []
    assert reader.answered == 4 * 10 * TURNS


async def test_the_search_finds_users_who_share_their_sessions(environment: dict[str, str], tmp_path: Path) -> None:
    reader = await separate(tmp_path, "{type: memory, shared: true}", environment, sessions=2)
    assert any("acme/ann" in fault and "acme/bob" in fault for fault in reader.faults)
    assert not any("acme" in fault and "globex" in fault for fault in reader.faults)
