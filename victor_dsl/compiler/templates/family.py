"""A template and all templates that it includes, imports and extends, read and parsed."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path as FilesystemPath
from types import CodeType

from attrs import define, evolve, field, frozen
from jinja2 import TemplateSyntaxError, nodes

from victor_dsl.compiler.templates.sources import Source, Templates, TooManyParts
from victor_dsl.language.sandbox import Sandbox
from victor_dsl.language.template import TAGS
from victor_dsl.language.template_files import Reference, confined, references
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.reader import NO_FILE, Files, Included, reason


@frozen(eq=False)
class Parsed:
    """One template of a family. `undeclared` are the names that it takes from outside, `own` those that it sets somewhere,
    `parts` says how much it is to check, in nodes of a tree."""

    source: Source
    tree: nodes.Template
    undeclared: frozenset[str]
    own: frozenset[str]
    references: tuple[Reference, ...]
    code: CodeType
    parts: int


@define(eq=False)
class Family:
    """The templates by the names that they call each other by; the first is the one that is rendered.

    `faults` are those of reading and parsing: after one, not every template is there.
    """

    root: Source
    templates: dict[str, Parsed] = field(factory=dict)
    faults: list[Diagnostic] = field(factory=list)


_SETUP = 20
"""What a template takes beside its nodes."""

_TAG = re.compile(r"\{[{%#](?:[^}]|\}(?![}%#]))*?(?:[}%#]\}|$)")

_GENERATED = re.compile(r"\bl_\d+_")
"""How names begin in the code that Python reads."""

_AT = re.compile(r"(unexpected char '.') at \d+", re.DOTALL)
_MOST_TRIED = 20
"""How many tags of a line are parsed to find the one at fault."""
_CLOSING = re.compile(r"(?:end(\w+)|elif|else|elseif)$")
RAW = "text with braces of its own stands in `{% raw %}…{% endraw %}`"
"""The hint for a text that is no template."""
_FOREIGN = tuple(
    (re.compile(pattern), hint)
    for pattern, hint in (
        (r"^\{\{\{", "a value is written `{{ name }}`, with two braces"),
        (
            r"^\{\{-?\s*(?:#|range\b|if\b|with\b|each\b|/(?!\*))",
            "a tag is written `{% if … %}…{% endif %}`, `{% for item in items %}…{% endfor %}`",
        ),
        (r"^\{\{-?\s*(?:>|template\b|include\b)", "another template is written `{% include 'name.j2' %}`"),
        (r"^\{\{-?(?:!|\s*/\*)|^\{#", "a comment is written `{# … #}`"),
        (r"^\{%-?\s*else\s+if\b", "write `{% elif … %}`"),
        (r"[\u201c\u201d\u201e\u2018\u2019]", "texts stand in straight quotes: `'…'`"),
        (r"\|\s*\w+\s*:", "a filter has its arguments in brackets: `{{ value | name('…') }}`"),
        (r"\?\.", "write `{{ a.b | default('…') }}`"),
        (r"\?.*:", "write `{{ 'a' if test else 'b' }}`"),
        (r"&&|\|\||!(?!=)|===|<>", "operators are `and`, `or`, `not`, `==` and `!=`"),
        (r"^\{%-?\s*(?:if|elif)\b[^=]*[^=!<>]=[^=]", "compare with `==`"),
        (r"^\{%-?\s*for\s+\w+\s+of\b", "write `{% for item in items %}`"),
        (r"^\{%-?\s*set\s+\w+\s+[^=]+$", "write `{% set name = value %}`"),
        (r"^\{\{-?\s*[.$@]", "a value is written `{{ name }}`, without a sign before it"),
    )
)
"""How other template languages write things, as a tag of Jinja would begin, and what Jinja writes instead."""
ROOT = ""
"""The name of the template that is rendered, where it stands in the spec."""
INLINE = "<template>"
"""The name of that template in tracebacks."""


def read_family(root: Source, templates: Templates) -> Family:
    """The family of a template. Its files belong to the content that the plan's digest covers."""
    if root not in templates.families:
        templates.families[root] = _read(root, templates)
    family: Family = templates.families[root]
    return family


