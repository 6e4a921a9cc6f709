"""Inputs: the values that a request must or may give, with their types and bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from victor_dsl.nearest import nearest, suggest
from victor_dsl.values.faults import Fault, Faulty, Path, dotted, kind_of, number
from victor_dsl.values.model import Model
from victor_dsl.values.typed import WORDS, Type, read_as, type_of

MOST_CHARACTERS = 100_000
"""The longest text of an input without a `max_length`."""
MOST_ITEMS = 10_000
"""The most items of a list without a `max_length`, and keys of a map."""
MOST_LETTERS = 80
"""How much is shown of a name that is not known."""
_VAR = "it is a var: write it under 'vars' (`--var` on the command line)"
MOST_FAULTS = 10
"""How many faults of one request are reported."""

Inputs = Mapping[str, "Input"]


class InputItem(Model):
    """What the items of a list must be."""

    type: Type = Field("string", description="The type of the value.")
    enum: list[str | int | float | bool] | None = Field(
        None, min_length=1, description="The allowed values.", examples=[["free", "pro"]]
    )
    min: float | None = Field(None, description="The least value of a number.")
    max: float | None = Field(None, description="The greatest value of a number.")
    max_length: int | None = Field(
        None,
        ge=1,
        description="The most characters of a text, items of a list or keys of a map. Left out: 100,000 characters, 10,000 items "
        "or keys.",
    )
    items: InputItem | None = Field(None, description="What each item of a list must be. Left out: anything.")

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        numeric = self.type in ("integer", "number")
        faults = [
            Fault((name,), f"{name} is for {of}, and the type is {self.type}")
            for name, fits, of in (
                ("min", numeric, "numbers"),
                ("max", numeric, "numbers"),
                ("max_length", self.type in ("string", "list", "map"), "texts, lists and maps"),
                ("items", self.type == "list", "lists"),
            )
            if getattr(self, name) is not None and not fits
        ]
        least, most = self.bounds()
        if least > most:
            faults.append(Fault(("max",), "max allows no value that is at least `min`"))
        for index, value in enumerate(self.enum or ()):
            path = ("enum", index)
            if type_of(value) != self.type and not (self.type == "number" and type_of(value) == "integer"):
                message = f"{dotted(path)} must be {WORDS[self.type]}, not {kind_of(value)}"
                faults.append(Fault(path, message, f"or write `type: {type_of(value)}`"))
            elif not faults:
                faults += self.model_copy(update={"enum": None}).faults(value, path)
        if faults:
            raise Faulty(faults)
        return self

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number, which are whole for an integer."""
        least = -math.inf if self.min is None else self.min
        most = math.inf if self.max is None else self.max
        if self.type == "integer":
            return (math.ceil(least) if self.min is not None else least), (
                math.floor(most) if self.max is not None else most
            )
        return least, most

    def read(self, value: Any, path: Path) -> Any:
        """The value as the type; a text is read as it, `a, b` as a list. Raises Faulty, without the value."""
        read = read_as(self.type, value, path)
        if self.type == "list" and self.items is not None and len(read) <= self.longest():
            faults: list[Fault] = []
            items = []
            for index, item in enumerate(read):
                try:
                    items.append(self.items.read(item, (*path, index)))
                except Faulty as error:
                    faults += error.faults
                if len(faults) >= MOST_FAULTS:
                    break
            if faults:
                raise Faulty(faults)
            read = items
        if faults := list(self.faults(read, path)):
            raise Faulty(faults)
        return read

    def longest(self) -> int:
        """The most characters, items or keys."""
        return self.max_length or (MOST_CHARACTERS if self.type == "string" else MOST_ITEMS)

    def faults(self, value: Any, path: Path) -> Iterable[Fault]:
        """What is wrong with a value of the right type."""
        here = dotted(path)
        if self.enum is not None and not any(type(value) is type(one) and value == one for one in self.enum):
            word = value[:MOST_LETTERS] if isinstance(value, str) else ""
            hint = suggest(word, map(str, self.enum), what="values")
            yield Fault(path, f"{here} must be one of its {len(self.enum)} values", hint)
        if isinstance(value, str | list | tuple | Mapping) and len(value) > self.longest():
            what = "characters" if isinstance(value, str) else "keys" if isinstance(value, Mapping) else "items"
            yield Fault(path, f"{here} has {len(value):,} {what}, and may have {self.longest():,}")
        if isinstance(value, int | float) and self.min is not None and value < self.min:
            yield Fault(path, f"{here} must be at least {number(self.min)}")
        if isinstance(value, int | float) and self.max is not None and value > self.max:
            yield Fault(path, f"{here} must be at most {number(self.max)}")

    def example(self, word: str) -> Any:
        """An allowed value; a text is made of the word."""
        if self.enum is not None:
            return self.enum[0]
        least, most = self.bounds()
        number = min(max(1, least), most)
        match self.type:
            case "string":
                return word[: self.longest()]
            case "integer":
                return int(number)
            case "number":
                return number
            case "boolean":
                return True
            case "list":
                return [self.items.example("item") if self.items is not None else "item"]
        return {}

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of a value."""
        names = {"boolean": "boolean", "list": "array", "map": "object"}
        lengths = {"string": "maxLength", "list": "maxItems", "map": "maxProperties"}
        schema: dict[str, Any] = {"type": names.get(self.type, self.type)}
        if self.enum is not None:
            schema["enum"] = list(self.enum)
        if self.min is not None:
            schema["minimum"] = self.min
        if self.max is not None:
            schema["maximum"] = self.max
        if self.type in lengths:
            schema[lengths[self.type]] = self.longest()
        if self.items is not None:
            schema["items"] = self.items.json_schema()
        return schema


class Input(InputItem):
    """A value that a request must or may give; templates see it by its name."""

    description: str | None = Field(None, description="What the value is, for those who send requests.")
    required: bool = Field(False, description="Whether a request without it is refused.")
    default: Any = Field(None, description="The value where a request gives none. Left out: the input is then not set.")

    @model_validator(mode="after")
    def _has_a_fitting_default(self) -> Self:
        if self.default is not None and self.required:
            message = "default is for optional inputs: every request gives a required one"
            raise Faulty([Fault(("default",), message, "leave out `default`, or `required`")])
        if self.default is not None:
            self.read(self.default, ("default",))
        return self

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of a value; null is as if it were left out."""
        schema = super().json_schema()
        if not self.required:
            schema["type"] = [schema["type"], "null"]
            if self.enum is not None:
                schema["enum"] = [*self.enum, None]
        described = {} if self.description is None else {"description": self.description}
        default = {} if self.default is None else {"default": self.read(self.default, ())}
        return {**described, **schema, **default}


