"""Secrets that stand in a spec or are sent in clear, and the code that it names: functions must exist, and an untrusted spec may run nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from attrs import define, field, frozen

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.language.annotations import (
    CommandLine,
    FilePath,
    FunctionName,
    Secret,
    annotated_fields,
    nested_secrets,
)
from victor_dsl.nearest import suggest
from victor_dsl.regular_file import read_regular
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated, as_read
from victor_dsl.source.reader import is_inside
from victor_dsl.source.redaction import looks_secret
from victor_dsl.values.faults import dotted


def no_literal_secrets(subject: LintInput) -> Iterator[Diagnostic]:
    """Keys, private keys, and passwords in URLs, wherever they stand; in secret fields any text is a fault already."""
    if not any(looks_secret(leaf.value) for leaf in subject.document.leaves() if isinstance(leaf.value, str)):
        return  # as in nearly every spec: paths cost more than the search
    for path, leaf in subject.document.walk():
        if isinstance(leaf.value, str) and id(leaf) not in subject.secrets and looks_secret(leaf.value):
            yield Diagnostic(
                "literal-secret",
                f"{path[-1] if path else 'this'} contains what looks like a secret",
                leaf.span,
                path,
                'put it in the environment and write `"${env:NAME}"`, or in a file: `"${file:path}"`; '
                "and revoke it if it was ever committed",
            )


def secrets_are_encrypted(subject: LintInput) -> Iterator[Diagnostic]:
    """Addresses without TLS, outside of private networks, to which a secret would be sent."""
    for item in subject.items():
        for names, group in _groups(item):
            for name in ADDRESSES:
                address = getattr(group, name, None)
                if isinstance(address, str) and address.startswith("http://") and not _is_private(address):
                    leaf = item.located.at((*names, name))
                    yield Diagnostic(
                        "cleartext-secret",
                        f"{dotted((*names, name))} sends a secret without encryption",
                        leaf.span,
                        (*item.path, *names, name),
                        "write `https://`",
                        "warning",
                    )


ADDRESSES = ("base_url", "url", "token_url", "issuer")
"""Fields of Configs that get the Config's secrets."""

PRIVATE_NAMES = ("localhost", ".localhost", ".local", ".internal", ".svc", ".lan", ".home.arpa", ".test")
"""How names of private networks end; names without a dot are private, too."""


def _groups(item: Item) -> Iterator[tuple[tuple[str, ...], object]]:
    """The Config of an item and its groups of fields that hold a secret, each with its names in the item."""
    config = item.config
    if config is None:
        return
    if any(one is Secret and getattr(config, name) for name, one in annotated_fields(type(config)).items()):
        yield (), config
    for name, inner in nested_secrets(type(config)):
        group = getattr(config, name)
        if getattr(group, inner, None) is not None:
            yield (name,), group


def _is_private(address: str) -> bool:
    """Whether an address is of this machine or of a private network, as far as its name says."""
    host = urlsplit(address).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_NAMES)


def functions_exist(subject: LintInput) -> Iterator[Diagnostic]:
    """`module:function` is well formed, its module is found, and the module defines or imports the function."""
    modules = _Modules(subject.directory)
    if subject.untrusted:
        return  # it may name none
    for item in subject.items():
        for name, annotation in annotated_fields(item.component.config).items():
            leaf = item.located.get(name)
            text = as_read(leaf.value) if leaf is not None else None
            if isinstance(annotation, FunctionName) and isinstance(text, str) and leaf is not None:
                fault = _fault(text, modules)
                if fault is not None:
                    message, hint = fault
                    if isinstance(leaf.value, Interpolated):
                        message, hint = (
                            f"the value of {leaf.value.text} names no function",
                            "write `package.module:function`",
                        )
                    yield Diagnostic("unknown-function", message, leaf.span, (*item.path, name), hint)


MOST_MODULE_BYTES = 256 * 1024
"""Of a module that is read for its names, which takes 600 times as much memory. Of a larger one nothing is known."""

MOST_MODULES_BYTES = 1024 * 1024
"""Of all modules that are read."""

MOST_PARTS = 32
"""Of a module's dotted name."""


@frozen
class _Module:
    """What is known of a module: why it cannot be used, or its names, where they can be told."""

    problem: tuple[str, str] | None = None
    names: frozenset[str] | None = None