def _read(root: Source, templates: Templates) -> Family:
    family, files, included = Family(root), templates.files, templates.included
    folder = None if root.path is None else FilesystemPath(root.path).parent
    unread = [(ROOT if root.path is None else os.path.basename(root.path), root)]
    while unread:
        name, source = unread.pop()
        if name in family.templates:
            continue
        try:
            parsed = family.templates[name] = _parsed(name, source, templates)
        except TooManyParts:
            family.faults = [templates.too_many(source)]
            return family
        except TemplateSyntaxError as error:
            family.faults.append(_syntax(error, source))
            continue
        for reference in parsed.references:
            unread += _named(family, source, reference, folder, files, included)
    if not family.faults:
        family.faults += _circles(family)
    return family


def _parsed(name: str, source: Source, templates: Templates) -> Parsed:
    """A template, each text once. Raises TemplateSyntaxError and TooManyParts."""
    key = (name, source.text)
    if key not in templates.parsed:
        templates.charge(0)  # before work is done
        templates.parsed[key] = _parse(name, source)
        templates.charge(templates.parsed[key].parts)
    return evolve(templates.parsed[key], source=source)  # type: ignore[no-any-return]


def _parse(name: str, source: Source) -> Parsed:
    """Raises TemplateSyntaxError for whatever has no code, such as a filter, test or tag that does not exist."""
    environment, text = _environment(), source.text
    tree = environment.parse(text)
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    names |= {node.name for node in tree.find_all(nodes.Macro)} | {node.name for node in tree.find_all(nodes.Block)}
    names |= {node.target for node in tree.find_all(nodes.Import)}
    for node in tree.find_all(nodes.FromImport):
        names |= {name if isinstance(name, str) else name[1] for name in node.names}
    code, found = environment.compiled(text, name, name or INLINE)  # Python has bounds of its own
    parts = _SETUP + sum(1 for _ in tree.find_all(nodes.Node))
    return Parsed(source, tree, found, frozenset(names), tuple(references(tree)), code, parts)


@cache
def _environment() -> Sandbox:
    environment = Sandbox()
    environment.globals.clear()  # or its names would count as declared
    return environment


def _named(
    family: Family,
    source: Source,
    reference: Reference,
    folder: FilesystemPath | None,
    files: Files,
    included: Included,
) -> Iterable[tuple[str, Source]]:
    """The templates that a tag names, as far as they can be read; what is wrong with the others is added to the faults."""
    if reference.names is None:
        message, hint = (
            "the name of an included template must be plain text",
            "choose between several tags with `{% if %}`",
        )
        yield from _fault(family, source, "template-error", message, reference.line, None, hint)
        return
    if folder is None:
        if not reference.optional:
            message, hint = "a template in the spec cannot name other templates", "write it to a file, and use `path`"
            yield from _fault(family, source, "template-error", message, reference.line, reference.names[0], hint)
        return
    assert family.root.path is not None
    found, problem = False, ""
    for name in reference.names:
        try:
            path = os.path.abspath(confined(folder, name))
            included.add(os.path.abspath(family.root.path), path)
            text = included.read(path).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            outside = isinstance(error, PermissionError) and error.filename == name
            problem = problem or (str(getattr(error, "strerror", "")) if outside else reason(error))
            if not isinstance(error, FileNotFoundError):
                found = False
                break
            continue
        found = True
        file = posixpath.join(posixpath.dirname(family.root.file), name)
        files.remember(file, text)
        yield name, evolve(family.root, text=text, file=file, line=1, indent=0, path=path)
    if not found and not (reference.optional and problem == NO_FILE):
        name = reference.names[0]
        close = nearest(name, _beside(folder))
        hint = (
            f"did you mean '{close}'?" if close else f"templates are looked for in the folder of '{family.root.file}'"
        )
        yield from _fault(
            family, source, "missing-file", f"cannot read '{name}': {problem}", reference.line, name, hint
        )


def _circles(family: Family) -> Iterator[Diagnostic]:
    """Templates that certainly name themselves, by way of others or not."""
    certain = {name: list(_certain(parsed, family)) for name, parsed in family.templates.items()}
    done: set[str] = set()
    for root, named in certain.items():
        trail = [(root, iter(named))]
        while trail:
            name, rest = trail[-1]
            reference, other = next(rest, (None, ""))
            if reference is None:
                done.add(trail.pop()[0])
            elif other in (above := [name for name, _ in trail]):
                source = family.templates[name].source
                through = ", ".join(f"'{name}'" for name in above[above.index(other) + 1 :])
                message = f"'{other}' refers to itself" + (f" through {through}" if through else "")
                hint = "leave this out, or put it into an `{% if %}` that ends the recursion"
                yield Diagnostic("template-error", message, source.span(reference.line, other), source.field, hint)
            elif other not in done:
                trail.append((other, iter(certain[other])))


