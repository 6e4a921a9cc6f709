"""The text that stands for a tenant in a database's rows, and in the setting that row-level security looks at."""

from __future__ import annotations

import re

NOBODY = "\\-"
"""The key of what belongs to no tenant."""
EVERYONE = "*"
"""What the setting says where rows of all tenants may be seen. No tenant has this key."""

ESCAPED = re.compile(r"[\\\x00\ud800-\udfff]")


def tenant_key(tenant: str | None) -> str:
    r"""The tenant itself, unless it has what PostgreSQL cannot store or what means something else here.

    No two tenants have one key.

    >>> tenant_key("acme"), tenant_key("a\0b"), tenant_key("*"), tenant_key(""), tenant_key(None)
    ('acme', 'a\\u0000b', '\\*', '\\e', '\\-')
    """
    if tenant is None:
        return NOBODY
    if tenant == EVERYONE:
        return "\\*"
    return storable(tenant) or "\\e"


def storable(text: str) -> str:
    """The text, with NULs and lone surrogates, which PostgreSQL refuses, and the backslash itself escaped."""
    return ESCAPED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}"
