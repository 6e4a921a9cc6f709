"""Imports the module that a spec points to, from the spec's folder first."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
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
    module = _imported(module_name, directory)
    if not hasattr(module, name):
        names = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        raise ComponentError(f"the module '{module_name}' has no '{name}'", hint=suggest(name, names))
    return getattr(module, name)


class FolderModules:
    """The loaded modules of a spec's folder, which are imported anew together.

    `kept` are names of modules that others imported: those stay as they are. So does an environment with packages in the folder.
    """

    def __init__(self, directory: Path, kept: Collection[str] = ()) -> None:
        self._directory = directory
        self._kept = kept
        self._inside = f"{directory.resolve()}{os.sep}"

    def loaded(self) -> dict[str, ModuleType]:
        """The modules by name, packages before what is in them."""
        return {
            name: module
            for name, module in sorted(sys.modules.items())
            if name not in self._kept and name != "__main__" and not _is_of(name, "victor_dsl") and self._has(module)
        }

    def files(self) -> list[str]:
        """Their source files."""
        return [file for module in self.loaded().values() if (file := getattr(module, "__file__", None))]

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Imports them again, all of them; where that fails, or what is inside does, they are as they were before.

        Raises ComponentError for a module that cannot be imported.
        """
        before = self.loaded()
        for module in before.values():
            if cached := getattr(module, "__cached__", None):
                with suppress(OSError):
                    os.unlink(cached)  # an edit within the same second may have the same size
        try:
            _forget(before)
            for name in before:
                _imported(name, self._directory)
            yield
        except BaseException:
            _forget(self.loaded())
            for name, module in before.items():
                sys.modules[name] = module
                package, _, last = name.rpartition(".")
                if package in sys.modules:
                    setattr(sys.modules[package], last, module)
            raise

    def named_by(self, error: BaseException | None) -> list[str]:
        """The files of the folder in which importing failed."""
        files: list[str] = []
        while error is not None:
            files += [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
            files += [str(getattr(error, "filename", None))]  # of a SyntaxError
            error = error.__cause__ or error.__context__
        return [file for file in files if file.startswith(self._inside)]

    def _has(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", None) or ()), "")
        return file.startswith(self._inside) and "site-packages" not in file


def _forget(modules: Mapping[str, ModuleType]) -> None:
    """Makes the next import of each read its file again. A package that stays must not hand out the old one."""
    for name, module in modules.items():
        sys.modules.pop(name, None)
        package, _, last = name.rpartition(".")
        if getattr(sys.modules.get(package), last, None) is module:
            delattr(sys.modules[package], last)


def _imported(module_name: str, directory: Path) -> ModuleType:
    """The module, from the folder first. Raises ComponentError."""
    try:
        with _path_from(directory, module_name.partition(".")[0]):
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            hint = f"it is looked for in '{directory}', then on Python's path"
            raise ComponentError(f"there is no module '{error.name}'", hint=hint) from error
        raise ComponentError(f"importing '{module_name}' failed: {error}") from error
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise ComponentError(f"importing '{module_name}' failed: {type(error).__name__}: {error}") from error


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
