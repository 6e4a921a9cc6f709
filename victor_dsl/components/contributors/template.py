"""The contributor that renders a Jinja2 template for each turn, from the spec or from a folder of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

from attrs import frozen
from pydantic import Field, model_validator

from victor_dsl.components.contributors.file import decode
from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FilePath, TemplateText
from victor_dsl.language.kinds import Contributor
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import suggest
from victor_dsl.storage.file_value import Stamp, read, reason, stamp
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio

    import jinja2

    from victor_dsl.language import sandbox
    from victor_dsl.language import template_absent as absent
    from victor_dsl.language import template_files as files
else:
    asyncio = Lazy("asyncio")
    jinja2 = Lazy("jinja2")
    sandbox = Lazy("victor_dsl.language.sandbox")
    absent = Lazy("victor_dsl.language.template_absent")
    files = Lazy("victor_dsl.language.template_files")

MOST_BYTES = 1_048_576
UNDEFINED = re.compile(r"^'(\w+)' is undefined$")
INLINE = ("<template>",)
"""The name that Jinja2 gives in tracebacks to a template without a file."""


class Config(ContributorConfig):
    """Renders a Jinja2 template into the system prompt, for each turn.

    The template sees every variable of `vars` by its name, and `session`, `tenant`, `user` and `settings`. An undefined
    variable is an error, never an empty text; so are a tenant, user or setting that a turn does not have, unless the template
    asks before: `{% if user %}`, `user | default('you')`. A key of a map comes before a method of the same name: `order.items` is the
    key, `order.items()` the method.

    A line that holds only block tags (`{% … %}`) and comments, none of them with `-` or `+`, vanishes with its line end. A tag
    with `-` or `+` does what it does in Jinja2 by default. White space at the ends of the whole text is removed.

    Templates run in a sandbox: they read these values and nothing else, and the rounds of their loops and the length of their
    text are bounded. Of Jinja2's filters they have `abs capitalize count d default dictsort filesizeformat first float format
    groupby indent int items join last length list lower map max min reject rejectattr replace reverse round select selectattr
    sort string sum title tojson trim truncate unique upper urlencode wordcount`. A template file may include, import and extend
    files of its own folder, and is read again when one of them changes.
    """

    path: Annotated[str | None, FilePath(included=True, template=True)] = Field(
        None, description="The template's file, relative to the spec.", examples=["prompts/base.md.j2"]
    )
    template: Annotated[str | None, TemplateText()] = Field(
        None,
        description="The template itself, instead of a file; it cannot include files.",
        examples=["You help users of {{ product }}."],
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.path is None) == (self.template is None):
            raise ValueError("give either 'path' or 'template'" + (", not both" if self.path is not None else ""))
        return self


VERSION = 2
"""2: of white space around tags, only lines that hold nothing but tags vanish."""

EXAMPLE = "{type: template, template: 'You help users of {{ product }}.'}"


def build(config: Config, context: Context) -> Contributor:
    """The contributor; a file is read at the first turn."""
    if config.path is not None:
        return FileTemplate(config.path, context)
    return InlineTemplate(config.template or "", context)


class InlineTemplate:
    """A template that is written in the spec."""

    def __init__(self, text: str, context: Context) -> None:
        self._context = context
        self._text = text
        self._template: jinja2.Template | None = None

    async def contribute(self, turn: Turn) -> str:
        try:
            if self._template is None:
                self._template = sandbox.Sandbox(_loader({})).from_string(self._text)
            return rendered(self._template, turn)
        except Exception as error:  # a template may raise anything
            raise template_error(error, INLINE, self._line, turn, self._context) from error

    def _line(self, _: str, line: int) -> str:
        place = self._context.texts.get("template")
        return f"template:{line}" if place is None else place.at(max(line, 1))


@frozen(eq=False)
class Loaded:
    """A template, the sources of all templates that it names, and the stamps of their files when they were read."""

    template: jinja2.Template
    sources: Mapping[str, str]
    stamps: Mapping[Path, Stamp | str | None]

    def is_current(self) -> bool:
        """Whether no file has changed."""
        return all(_stamp(path) == before for path, before in self.stamps.items())


class FileTemplate:
    """A template in a file, which may name files of its own folder. All of them are read ahead, none while it renders."""

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
            return rendered(loaded.template, turn)
        except Exception as error:  # a template may raise anything
            templates = (self._name, *(loaded.sources if loaded else ()))
            raise template_error(error, templates, self._shown, turn, self._context) from error

    def _load(self, before: Loaded | None) -> Loaded:
        """The template as its files are now; the same object where their content is the same."""
        parser = sandbox.Sandbox()
        sources: dict[str, str] = {}
        stamps: dict[Path, Stamp | str | None] = {}
        unread = [self._name]
        while unread:
            name = unread.pop()
            if name in sources:
                continue
            path = self._folder / name if name == self._name else files.confined(self._folder, name)
            try:
                data, settled = read(path, MOST_BYTES)
            except FileNotFoundError:
                stamps[path] = None  # Jinja2 reports it if the template needs it: `ignore missing` is allowed
                continue
            stamps[path] = settled or "unsettled"  # equal to no stamp: a file that may still change is read again
            sources[name] = self._text(name, data)
            unread += _named(parser, name, sources[name])
        if before is not None and before.sources == sources:
            return Loaded(before.template, sources, stamps)
        return Loaded(sandbox.Sandbox(_loader(sources)).get_template(self._name), sources, stamps)

    def _text(self, name: str, data: bytes) -> str:
        try:
            return decode(data)
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise jinja2.TemplateSyntaxError("the line is not UTF-8 text", line, name, name) from error

    def _shown(self, name: str, line: int) -> str:
        return self._context.shown(str(self._folder / name)) + (f":{line}" if line else "")


def _loader(sources: Mapping[str, str]) -> jinja2.BaseLoader:
    """Templates by name. Each name is also the file's name in tracebacks."""
    return jinja2.FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None)


def _named(parser: jinja2.Environment, name: str, source: str) -> Iterator[str]:
    """The templates that a template names. Raises TemplateSyntaxError if a name is computed."""
    for reference in files.references(parser.parse(source, name, name)):
        if reference.names is None:
            message = "the name of an included template must be plain text"
            raise jinja2.TemplateSyntaxError(message, reference.line, name, name)
        yield from reference.names


def rendered(template: jinja2.Template, turn: Turn) -> str:
    """The template's text for a turn, without white space at its ends. Raises whatever the template raises."""
    return sandbox.render(template, _values(turn)).strip()


def _values(turn: Turn) -> Mapping[str, Any]:
    """What a template sees. The four names of the turn itself win over vars."""
    vars = turn.vars
    if None in vars.values():
        vars = {name: sandbox.unset(name) if value is None else value for name, value in vars.items()}
    tenant = sandbox.NO_TENANT if turn.tenant is None else turn.tenant
    user = sandbox.NO_USER if turn.user is None else turn.user
    return {**vars, "session": turn.session, "tenant": tenant, "user": user, "settings": turn.settings}


def template_error(
    error: Exception, templates: Collection[str], shown: Callable[[str, int], str], turn: Turn, context: Context
) -> ContributorError:
    """The error with the place of a template's line, as `shown`; line 0 is the whole. The first of `templates` is rendered."""
    if isinstance(error, OSError) and error.strerror:
        file = context.shown(error.filename) if Path(error.filename).is_absolute() else error.filename
        return ContributorError(f"cannot read '{file}': {reason(error)}", node=context.node)
    if isinstance(error, jinja2.TemplateSyntaxError):
        place: tuple[str, int] | None = (error.filename or "", error.lineno)
    else:
        place = _last_line(error.__traceback__, templates)
    where = shown(*place) if place else shown(next(iter(templates)), 0)
    return ContributorError(f"{where}: {_message(error, turn)}", node=context.node)


def _message(error: Exception, turn: Turn) -> str:
    message = str(error)
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.message or "is not a template"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template '{error.name}'"
    if isinstance(error, jinja2.UndefinedError) and (found := UNDEFINED.match(message)):
        return f"{message}; {suggest(found[1], _values(turn))}"
    if isinstance(error, RecursionError):
        return "is nested, or calls itself, too deeply"
    return absent.plain(error) or type(error).__name__


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
