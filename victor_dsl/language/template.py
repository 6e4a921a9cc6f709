"""The names and tags of templates, for checks that need no Jinja2: importing it takes 50 ms."""

from __future__ import annotations

VISIBLE = frozenset({"session", "tenant", "user", "settings"})
"""The names that every template sees besides the vars; `settings` are the values in force for the turn."""

TAGS = ("if", "for", "set", "with", "filter", "macro", "include", "import", "raw")
"""The tags to suggest for a misspelt one."""

GLOBALS = frozenset({"range", "dict", "namespace"})
"""Jinja2's own globals that templates have. The others reach into Python or make random text."""
