"""How large the package is, and how many of its files a reader opens to follow one path: `python -m bench.sizes`.

`--checkout DIR` measures another checkout with this script, for comparing. A path's files are counted by running it:
those whose functions are called, from the place where the path begins to where it ends. What is merely imported does
not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

import grimp

from bench.measure import table

PACKAGE = "victor_dsl"
ROOT = Path(__file__).parent.parent

TRACE = """
import inspect, json, sys, threading
called = set()
def profile(frame, event, argument):
    code = frame.f_code
    if event == "call" and code.co_flags & inspect.CO_OPTIMIZED:  # a function, no module and no class body
        called.add(code.co_filename)
def begin():
    called.clear()
    threading.setprofile(profile)
    sys.setprofile(profile)
def end():
    sys.setprofile(None)
    threading.setprofile(None)
"""
VALIDATE = """
sys.argv = ["victor", "validate", "faulty.yml"]
begin()
from victor_dsl.interfaces.cli import main
try:
    main()
except SystemExit:
    pass
end()
"""
REPLY = """
import asyncio, victor_dsl
async def reply():
    if FIRST_TURN:
        begin()
    async with victor_dsl.open("SPEC", env={"KEY": "k"}) as orchestrator:
        await orchestrator.chat("Hello!", session_id="s1")  # what only a first turn does is no part of the path
        if not FIRST_TURN:
            begin()
            await orchestrator.chat("Hello again!", session_id="s1")
        end()
async def served(reader, writer):
    body = b'{"choices": [{"message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}]}'
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        length = next(line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
async def main():
    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        with open("openai.yml") as file:
            spec = file.read()
        with open("openai.yml", "w") as file:
            file.write(spec.replace("PORT", str(server.sockets[0].getsockname()[1])))
        await reply()
asyncio.run(main())
"""
SPECS = {
    "faulty.yml": "victor: 1\nname: faulty\nmodels: {main: {type: echo}}\nsettings: {temprature: 1, model: mian}\n"
    'contributors: [{type: template, template: "{{ prodct }}"}]\n',
    "echo.yml": "victor: 1\nname: echo\nmodels: {main: {type: echo, context_window: 8000}}\nsessions: memory\n",
    "openai.yml": "victor: 1\nname: openai\nmodels:\n  main: {type: openai, model: m, context_window: 8000, "
    'api_key: "${env:KEY}", base_url: "http://127.0.0.1:PORT/v1"}\nsessions: memory\n',
}


def sizes(root: Path = ROOT) -> dict[str, int]:
    """The lines of each module of the package, by its path; empty modules are left out."""
    lines = {
        path.relative_to(root).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted((root / PACKAGE).rglob("*.py"))
    }
    return {path: count for path, count in lines.items() if count}


def imports(*, for_types: bool = False) -> dict[str, set[str]]:
    """The modules of the package that each one imports; with `for_types` also those for type checking alone."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=not for_types, cache_dir=None)
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


def paths(root: Path = ROOT) -> dict[str, list[str]]:
    """The modules on each path that a reader may want to follow."""
    echo, openai = (_called(_reply(spec, first_turn=True), root) for spec in ("echo.yml", "openai.yml"))
    return {
        "a message to its reply (second turn, model echo)": sorted(_called(_reply("echo.yml", first_turn=False), root)),
        "a spec to its diagnostics (victor validate)": sorted(_called(VALIDATE, root)),
        "models/openai (from its spec to a reply, beyond what echo needs)": sorted(openai - echo),
        "the command line (all of interfaces/cli)": sorted(
            path for path in sizes(root) if path.startswith(f"{PACKAGE}/interfaces/cli/")
        ),
    }


def _reply(spec: str, *, first_turn: bool) -> str:
    return REPLY.replace("SPEC", spec).replace("FIRST_TURN", str(first_turn))


def _called(program: str, root: Path) -> set[str]:
    """The modules of the package whose functions a program calls between `begin()` and `end()`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SPECS.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        code = f"import sys; sys.path.insert(0, {str(root)!r})\n{TRACE}{program}\nprint('\\n' + json.dumps(sorted(called)))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    package = root / PACKAGE
    return {
        Path(name).relative_to(root).as_posix()
        for name in found
        if Path(name).is_absolute() and package in Path(name).parents
    }


def main() -> None:
    """Prints the figures as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizes", description=__doc__)
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the checkout to measure; this one if left out")
    parser.add_argument("--list", action="store_true", help="name the files on each path")
    options = parser.parse_args()
    root: Path = options.checkout.resolve()
    sys.path.insert(0, str(root))
    lines = sizes(root)
    print(f"{len(lines)} modules, {sum(lines.values())} lines, median {median(lines.values()):.0f}\n")
    largest = sorted(lines.items(), key=lambda item: -item[1])
    print(table(["largest modules", "lines"], ([path, str(count)] for path, count in largest[:8])), end="\n\n")
    found = paths(root)
    print(table(["files on the path of", "files", "lines"], _rows(found, lines)), end="\n\n")
    if options.list:
        for path, files in found.items():
            print(f"{path}:", *files, sep="\n  ", end="\n\n")
    print("import circles:", circles(imports()) or "none")
    print("with imports for types alone:", circles(imports(for_types=True)) or "none")


def _rows(paths: Mapping[str, Iterable[str]], lines: Mapping[str, int]) -> Iterable[list[str]]:
    for path, files in paths.items():
        known = [lines[file] for file in files if file in lines]
        yield [path, str(len(known)), str(sum(known))]


if __name__ == "__main__":
    main()
