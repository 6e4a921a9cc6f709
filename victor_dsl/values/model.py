"""The base of every pydantic model: whatever people write, in a spec or in the values that a running spec reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Model(BaseModel):
    """Unknown keys are faults, types are exact, values are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=(), defer_build=True
    )


class OrNull:
    """Inside `Annotated`: null may be written, and means "not set". Where values are in force, nulls are gone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(handler(source))


NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"
VAR_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
NAME_RULES: Mapping[str, str] = {
    NAME_PATTERN: "a name starts with a letter or '_' and has letters, digits, '_', '-' and '.', at most 64",
    VAR_PATTERN: "templates use it as a word: letters, digits and '_', not starting with a digit",
}
"""The patterns of names, in words."""
