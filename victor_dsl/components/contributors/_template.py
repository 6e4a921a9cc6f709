"""Templates that render for each turn, from the spec or from a folder."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from attrs import frozen
from jinja2 import BaseLoader, Environment, Template, TemplateSyntaxError, UndefinedError, meta
from jinja2.exceptions import TemplateNotFound

from victor_dsl.components.contributors._text_file import decode
from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.sandbox import Sandbox, render
from victor_dsl.nearest import suggest
from victor_dsl.storage.file_value import Stamp, read, reason, stamp
from victor_dsl.values.turn import Turn

MOST_BYTES = 1_048_576
UNDEFINED = re.compile(r"^'(\w+)' is undefined$")


class InlineTemplate:
    """A template that stands in the spec."""

    def __init__(self, text: str, context: Context) -> None:
        self._context = context
        self._text = text
        self._template: Template | None = None

    async def contribute(self, turn: Turn) -> str:
        try:
            if self._template is None:
                self._template = Sandbox(_Sources({})).from_string(self._text)
            return text_of(self._template, turn)
        except Exception as error:  # a template may raise anything
            raise fault(error, ("<template>",), _inline, turn, self._context) from error


@frozen(eq=False)
class Loaded:
    """A template, the sources of all templates that it names, and the state of their files when they were read."""

    template: Template
    sources: Mapping[str, str]
    stamps: Mapping[Path, Stamp | str | None]

    def is_current(self) -> bool:
        """Whether all files are as they were."""
        return all(_stamp(path) == kept for path, kept in self.stamps.items())


class FileTemplate:
    """A template in a file; it may name files of its own folder. All of them are read ahead, none while it renders."""

    def __init__(self, path: str, context: Context) -> None:
        self._context = context
        self._folder = Path(path).parent
        self._name = Path(path).name
        self._loaded: Loaded | None = None

    async def contribute(self, turn: Turn) -> str:
        loaded = self._loaded
        try:
            if loaded is None or not loaded.is_current():
                loaded = self._loaded = await asyncio.to_thread(self._load, loaded)
            return text_of(loaded.template, turn)
        except Exception as error:  # a template may raise anything
            templates = (self._name, *(loaded.sources if loaded else ()))
            raise fault(error, templates, self._shown, turn, self._context) from error

    def _load(self, before: Loaded | None) -> Loaded:
        """The template as its files are now; the same object where their content is the same."""
        parser = Sandbox()
        sources: dict[str, str] = {}
        stamps: dict[Path, Stamp | str | None] = {}
        waiting = [self._name]
        while waiting:
            name = waiting.pop()
            if name in sources:
                continue
            path = self._folder / name if name == self._name else confined(self._folder, name)
            try:
                data, settled = read(path, MOST_BYTES)
            except FileNotFoundError:
                stamps[path] = None  # Jinja2 says so where it is needed, and goes on where it is not
                continue
            stamps[path] = settled or "unsettled"
            sources[name] = self._text(name, data)
            waiting += references(parser, name, sources[name])
        if before is not None and before.sources == sources:
            return Loaded(before.template, sources, stamps)
        return Loaded(Sandbox(_Sources(sources)).get_template(self._name), sources, stamps)

    def _text(self, name: str, data: bytes) -> str:
        try:
            return decode(data)
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise TemplateSyntaxError("the line is not UTF-8 text", line, name, name) from error

    def _shown(self, name: str) -> str:
        return self._context.shown(str(self._folder / name))


class _Sources(BaseLoader):
    """Templates by name; the name is also the file's in tracebacks."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        if template not in self._sources:
            raise TemplateNotFound(template)
        return self._sources[template], template, None


def confined(folder: Path, name: str) -> Path:
    """The file of that name in the folder. Raises OSError where the name, or a link, leads out of it."""
    parts = PurePosixPath(name)
    path = folder / parts
    inside = not parts.is_absolute() and ".." not in parts.parts and "\\" not in name and "\0" not in name
    if not inside or not path.resolve().is_relative_to(folder.resolve()):
        raise PermissionError(None, "is outside the template's folder", name)
    return path


def references(parser: Sandbox, name: str, source: str) -> Iterator[str]:
    """The templates that a template includes, imports or extends. Raises TemplateSyntaxError where it computes a name."""
    for reference in meta.find_referenced_templates(parser.parse(source, name, name)):
        if reference is None:
            raise TemplateSyntaxError("the name of an included template must be a plain text", 1, name, name)
        yield reference


def text_of(template: Template, turn: Turn) -> str:
    """The template's text for a turn, without white space at its ends."""
    return render(template, names(turn)).strip()


def names(turn: Turn) -> Mapping[str, Any]:
    """What a template sees; the four names of our own win over vars."""
    own = {"session": turn.session, "tenant": turn.tenant, "user": turn.user, "settings": turn.settings}
    return {**turn.vars, **own}


def fault(
    error: Exception, templates: Collection[str], shown: Callable[[str], str], turn: Turn, context: Context
) -> ContributorError:
    """The error with the file and line of the template, as `shown`; the first of `templates` is the one rendered."""
    if isinstance(error, OSError) and error.strerror:
        file = context.shown(error.filename) if Path(error.filename).is_absolute() else error.filename
        return ContributorError(f"cannot read '{file}': {reason(error)}", node=context.node)
    if isinstance(error, TemplateSyntaxError):
        place: tuple[str, int] | None = (error.filename or "", error.lineno)
    else:
        place = _last_line(error.__traceback__, templates)
    where = f"{shown(place[0])}:{place[1]}" if place else shown(next(iter(templates)))
    return ContributorError(f"{where}: {_message(error, turn)}", node=context.node)


def _inline(name: str) -> str:
    return "template"


def _message(error: Exception, turn: Turn) -> str:
    message = str(error)
    if isinstance(error, TemplateSyntaxError):
        return error.message or "is not a template"
    if isinstance(error, TemplateNotFound):
        return f"there is no template '{error.name}'"
    if isinstance(error, UndefinedError) and (found := UNDEFINED.match(message)):
        return f"{message}; {suggest(found[1], names(turn))}"
    if isinstance(error, RecursionError):
        return "nests or calls itself too deep"
    return message or type(error).__name__


def _last_line(traceback: TracebackType | None, templates: Collection[str]) -> tuple[str, int] | None:
    """The innermost line of a template in a traceback; Jinja2 gives its frames the template's name and lines."""
    last = None
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name in templates:
            last = (name, traceback.tb_lineno)
        traceback = traceback.tb_next
    return last


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp(path)
    except FileNotFoundError:
        return None
