"""The contributor that renders a Jinja2 template for each turn, from the spec or from a folder of files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from victor_dsl.components.contributors.file import decode
from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, TemplateConfig
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import suggest
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio

    import jinja2

    from victor_dsl.language import sandbox
    from victor_dsl.language import template_undefined as undefined
else:
    asyncio = Lazy("asyncio")
    jinja2 = Lazy("jinja2")
    sandbox = Lazy("victor_dsl.language.sandbox")
    undefined = Lazy("victor_dsl.language.template_undefined")

MOST_MESSAGE = 1_000
"""The longest message of an error, in characters; templates choose some of the names in them."""
UNDEFINED = re.compile(r"^'(\w+)' is undefined$")
INLINE = ("<template>",)
"""The name that Jinja2 gives in tracebacks to a template without a file."""


class Config(ContributorConfig, TemplateConfig):
    """Renders a Jinja2 template into the system prompt, for each turn.

    The template sees every variable of `vars` by its name, and `session`, `tenant`, `user` and `settings`. An undefined
    variable is an error, never an empty text; so are a tenant, user or setting that a turn does not have, unless the template
    asks before: `{% if user %}`, `user | default('you')`. A key of a map comes before a method of the same name: `order.items` is the
    key, `order.items()` the method.

    A line that holds only block tags (`{% … %}`) and comments, none of them with `-` or `+`, vanishes with its line end. A tag
    with `-` or `+` does what it does in Jinja2 by default. White space at the ends of the whole text is removed.

    Templates run in a sandbox: they read these values and nothing else, and their work, texts and lists are bounded, whatever
    they do. The reference of templates lists their filters, tests and methods, and the bounds. A template file may include,
    import and extend files of its own folder. All of them are part of the plan, and of its digest: a changed file makes a new
    plan, which runs from about a second later. While a file is empty, missing or broken, the last good texts stay in force.
    """


VERSION = 2
"""2: of white space around tags, only lines that hold nothing but tags vanish."""

EXAMPLE = "{type: template, template: 'You help users of {{ product }}.'}"


def build(config: TemplateConfig, context: Context) -> Template:
    """The contributor; the template is compiled at the first turn."""
    return Template(config, context)


class Template:
    """A template from the spec, or from a file, which may name files of its own folder. The plan holds all of them."""

    def __init__(self, config: TemplateConfig, context: Context) -> None:
        self._context = context
        self._inline = config.template
        self._path = Path(config.path or "")
        self._template: jinja2.Template | None = None
        self._names: dict[str, None] = dict.fromkeys(INLINE if config.path is None else (self._path.name,))

    async def contribute(self, turn: Turn) -> str:
        try:
            if self._template is None:
                self._template = await asyncio.to_thread(self._compiled)
            return rendered(self._template, turn)
        except Exception as error:  # a template may raise anything
            raise template_error(error, self._names, self._place, turn, self._context) from error

    def _compiled(self) -> jinja2.Template:
        if self._inline is not None:
            return sandbox.Sandbox(jinja2.DictLoader({})).from_string(self._inline)
        return sandbox.Sandbox(jinja2.FunctionLoader(self._source)).get_template(self._path.name)

    def _source(self, name: str) -> tuple[str, str, None] | None:
        """The text of a file of the folder, and its name in tracebacks."""
        data = self._context.files.get(os.path.abspath(self._path.parent / name))
        if data is None:
            return None
        self._names[name] = None
        return decode(data), name, None

    def _place(self, name: str, line: int) -> str:
        if self._inline is None:
            return self._context.shown(str(self._path.parent / name)) + (f":{line}" if line else "")
        place = self._context.texts.get("template")
        return f"template:{line}" if place is None else place.at(max(line, 1))


def rendered(template: jinja2.Template, turn: Turn) -> str:
    """The template's text for a turn, without white space at its ends. Raises whatever the template raises."""
    return sandbox.render(template, _values(turn)).strip()


def _values(turn: Turn) -> Mapping[str, Any]:
    """What a template sees. The four names of the turn itself win over vars."""
    vars = {**turn.vars, **turn.inputs} if turn.inputs else turn.vars
    if None in vars.values():
        vars = {name: sandbox.unset(name) if value is None else value for name, value in vars.items()}
    tenant = sandbox.NO_TENANT if turn.tenant is None else turn.tenant
    user = sandbox.NO_USER if turn.user is None else turn.user
    return {**vars, "session": turn.session, "tenant": tenant, "user": user, "settings": turn.settings}


def template_error(
    error: Exception, templates: Collection[str], shown: Callable[[str, int], str], turn: Turn, context: Context
) -> ContributorError:
    """The error with the place of a template's line, as `shown`; line 0 is the whole. The first of `templates` is rendered."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        place: tuple[str, int] | None = (error.filename or "", error.lineno)
    else:
        place = _last_line(error.__traceback__, templates)
    where = shown(*place) if place else shown(next(iter(templates)), 0)
    message = _message(error, turn)
    if len(message) > MOST_MESSAGE:
        message = message[:MOST_MESSAGE] + "…"
    return ContributorError(f"{where}: {message}", node=context.node)


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
    return undefined.plain(error) or type(error).__name__


def _last_line(traceback: TracebackType | None, templates: Collection[str]) -> tuple[str, int] | None:
    """The innermost line of a template in a traceback; Jinja2 gives its frames the template's name and lines."""
    last = None
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name in templates:
            last = (name, traceback.tb_lineno)
        traceback = traceback.tb_next
    return last