def read_inputs(values: Mapping[str, Any], inputs: Inputs, vars: Iterable[str]) -> Mapping[str, Any]:
    """The value of every input, None where an optional one is not set. `vars` are the names to suggest for a misplaced one.

    Raises Faulty with the first faults.
    """
    faults: list[Fault] = []
    read: dict[str, Any] = {}
    misspelt = set()
    for name in values:
        if name not in inputs:
            faults.append(_unknown(name, inputs, vars))
            misspelt.add(nearest(str(name)[:MOST_LETTERS], inputs))
        if len(faults) >= MOST_FAULTS:
            raise Faulty([*faults, Fault(("inputs",), "and perhaps more")])
    for name, declared in inputs.items():
        value = values.get(name)
        try:
            if value is not None:
                read[name] = declared.read(value, ("inputs", name))
            elif declared.required and name not in misspelt:
                hint = f"add '{name}' to 'inputs': {declared.description or WORDS[declared.type]}"
                raise Faulty([Fault(("inputs", name), f"inputs.{name} is required", hint, "missing-key")])
            elif not declared.required:
                read[name] = None if declared.default is None else declared.read(declared.default, ("inputs", name))
        except Faulty as error:
            faults += error.faults
    if faults:
        more = [Fault(("inputs",), f"and {len(faults) - MOST_FAULTS} more")] if len(faults) > MOST_FAULTS else []
        raise Faulty([*faults[:MOST_FAULTS], *more])
    return read


def input_faults(vars: Any, inputs: Inputs) -> list[Fault]:
    """Vars of a layer that are declared as inputs, which only a request gives."""
    names = [name for name in inputs if name in vars] if isinstance(vars, Mapping) else []
    return [Fault(("vars", name), f"vars.{name} is declared in `inputs`, so only a request gives it") for name in names]


def _unknown(name: Any, inputs: Inputs, vars: Iterable[str]) -> Fault:
    word = str(name)[:MOST_LETTERS]
    if name in set(vars):
        return Fault(("inputs", word), f"inputs.{word} is not declared", _VAR)
    return Fault(("inputs", word), f"inputs.{word} is not declared", suggest(word, inputs))
