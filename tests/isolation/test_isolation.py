"""No text of one tenant reaches another; and the search would find one that did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.isolation.run import isolate
from victor_dsl.components.sessions import postgres as postgres_sessions
from victor_dsl.components.tenant_rows import TenantRows
from victor_dsl.storage.tenant_key import EVERYONE


async def test_recipe_6_tenants_at_once_never_see_each_other_though_turns_are_killed(
    postgres_dsn: str, tmp_path: Path
) -> None:
    findings = await isolate(postgres_dsn, tmp_path, tenants=8, sessions=5, turns=3)
    assert findings.leaks == []
    assert findings.losses == []
    assert findings.killed > 5
    assert min(findings.looked_at.values()) >= 8, findings.looked_at


async def test_the_search_finds_a_row_that_is_kept_for_the_wrong_tenant(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = TenantRows.get

    async def mixed_up(self: TenantRows[Any], tenant: str) -> Any:
        return await really(self, tenant if not self._entries else next(iter(self._entries)))

    monkeypatch.setattr(TenantRows, "get", mixed_up)
    findings = await isolate(postgres_dsn, tmp_path, tenants=2, sessions=1, turns=2)
    assert any(leak.startswith("prompt sent") for leak in findings.leaks)


async def test_the_search_finds_histories_that_are_not_kept_apart(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_sessions, "session_key", lambda tenant, session, user: session.encode())
    monkeypatch.setattr(postgres_sessions, "tenant_key", lambda tenant: EVERYONE)
    monkeypatch.setattr("victor_dsl.storage.postgres_pool.tenant_key", lambda tenant: EVERYONE)
    findings = await isolate(postgres_dsn, tmp_path, tenants=2, sessions=1, turns=4)
    assert any(leak.startswith("prompt sent") for leak in findings.leaks)
    assert any(leak.startswith("what a tenant sees of") for leak in findings.leaks)
