"""What a template sees, beside the vars by name."""

from __future__ import annotations

VISIBLE = frozenset({"session", "tenant", "user", "settings"})
"""Names that every template has; `settings` are the values in force for the turn."""

GLOBALS = frozenset({"range", "dict", "namespace"})
"""What is left of Jinja2's own globals: the others reach into Python or make random text."""
