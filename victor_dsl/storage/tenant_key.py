"""Tenant ids as databases store them, in rows and in the setting that row-level security compares them with."""

from __future__ import annotations

import re

NOBODY = "\\-"
"""The key of rows that belong to no tenant."""
EVERYONE = "*"
"""The setting's value that shows the rows of all tenants. No tenant has this key."""

KEY = "\\k"
"""Begins the setting's value that shows the row of one API key, before its hash. No tenant's key begins so."""

ESCAPED = re.compile(r"[\\\x00\ud800-\udfff]")


def tenant_key(tenant: str | None) -> str:
    r"""The tenant id, escaped where PostgreSQL cannot store it or where it would be one of the keys above.

    Different tenants have different keys.

    >>> tenant_key("acme"), tenant_key("a\0b"), tenant_key("*"), tenant_key(""), tenant_key(None)
    ('acme', 'a\\u0000b', '\\*', '\\e', '\\-')
    """
    if tenant is None:
        return NOBODY
    if tenant == EVERYONE:
        return "\\*"
    return storable(tenant) or "\\e"


def storable(text: str) -> str:
    """The text with NULs and lone surrogates, which PostgreSQL refuses, escaped, and backslashes too."""
    return ESCAPED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}"