def _certain(parsed: Parsed, family: Family) -> Iterator[tuple[Reference, str]]:
    """What a template names whenever it is rendered, and the template that this is."""
    waiting: list[nodes.Node] = [parsed.tree]
    executed = set()
    while waiting:
        node = waiting.pop()
        executed.add(id(node))
        if not isinstance(node, nodes.If | nodes.For | nodes.Macro | nodes.CallBlock | nodes.Block):
            waiting += node.iter_child_nodes()
    for reference in parsed.references:
        found = next((name for name in reference.names or () if name in family.templates), None)
        if found is not None and id(reference.node) in executed:
            yield reference, found


def _beside(folder: FilesystemPath) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _fault(
    family: Family, source: Source, code: str, message: str, line: int, word: str | None, hint: str
) -> Iterable[tuple[str, Source]]:
    family.faults.append(Diagnostic(code, message, source.span(line, word), source.field, hint))
    return ()


def _syntax(error: TemplateSyntaxError, source: Source) -> Diagnostic:
    unknown = re.search(r"(?:filter named|test named|unknown tag) '(\w+)'", str(error.message))
    line, tags = _tags(error, source)
    message, hint = _in_words(_AT.sub(r"\1", str(error.message)), tags)
    line, word = (error.lineno, unknown[1]) if unknown else (line, tags[0] if len(tags) == 1 else None)
    return Diagnostic("template-syntax", message, source.span(line, word), source.field, hint)


def _tags(error: TemplateSyntaxError, source: Source) -> tuple[int, list[str]]:
    """The line of an error and the tags on it that may be at fault, the one that has the same fault by itself if there is one.

    An unclosed tag began on an earlier line.
    """
    lines = source.text.splitlines()
    for number in range(min(error.lineno, len(lines)), 0, -1):
        if found := [match[0] for match in _TAG.finditer(lines[number - 1])]:
            alone = [tag for tag in found[:_MOST_TRIED] if _problem(tag) == _AT.sub(r"\1", str(error.message))]
            return number, alone[:1] or found
    return error.lineno, []


def _problem(tag: str) -> str | None:
    try:
        _environment().parse(tag)
    except TemplateSyntaxError as error:
        return _AT.sub(r"\1", str(error.message))
    return None


def _in_words(problem: str, tags: Iterable[str]) -> tuple[str, str]:
    """Jinja's error in one of the tags as a message and a hint."""
    known: Mapping[str, Iterable[str]] = {"filter": _environment().filters, "test": _environment().tests}
    if unclosed := re.search(r"innermost block that needs to be closed is '(\w+)'", problem):
        name = unclosed[1]
        return f"this template ends inside '{{% {name} %}}'", f"close it with `{{% end{name} %}}`"
    if unknown := re.match(r"Encountered unknown tag '(\w+)'", problem):
        name = unknown[1]
        if opening := _CLOSING.match(name):
            opened = opening[1] or "if"
            return (
                f"'{{% {name} %}}' belongs to no open tag",
                f"it stands after a `{{% {opened} … %}}`, before that ends",
            )
        return f"there is no tag '{name}'", suggest(name, TAGS, what="tags")
    if filtered := re.match(r"No (filter|test) named '(\w+)'", problem):
        kind, name = filtered.groups()
        return f"there is no {kind} '{name}'", suggest(name, known[kind], what=f"{kind}s", most=60)
    if problem.startswith("it "):  # over a bound
        message, _, hint = problem.partition(": ")
        return f"this template {message.removeprefix('it ')}", hint
    problem = _GENERATED.sub("", problem)
    hint = next(
        (hint for pattern, hint in _FOREIGN if any(map(pattern.search, tags))), "a value is written `{{ name }}`"
    )
    return f"this is not a template: {problem[:1].lower()}{problem[1:].rstrip('.')}", f"{hint}; {RAW}"
