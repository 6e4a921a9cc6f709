"""Imports the module that a spec points to, from the spec's folder first."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from victor_dsl.errors import ComponentError
from victor_dsl.nearest import suggest


def import_function(function: str, directory: Path) -> Any:
    """What `module:name` means for a spec in that folder. Raises ComponentError that says what is wrong.

    Two specs may each have a `tools.py`: a module of one folder never stands in for that of another. Python's path is
    as it was before.
    """
    module_name, _, name = function.partition(":")
    try:
        with _path_from(directory, module_name.partition(".")[0]):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            hint = f"it is looked for in '{directory}', then on Python's path"
            raise ComponentError(f"there is no module '{error.name}'", hint=hint) from error
        raise ComponentError(f"importing '{module_name}' failed: {error}") from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ComponentError(f"importing '{module_name}' failed: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        names = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        raise ComponentError(f"the module '{module_name}' has no '{name}'", hint=suggest(name, names))
    return getattr(module, name)


@contextmanager
def _path_from(directory: Path, top: str) -> Iterator[None]:
    """Lets imports look into the folder first while it lasts, and hides modules that other folders have under the name."""
    folder = directory.resolve()
    if (
        top in sys.stdlib_module_names
        or top == "victor_dsl"
        or not any((folder / found).exists() for found in (top, f"{top}.py"))
    ):
        yield
        return
    hidden = {
        name: module for name, module in sys.modules.items() if _is_of(name, top) and not _lies_in(module, folder)
    }
    for name in hidden:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if hidden:
            for name in [name for name in sys.modules if _is_of(name, top)]:
                del sys.modules[name]
            sys.modules.update(hidden)


def _is_of(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return file is not None and Path(file).resolve().is_relative_to(folder)
