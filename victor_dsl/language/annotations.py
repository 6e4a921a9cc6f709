"""Annotations of the fields of a Config: they tell the compiler what a field means beyond its type.

An annotation must be on a field of the Config itself, whose type is text, a list or map of text, or one of these or None:

    database: Annotated[str, Ref("databases")]          a name in that section; becomes the node's id
    fallback: Annotated[str, Nested("compaction")]      a bare word or map; becomes the id of a child node
    path: Annotated[str, FilePath(included=True)]       relative to the file that contains it
    template: Annotated[str, TemplateText()]            Jinja2 source, checked with the spec
    function: Annotated[str, FunctionName()]            `module:function`, looked up in its source, not imported
    command: Annotated[list[str], CommandLine()]        a program and its arguments, run as a process
    may_set: Annotated[list[str], ValueGlobs()]         globs over the paths of settings and vars
    at_most: Annotated[dict[str, float], Maxima()]      the greatest value of each setting, by its path
    api_key: Secret                                     exactly one `${env:…}` or `${file:…}`

In the Config that `build` receives, references and children are node ids, and paths are absolute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, get_args

from attrs import frozen
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from victor_dsl.values.model import Model


@frozen
class Ref:
    """The field names an item of another section; the node depends on it. A database must have one of the `dialects`."""

    kind: str
    dialects: tuple[str, ...] = ()


@frozen
class Nested:
    """The field holds a component of that kind, written as a bare word or a map; the node depends on it.

    `without` lists fields of the kind that have no meaning there and are not allowed.
    """

    kind: str
    without: tuple[str, ...] = ()


@frozen
class FilePath:
    """The field is a path.

    - `included`: the file must exist to compile, and its content is part of the plan's digest
    - `exists`: the file must exist to compile, but is read at run time
    - `template`: the file is Jinja2 source
    - `values`: the file is a map of `settings` and `vars`
    - `beside`: a file beside the spec that could be taken for the default of the field

    A file may be missing if the same Config sets `optional: true` or a `default`.
    """

    included: bool = False
    template: bool = False
    exists: bool = False
    values: bool = False
    beside: str | None = None


@frozen
class TemplateText:
    """The field is Jinja2 source."""


@frozen
class FunctionName:
    """The field is `module:function`; the module is found from the spec's folder, then from Python's path."""


@frozen
class CommandLine:
    """The field is a program and its arguments, which are run as a process."""


@frozen
class ValueGlobs:
    """The field is a list of globs over the paths of settings and vars: of a provider, those that it may set."""


@frozen
class Maxima:
    """The field is a map of the paths of numeric settings, with or without `settings.`, to their greatest values."""


Annotation = Ref | Nested | FilePath | TemplateText | FunctionName | CommandLine | ValueGlobs | Maxima


@frozen
class Secret:
    """Where a secret is found; never its text.

    `name` is the variable, or the path as written; `path` is the absolute path of a file.
    """

    source: Literal["env", "file"]
    name: str
    path: str = ""

    def __str__(self) -> str:
        return f"${{{self.source}:{self.name}}}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^\$\{(env|file):[^}]+\}$",
            "description": "A secret: exactly one `${env:NAME}` or `${file:path}`.",
            "examples": ["${env:API_KEY}"],
        }


@cache
def annotated_fields(config: type[Model]) -> Mapping[str, Annotation | type[Secret]]:
    """The annotation of each field that has one. For a secret field it is the class `Secret`."""
    found: dict[str, Annotation | type[Secret]] = {}
    for name, field in config.model_fields.items():
        for part in (*field.metadata, *_parts(field.annotation)):
            if part is Secret or isinstance(part, Annotation):
                found[name] = part
    return found


@cache
def nested_secrets(config: type[Model]) -> tuple[tuple[str, str], ...]:
    """The secrets in a Config's groups of fields, each as the names of the group and of its field."""
    return tuple(
        (name, inner)
        for name, field in config.model_fields.items()
        for group in _parts(field.annotation)
        if isinstance(group, type) and issubclass(group, Model)
        for inner, inner_field in group.model_fields.items()
        if Secret in _parts(inner_field.annotation)
    )


def _parts(type: Any) -> Iterator[Any]:
    yield type
    for argument in (*get_args(type), *getattr(type, "__metadata__", ())):
        yield from _parts(argument)
