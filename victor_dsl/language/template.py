"""The names, tags and methods of templates, for checks that need no Jinja2: importing it takes 50 ms."""

from __future__ import annotations

from collections.abc import Mapping

MOST_SOURCE = 262_144
"""The longest template, in characters."""

VISIBLE = frozenset({"session", "tenant", "user", "settings"})
"""The names that every template sees besides the vars; `settings` are the values in force for the turn."""

RESERVED = frozenset({"true", "false", "none", "True", "False", "None", "not", "self"})
"""Words that mean something else in a template than a name."""

TAGS = ("if", "for", "set", "with", "filter", "macro", "include", "import", "raw")
"""The tags to suggest for a misspelt one."""

GLOBALS = frozenset({"range", "dict", "namespace"})
"""Jinja2's own globals that templates have. The others reach into Python or make random text."""

TEXT_METHODS = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower"),
    *("isnumeric", "isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix"),
    *("rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title"),
    "upper",
)
MAP_METHODS = ("get", "items", "keys", "values")
SEQUENCE_METHODS = ("count", "index")

METHODS: tuple[tuple[type | tuple[type, ...], tuple[str, ...]], ...] = (
    (str, TEXT_METHODS),
    (Mapping, MAP_METHODS),
    ((list, tuple), SEQUENCE_METHODS),
    ((int, float, type(None)), ()),
)
"""The methods of values, by the type of the value. A template calls them; it cannot hand them on or print them."""

METHOD_NAMES = frozenset(name for of in (str, dict, list) for name in dir(of) if not name.startswith("_"))
"""The methods of Python's texts, maps and lists, those included that templates do not have."""

INSTEAD: Mapping[str, str] = {
    "join": "items | join(', ')",
    "format": "'%s' | format(value)",
    "format_map": "'%s' | format(value)",
    "replace": "text | replace('old', 'new')",
    "append": "{% set items = items + [item] %}",
    "extend": "{% set items = items + more %}",
    "sort": "items | sort",
    "reverse": "items | reverse",
}
"""What a template writes for methods of Python that it does not have."""

_OWN_NAME = "a var and an input have names of their own: `{{ NAME }}`"
_VARIABLE = 'give a var the value: `vars: {NAME: "${env:NAME}"}`, and write `{{ NAME }}`'
_TAG = "a tag is written `{% if … %}…{% endif %}`"
FOREIGN_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("input", "inputs", "params", "var", "variables", "vars"), _OWN_NAME),
    **dict.fromkeys(("env", "secrets"), _VARIABLE),
    **dict.fromkeys(("end", "else", "if", "range"), _TAG),
    **dict.fromkeys(("nil", "null", "undefined"), "write `none`"),
}
"""What to write for names that other template languages have."""
