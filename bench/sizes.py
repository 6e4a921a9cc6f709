"""The size of the modules and the circles among their imports: `python -m bench.sizes`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import grimp

PACKAGE = "victor_dsl"
ROOT = Path(__file__).parent.parent


def sizes() -> dict[str, int]:
    """The lines of each module of the package, by its path; empty modules are left out."""
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
    }
    return {path: count for path, count in lines.items() if count}


def imports() -> dict[str, set[str]]:
    """The modules of the package that each one imports, for type checking alone not counted."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in sorted(graph.modules)}


def circles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import one another, directly or not."""
    theirs = {module: reached(module, imports) for module in imports}
    groups = {
        frozenset(other for other in theirs[module] if module in theirs[other])
        for module in imports
        if module in theirs[module]
    }
    return sorted(sorted(group) for group in groups)


def reached(module: str, imports: Mapping[str, set[str]]) -> set[str]:
    """Every module that importing this one may import; itself only where it is in a circle."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        for imported in imports[waiting.pop()] - found:
            found.add(imported)
            waiting.append(imported)
    return found


def main() -> None:
    """Prints the figures as Markdown."""
    lines = sizes()
    largest = sorted(lines.items(), key=lambda item: -item[1])
    print(f"{len(lines)} modules, {sum(lines.values())} lines, median {median(lines.values()):.0f}\n")
    print("| largest modules | lines |\n|---|---:|")
    for path, count in largest[:8]:
        print(f"| {path} | {count} |")
    print("\nimport circles:", circles(imports()) or "none")


if __name__ == "__main__":
    main()
