"""What a template sees, beside the vars by name."""

from __future__ import annotations

VISIBLE = frozenset({"session", "tenant", "user", "settings"})
"""Names that every template has; `settings` are the values in force for the turn."""

TAGS = ("if", "for", "set", "with", "filter", "macro", "include", "import", "raw")
"""The tags worth naming to someone who misspelt one."""

GLOBALS = frozenset({"range", "dict", "namespace"})
"""What is left of Jinja2's own globals: the others reach into Python or make random text."""
