"""A function's signature as a JSON Schema, and a model's arguments as the function's."""

from __future__ import annotations

import inspect
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from attrs import frozen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError

from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.nearest import suggest
from victor_dsl.values.turn import Turn

ARGUMENT = re.compile(r"^(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
SECTION = re.compile(r"^(\w[\w ]*):\s*$")


@frozen
class Signature:
    """What the model learns of a function, its description and schema, and how the model's arguments are read.

    `positional` are the names of the parameters that are positional only; `turn` is the name of the one that receives the turn.
    """

    description: str
    schema: Mapping[str, Any]
    names: tuple[str, ...]
    positional: tuple[str, ...]
    turn: str | None
    arguments: type[BaseModel]

    def read(self, text: str, turn: Turn) -> tuple[list[Any], dict[str, Any]]:
        """The arguments that a model wrote as JSON, by position and by name. Raises ToolError."""
        try:
            read = self.arguments.model_validate_json(text.strip() or "{}")
        except ValidationError as error:
            raise ToolError("; ".join(self._fault(fault) for fault in error.errors())) from error
        fields = type(read).model_fields
        values = {str(fields[key].alias): getattr(read, key) for key in read.model_fields_set}
        if self.turn is not None:
            values[self.turn] = turn
        by_position = []
        for name in self.positional:
            if name not in values:
                break  # it has a default, and so have those after it
            by_position.append(values.pop(name))
        return by_position, values

    def _fault(self, fault: Any) -> str:
        if fault["type"] == "json_invalid":
            return f"the arguments are not JSON: {fault['ctx']['error']}"
        where = ".".join(map(str, fault["loc"]))
        if not where:
            return f"the arguments must be a JSON object: {_lower(fault['msg'])}"
        if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
            return f"unknown argument '{where}'; {suggest(where, self.names)}"
        if fault["type"] == "missing":
            return f"the argument '{where}' is missing"
        return f"the argument '{where}' is wrong: {_lower(fault['msg'])}"


def signature_of(function: Callable[..., Any]) -> Signature:
    """The signature. Raises ComponentError for a function that a model could not call."""
    parameters = _parameters(function)
    hints = _hints(function)
    description, described = _docstring(inspect.getdoc(function) or "")
    turn: str | None = None
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        hint = hints.get(parameter.name, Any)
        if hint is Turn and parameter.name == "turn":
            turn = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        words: dict[str, Any] = {"description": described[parameter.name]} if parameter.name in described else {}
        fields[f"p{number}"] = (hint, Field(default, alias=parameter.name, **words))
    try:
        arguments = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a default that JSON cannot express is left out of the schema
            schema = arguments.model_json_schema()
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError) as error:
        reason = str(error).partition("\n")[0]
        raise ComponentError(f"its signature cannot be expressed as JSON Schema: {reason}") from error
    return Signature(
        description=description,
        schema={"properties": {}, **_without_titles(schema)},
        names=tuple(str(field.alias) for field in arguments.model_fields.values()),
        positional=tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY),
        turn=turn,
        arguments=arguments,
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if not callable(function):
        raise ComponentError(f"it is not a function but {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ComponentError("it is a generator; a tool must return its result")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError) as error:
        raise ComponentError("its signature cannot be read; wrap it in your own function") from error
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise ComponentError(
                f"it takes {stars}{parameter.name}, which a schema cannot express",
                hint="name each argument in the signature",
            )
    return parameters


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    source: Any = function
    if inspect.isclass(function):
        source = function.__init__
    elif not inspect.isroutine(function):
        source = type(function).__call__
    try:
        # `Turn` may be imported for type checkers only.
        return get_type_hints(source, localns={"Turn": Turn}, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise ComponentError(f"its type annotations cannot be read: {error}") from error


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph on one line, and the description of each argument in the section `Args:` (Google's style)."""
    first, _, rest = text.partition("\n\n")
    if SECTION.match(first.partition("\n")[0]):
        first, rest = "", text
    described: dict[str, str] = {}
    section = name = ""
    depth = 0
    for line in textwrap.dedent(rest).splitlines():
        if line.strip() and not line[0].isspace():
            found = SECTION.match(line)
            section, name = (found[1] if found else ""), ""
        elif section in ("Args", "Arguments", "Parameters") and line.strip():
            indent = len(line) - len(line.lstrip())
            if (argument := ARGUMENT.match(line.strip())) and (not name or indent <= depth):
                name, depth = argument[1], indent
                described[name] = argument[2]
            elif name:
                described[name] = f"{described[name]} {line.strip()}".strip()
    return " ".join(first.split()), described


def _without_titles(schema: Any) -> Any:
    """The schema without the titles that pydantic makes of names: they cost tokens and add nothing."""
    if isinstance(schema, list):
        return [_without_titles(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs"):
            cleaned[key] = {name: _without_titles(inner) for name, inner in value.items()}
        else:
            cleaned[key] = value if key in ("default", "const", "enum", "examples") else _without_titles(value)
    return cleaned


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