@define
class _Modules:
    """The modules that were looked for, from the spec's folder first."""

    directory: Path
    _left: int = MOST_MODULES_BYTES
    _known: dict[str, _Module] = field(factory=dict)

    def find(self, name: str) -> _Module:
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> _Module:
        spec = _find(name, self.directory)
        if spec is None:
            hint = "modules are searched in the spec's folder, then on Python's path"
            return _Module((f"there is no module '{name}'", hint))
        if spec.origin is None or not spec.origin.endswith(".py"):
            return _Module()  # compiled: its names cannot be read from its source
        try:
            most = min(MOST_MODULE_BYTES, self._left)
            source, _ = read_regular(spec.origin, most)
            if len(source) > most:
                return _Module()
            self._left -= len(source)
            names, open_ended = _names(ast.parse(source, spec.origin))
        except (RecursionError, MemoryError):
            return _Module((f"the module '{name}' is nested too deeply to be read", "make it simpler"))
        except (OSError, SyntaxError, ValueError) as error:
            return _Module((f"the module '{name}' cannot be read: {error}", "correct the module"))
        return _Module(names=None if open_ended else frozenset(names))


def _fault(text: str, modules: _Modules) -> tuple[str, str] | None:
    """The fault of `module:function` and a hint, or None."""
    name, colon, function = text.partition(":")
    if not colon or not function.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        dotted = not colon and "." in text and all(part.isidentifier() for part in text.split("."))
        meant = ":".join(text.rsplit(".", 1)) if dotted else "package.module:function"
        return f"'{text}' does not name a function", f"write `{meant}`"
    if name.count(".") >= MOST_PARTS:
        return f"the name of this module has more than {MOST_PARTS} parts", "move the function to another module"
    module = modules.find(name)
    if module.problem is not None or module.names is None or function in module.names:
        return module.problem
    return f"{name} has no '{function}'", suggest(function, module.names, what="functions")


def _find(module: str, directory: Path) -> ModuleSpec | None:
    """The module's spec, from the spec's folder first, found part by part without importing a package."""
    for roots in ([str(directory)], sys.path):
        path: list[str] | None = roots
        found: ModuleSpec | None = None
        name = ""
        for part in module.split("."):
            name = f"{name}.{part}" if name else part
            found = PathFinder.find_spec(name, path) if path is not None else None
            if found is None:
                break
            path = list(found.submodule_search_locations or ()) or None
        if found is not None:
            return found
    return None


def _names(tree: ast.Module) -> tuple[set[str], bool]:
    """The functions, classes, imports and assignments at the top of a module; and whether it may have more."""
    names: set[str] = set()
    open_ended = False
    stack: list[ast.stmt] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            open_ended |= node.name == "__getattr__"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
            open_ended |= any(alias.name == "*" for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.If | ast.Try | ast.With):
            stack += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            stack += [s for handler in getattr(node, "handlers", ()) for s in handler.body]
    return names, open_ended


HINT = "check what it runs and leave out `--untrusted`, or remove it from the spec"


def nothing_of_its_own_runs(subject: LintInput) -> Iterator[Diagnostic]:
    """Every function to import and program to start that the spec or an overlay names."""
    if not subject.untrusted:
        return
    for item in subject.items():
        for name, annotation in annotated_fields(item.component.config).items():
            leaf = item.located.get(name)
            if leaf is None or leaf.value is None or not isinstance(annotation, FunctionName | CommandLine):
                continue
            does = "imports Python code" if isinstance(annotation, FunctionName) else "starts a program"
            message = f"`{name}` {does}, which an untrusted spec may not do"
            yield Diagnostic("untrusted-code", message, leaf.span, (*item.path, name), HINT)


def nothing_outside_is_named(subject: LintInput) -> Iterator[Diagnostic]:
    """Every file outside the folder of an untrusted spec that the spec or an overlay names, links resolved."""
    root = subject.files.root
    for item in subject.items() if root is not None else ():
        for name, annotation in annotated_fields(item.component.config).items():
            path, leaf = getattr(item.config, name, None), item.located.get(name)
            if not isinstance(annotation, FilePath) or not isinstance(path, str) or leaf is None or path == ":memory:":
                continue
            if root is not None and not is_inside(path, root):
                message = f"`{name}` is outside the spec's folder, which an untrusted spec may not use"
                hint = "name a file in the folder, or leave out `--untrusted`"
                yield Diagnostic("untrusted-path", message, leaf.span, (*item.path, name), hint)
