"""What the search for texts of other tenants reads, and what it finds."""

from __future__ import annotations

import gc
import re
from typing import Any

from attrs import define, field

from victor_dsl.components.stored_turns import messages_from_text
from victor_dsl.components.tenant_rows import TenantRows
from victor_dsl.runtime.coordinators.provider_layers import ProviderMemory
from victor_dsl.storage.postgres_pool import PostgresPool

MARK = re.compile(r"MARK-\d{4}-[0-9a-f]{8}")
TABLES = ("tenant_configs", "tenant_prompt_templates", "sessions", "session_messages", "analytics_events")


@define
class Tenant:
    """One tenant: its id, its mark, and the turns of each session whose reply was seen."""

    id: str
    mark: str
    seen: dict[str, list[str]] = field(factory=dict)


@define
class Findings:
    """How much was searched, by kind; how many turns were killed; and every leak and loss. `latency_s` is that of the last turn."""

    looked_at: dict[str, int] = field(factory=dict)
    turns: int = 0
    killed: int = 0
    seconds: float = 0.0
    latency_s: float = 0.0
    leaks: list[str] = field(factory=list)
    losses: list[str] = field(factory=list)

    def look(self, kind: str, own: str | None, *things: Any) -> None:
        """Searches a text for the marks of other tenants; a text without a known owner, for the marks of several tenants."""
        self.looked_at[kind] = self.looked_at.get(kind, 0) + 1
        found = {mark for thing in things for mark in MARK.findall(thing if isinstance(thing, str) else repr(thing))}
        foreign = found - {own} if own is not None else found if len(found) > 1 else set()
        if foreign:
            self.leaks.append(f"{kind} of {own}: {sorted(foreign)}")

    def table(self) -> str:
        """The findings, one a line, with all leaks and losses at the end."""
        counts = {f"looked at: {kind}": count for kind, count in sorted(self.looked_at.items())}
        found = {"turns": self.turns, "killed": self.killed, "seconds": round(self.seconds, 1), **counts}
        found |= {"leaks": len(self.leaks), "losses": len(self.losses)}
        return "\n".join([*(f"{name:<55}{value:>10}" for name, value in found.items()), *self.leaks, *self.losses, ""])

    def lose(self, what: str) -> None:
        """Records a turn that was answered, but is not stored or only in part."""
        self.losses.append(what)


def look_at_memory(findings: Findings) -> None:
    """Searches the caches by tenant: rows, and last good layers."""
    for thing in gc.get_objects():
        if isinstance(thing, TenantRows):
            for key, entry in thing._entries.items():
                row = entry.row and [entry.row.content, entry.row.value]
                findings.look("row kept in memory", mark_of(key), row)
        elif isinstance(thing, ProviderMemory):
            for (*_, tenant), layer in thing.good.items():
                findings.look("layer kept in memory", mark_of(tenant), layer)


async def look_at_rows(database: PostgresPool, world: list[Tenant], findings: Findings) -> None:
    """Searches each table as each tenant sees it, then all rows, and checks that histories are complete."""
    for tenant in world:
        for table in TABLES:
            rows = await database.for_tenant(tenant.id).fetch(f"SELECT * FROM {table}")
            findings.look(f"what a tenant sees of {table}", tenant.mark, rows)
    for table in TABLES:
        if await database.fetch(f"SELECT * FROM {table}"):
            findings.leaks.append(f"{table} is seen without a tenant")
        for row in await database.for_every_tenant().fetch(f"SELECT * FROM {table}"):
            findings.look(f"row of {table}", mark_of(row["tenant_id"]), dict(row))
    sql = "SELECT messages, session_id FROM session_messages JOIN sessions USING (session_key) ORDER BY number"
    for tenant in world:
        stored: dict[str, list[str]] = {}
        for row in await database.for_tenant(tenant.id).fetch(sql):
            messages = messages_from_text(row["messages"])
            stored.setdefault(row["session_id"], []).append(messages[0].text())
            if messages[0].role != "user" or messages[-1].role != "assistant" or messages[-1].tool_calls:
                findings.lose(f"{tenant.mark}/{row['session_id']}: a turn is there in part")
        for session, seen in tenant.seen.items():
            _compare(tenant, session, seen, stored.get(session, []), findings)


def _compare(tenant: Tenant, session: str, seen: list[str], stored: list[str], findings: Findings) -> None:
    """A killed turn may be stored or not. A turn that was answered is stored once, in its place."""
    if len(set(stored)) < len(stored) or [text for text in stored if text in seen] != seen:
        findings.lose(f"{tenant.mark}/{session}: seen {seen}, stored {stored}")


def mark_of(text: str | None) -> str:
    """The mark in a tenant's id; None in a text without an owner."""
    found = MARK.findall(text or "")
    return found[0] if found else "nobody"
