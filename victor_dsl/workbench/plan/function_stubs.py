"""A function's signature from its source, as a module that does nothing: importing it runs none of the source.

Of the source only what cannot run anything is copied: names of known types, literals, and classes that hold nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

HEAD = """\
import dataclasses, enum, datetime, decimal, typing, uuid
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NotRequired, Optional, Required, TypedDict, Union
from uuid import UUID
from pydantic import BaseModel, Field
from victor_dsl.values.turn import Turn
"""

_TYPES = frozenset(
    [
        "str",
        "int",
        "float",
        "bool",
        "bytes",
        "list",
        "dict",
        "tuple",
        "set",
        "frozenset",
        "object",
        "None",
        "Any",
        "Annotated",
        "Literal",
        "Optional",
        "Union",
        "Field",
        "Turn",
        "UUID",
        "date",
        "time",
        "timedelta",
        "Decimal",
        "NotRequired",
        "Required",
    ]
)
_BASES = frozenset({"BaseModel", "TypedDict", "Enum", "IntEnum", "StrEnum", "str", "int"})
_MODULES = frozenset({"typing", "datetime", "decimal", "uuid", "enum", "dataclasses"})
_TYPED = frozenset(_TYPES | {"datetime"})

MOST_CLASSES = 50


def stub_of(source: str, name: str) -> str | None:
    """The module; None where the function or one of its types is not as plain as that. Raises SyntaxError."""
    body = ast.parse(source).body
    functions = [one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name]
    if not functions or functions[-1].decorator_list:
        return None
    function = functions[-1]
    classes = {one.name: one for one in body if isinstance(one, ast.ClassDef)}
    shadowed = {one for statement in body for one in _bound(statement)} - classes.keys()
    wanted: list[ast.ClassDef] = []
    for each in _annotations(function):
        if not _is_plain(each, classes, wanted, shadowed):
            return None
    arguments = function.args
    defaults = [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]
    if not all(map(_is_literal, defaults)) or arguments.vararg is not None or arguments.kwarg is not None:
        return None
    if (doc := ast.get_docstring(function, clean=False)) is not None:
        function.body = [ast.Expr(ast.Constant(doc))]
    else:
        function.body = [ast.Pass()]
    function.returns = None
    stub = ast.Module([*dict.fromkeys(wanted), function], [])
    return f"{HEAD}\n{ast.unparse(ast.fix_missing_locations(stub))}\n"


def _annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    arguments = function.args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if one.annotation is not None:
            yield one.annotation


def _is_plain(node: ast.expr, classes: dict[str, ast.ClassDef], wanted: list[ast.ClassDef], shadowed: set[str]) -> bool:
    """Whether a type is made of known names alone; classes of the source that it names are added to `wanted`, those they name first."""
    match node:
        case ast.Constant(value=str(text)):
            return _is_plain(ast.parse(text, mode="eval").body, classes, wanted, shadowed)
        case ast.Constant():
            return True
        case ast.Name(id=name):
            if name in classes:
                return _is_plain_class(classes[name], classes, wanted, shadowed)
            return name in _TYPES and name not in shadowed
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return module in _MODULES and module not in shadowed and name in _TYPED
        case ast.Subscript(value=of, slice=inside):
            if isinstance(of, ast.Name) and of.id == "Literal":
                return "Literal" not in shadowed and _is_literal(inside)
            return _is_plain(of, classes, wanted, shadowed) and _is_plain(inside, classes, wanted, shadowed)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return all(_is_plain(part, classes, wanted, shadowed) for part in parts)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return all(_is_plain(part, classes, wanted, shadowed) for part in (left, right))
        case ast.Call(func=ast.Name(id="Field"), args=args, keywords=keywords):
            values = [*args, *(keyword.value for keyword in keywords)]
            named = all(keyword.arg is not None for keyword in keywords)
            return "Field" not in shadowed and named and all(map(_is_literal, values))
    return False


def _is_plain_class(
    found: ast.ClassDef, classes: dict[str, ast.ClassDef], wanted: list[ast.ClassDef], shadowed: set[str]
) -> bool:
    if found in wanted:
        return True
    others = {name: one for name, one in classes.items() if one is not found}
    decorated = [one for one in found.decorator_list if not (isinstance(one, ast.Name) and one.id == "dataclass")]
    bases = all(isinstance(base, ast.Name) and base.id in _BASES - shadowed - classes.keys() for base in found.bases)
    if decorated or found.keywords or not bases or len(wanted) >= MOST_CLASSES:
        return False
    for one in found.body:
        match one:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                continue
            case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
                plain = value is None or _is_literal(value) or _is_plain(value, {}, wanted, shadowed)
                if not plain or not _is_plain(annotation, others, wanted, shadowed):
                    return False
            case ast.Assign(targets=[ast.Name()], value=value) if _is_literal(value):
                continue
            case _:
                return False
    wanted.append(found)
    return True


def _is_literal(node: ast.expr) -> bool:
    """Whether it is a value that is written out."""
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
            return True
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return all(map(_is_literal, parts))
        case ast.Dict(keys=keys, values=values):
            return all(key is not None and _is_literal(key) for key in keys) and all(map(_is_literal, values))
    return False


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement at the top of a module gives another meaning."""
    match statement:
        case ast.Assign(targets=targets):
            yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ImportFrom(module=module, names=names):
            known = module in {*_MODULES, "pydantic", "victor_dsl", "victor_dsl.values.turn", "__future__"}
            yield from (one.asname or one.name for one in names if not known or one.asname is not None)
        case ast.Import(names=names):
            yield from (one.asname or one.name for one in names if one.asname or one.name not in _MODULES)
