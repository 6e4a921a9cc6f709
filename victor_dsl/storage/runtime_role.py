"""The PostgreSQL role that runs turns: it may do what components do, and cannot switch row-level security off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from victor_dsl.errors import StoreError

if TYPE_CHECKING:
    import asyncpg

RIGHTS = {
    "tenant_configs": "SELECT",
    "tenant_prompt_templates": "SELECT",
    "sessions": "SELECT, INSERT, UPDATE (updated_at)",
    "session_messages": "SELECT, INSERT",
    "analytics_events": "INSERT",
    "api_keys": "SELECT",
}
"""What components do with each table. Numbers of rows (`GENERATED AS IDENTITY`) and partitions need no rights of their own."""
ROLE = """
SELECT EXISTS (
        SELECT FROM pg_roles other WHERE pg_has_role(own.oid, other.oid, 'MEMBER') AND (
            other.rolsuper OR other.rolbypassrls
            OR other.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
            OR (other.rolcreaterole AND current_setting('server_version_num')::int < 160000)
        )
    ) AS bypasses, pg_has_role(own.oid, current_user, 'MEMBER') AS owns,
    pg_has_role(own.oid, (SELECT nspowner FROM pg_namespace WHERE nspname = current_schema()), 'MEMBER') AS owns_schema
FROM pg_roles own WHERE rolname = $1
"""
"""Whether a role can get round row-level security, by itself or as a role that it may become. Before PostgreSQL 16 a role with CREATEROLE
may become any that is no superuser; who runs programs or reads files of the server has the rights of one."""
OWNS_TABLES = """
SELECT EXISTS (
    SELECT FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
    WHERE polname = 'victor_tenant' AND pg_table_is_visible(pg_class.oid) AND pg_has_role(relowner, 'USAGE')
)
"""


async def grants(connection: asyncpg.Connection, role: str) -> str:
    """The SQL that gives a role exactly these rights, whatever it had before."""
    name, schema = await connection.fetchrow("SELECT quote_ident($1), quote_ident(current_schema())", role)
    lines = [f"GRANT USAGE ON SCHEMA {schema} TO {name};"]
    for table, rights in RIGHTS.items():
        lines += [f"REVOKE ALL ON {table} FROM {name};", f"GRANT {rights} ON {table} TO {name};"]
    return "\n".join(lines)


async def grant_runtime(connection: asyncpg.Connection, role: str) -> None:
    """Gives them to a role that is bound by row-level security. Raises StoreError for any other."""
    found = await connection.fetchrow(ROLE, role)
    if found is None:
        raise StoreError(f"there is no role '{role}'", hint=f"create it: CREATE ROLE \"{role}\" LOGIN PASSWORD '…'")
    if found["bypasses"]:
        message = f"row-level security does not bind the role '{role}': it is or can become a superuser or a role with BYPASSRLS"
        raise StoreError(message, hint="name a role without such rights and memberships")
    if found["owns"] or found["owns_schema"]:
        message = f"the role '{role}' could switch row-level security off or drop tables: it owns them, their schema or their database"
        raise StoreError(message, hint="name a role that is not a member of their owner's")
    await connection.execute(await grants(connection, role))
