"""The files of a git ref in a folder of their own, so that a spec of the past compiles and runs as if it were checked out."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from victor_dsl.errors import VictorError
from victor_dsl.nearest import nearest

MOST_BYTES = 256 * 2**20
MOST_FILES = 50_000
"""Of a repository whose files are all written; of a larger one, only those of the spec's folder are."""

GIT_SECONDS = 120
"""How long one command of git may take."""

_SPEC = re.compile(r"(?P<ref>[^:]+):(?P<path>.+)", re.DOTALL)
_LINK, _SUBMODULE = "120000", "160000"
_UNSHARED = ("__pycache__", ".git")
"""Ignored folders that a tree of the past does not share: what they hold belongs to the files of now."""


@frozen
class GitSpec:
    """A spec at a git ref, as written on the command line: `main:prompts/victor.yml`."""

    ref: str
    path: str

    @classmethod
    def read(cls, name: str) -> GitSpec | None:
        """The spec that a name means; None for the name of a file, or of standard input."""
        found = _SPEC.fullmatch(name)
        if found is None or os.path.exists(name):
            return None
        return cls(found["ref"], found["path"])

    def __str__(self) -> str:
        return f"{self.ref}:{self.path}"


@frozen
class Tree:
    """A ref's files below `root`, which stands for the repository's folder `top`. `spec` is the spec's path, `folder` the current folder's.

    `partial` says that only the spec's folder was written.
    """

    root: str
    top: str
    spec: str
    folder: str
    partial: bool = False

    def python_path(self) -> list[str]:
        """The folders of this process's Python path that lie in the repository, as they are in the tree."""
        here = (os.path.realpath(entry or ".") for entry in sys.path)
        return [self.root + entry[len(self.top) :] for entry in here if f"{entry}/".startswith(f"{self.top}/")]


@contextmanager
def written(spec: GitSpec, *, untrusted: bool = False) -> Iterator[Tree]:
    """The tree of the spec's ref, while it lasts. Raises VictorError, with exit code 3, where git has no such ref or file.

    As after a checkout, what git ignores is there as it is now: local state, databases, environment files. An untrusted tree is without
    it, and without links that lead out of it.
    """
    git = _Git.here()
    commit = git.commit(spec.ref)
    path = git.path_of(spec, commit)
    with TemporaryDirectory(prefix="victor-plan-") as folder:
        root = os.path.realpath(folder)
        partial = git.write(commit, root, posixpath.dirname(path))
        if not untrusted:
            git.link_ignored(root)
        current = os.path.join(root, git.prefix)
        yield Tree(root, git.top, os.path.join(root, path), current if os.path.isdir(current) else root, partial)


@frozen
class _Git:
    """The repository around the current folder: `top` is its folder, `prefix` the current one's path in it."""

    top: str
    prefix: str

    @classmethod
    def here(cls) -> _Git:
        try:
            top, _, prefix = _run(["rev-parse", "--show-toplevel", "--show-prefix"]).decode().partition("\n")
        except FileNotFoundError as error:
            raise _unreadable("git is not installed, which a spec of the form `git-ref:path` needs") from error
        except subprocess.CalledProcessError as error:
            raise _unreadable(
                "the current folder is not in a git repository", hint="`git-ref:path` reads the repository around it"
            ) from error
        return cls(os.path.realpath(top), prefix.strip("\n"))

    def commit(self, ref: str) -> str:
        """The id of a ref's commit."""
        try:
            return self.text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
        except subprocess.CalledProcessError:
            pass
        names = self.text("for-each-ref", "--format=%(refname:short)", "--count=10000").split()
        remote = next((name for name in names if name.endswith(f"/{ref}")), None)
        close = remote or nearest(ref, names)
        hint = f"did you mean '{close}'?" if close else "`git branch --all` and `git tag` list those that there are"
        if self.text("rev-parse", "--is-shallow-repository").strip() == "true":
            hint = f"this clone is shallow: get the ref with `git fetch --depth 1 origin {ref}` (or `fetch-depth: 0` in CI)"
            hint += f"; or did you mean '{close}'?" if close else ""
        raise _unreadable(f"git has no commit '{ref}'", hint=hint)

    def path_of(self, spec: GitSpec, commit: str) -> str:
        """The spec's path from the top: as git reads it, else as it would be from the current folder."""
        from_here = posixpath.normpath(posixpath.join(self.prefix, spec.path))
        tried = [from_here] if spec.path.startswith(("./", "../")) else [posixpath.normpath(spec.path), from_here]
        for path in tried:
            if path.startswith("../"):
                raise _unreadable(f"'{spec.path}' lies outside the repository", hint=f"its folder is {self.top}")
            try:
                kind = self.text("cat-file", "-t", f"{commit}:{path}").strip()
            except subprocess.CalledProcessError:
                continue
            if kind != "blob":
                raise _unreadable(f"{spec} is a folder", hint="name a spec file inside it")
            return path
        names = self.text("ls-tree", "-r", "-z", "--name-only", commit).split("\0")
        specs = [name for name in names if name.endswith((".yml", ".yaml", ".json"))]
        close = nearest(tried[-1], specs)
        hint = f"did you mean '{spec.ref}:{close}'?" if close else "the path starts at the top of the repository"
        raise _unreadable(f"'{spec.ref}' has no file '{spec.path}'", hint=hint)

    def write(self, commit: str, root: str, folder: str) -> bool:
        """Writes the commit's files below `root`; whether only those of the folder, because all would be too much."""
        entries = self._entries(commit)
        partial = len(entries) > MOST_FILES or sum(size for _, _, size in entries.values()) > MOST_BYTES
        if partial:
            entries = {path: entry for path, entry in entries.items() if _lies_in(path, folder)}
            if len(entries) > MOST_FILES or sum(size for _, _, size in entries.values()) > MOST_BYTES:
                raise _unreadable(
                    f"the spec's folder has more than {MOST_FILES:,} files or {MOST_BYTES // 2**20} MiB at this ref",
                    hint="check it out with `git worktree add`, and name the file there",
                )
        for path, mode, data in self._contents(entries):
            _write(root, path, mode, data)
        return partial

    def link_ignored(self, root: str) -> None:
        """Links to the files and folders that git ignores, where the tree has none of that name."""
        listed = self.text("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
        for name in filter(None, listed.split("\0")):
            path = os.path.normpath(os.path.join(self.prefix, name))
            target = os.path.join(root, path)
            if os.path.basename(path) in _UNSHARED or os.path.lexists(target):
                continue
            if os.path.isdir(os.path.dirname(target)):
                os.symlink(os.path.join(self.top, path), target)

    def _entries(self, commit: str) -> dict[str, tuple[str, str, int]]:
        """The mode, id and size of each file, by its path."""
        found = {}
        for line in self.text("ls-tree", "-r", "-z", "--long", "--full-tree", commit).split("\0"):
            if line:
                about, _, path = line.partition("\t")
                mode, _, id, size = about.split()
                if mode != _SUBMODULE:
                    found[path] = (mode, id, int(size))
        return found

    def _contents(self, entries: Mapping[str, tuple[str, str, int]]) -> Iterator[tuple[str, str, bytes]]:
        """The path, mode and content of each file, by one process of git."""
        wanted = "".join(f"{id}\n" for _, id, _ in entries.values()).encode()
        data, at = _run(["cat-file", "--batch"], self.top, wanted), 0
        for path, (mode, _, size) in entries.items():
            start = data.index(b"\n", at) + 1
            yield path, mode, data[start : start + size]
            at = start + size + 1

    def text(self, *arguments: str) -> str:
        return _run(arguments, os.path.join(self.top, self.prefix)).decode("utf-8", "surrogateescape")


def _run(arguments: list[str] | tuple[str, ...], folder: str | None = None, data: bytes | None = None) -> bytes:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        check=True,
        env=environment,
        timeout=GIT_SECONDS,
    )
    return done.stdout


def _write(root: str, path: str, mode: str, data: bytes) -> None:
    target = os.path.join(root, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.realpath(os.path.dirname(target)).startswith(root):
        return  # a link of the tree stands in its way
    if mode == _LINK:
        to = os.fsdecode(data)
        if os.path.normpath(os.path.join(os.path.dirname(target), to)).startswith(f"{root}{os.sep}"):
            os.symlink(to, target)
        return
    Path(target).write_bytes(data)
    if mode == "100755":
        os.chmod(target, 0o755)  # noqa: S103 - as git has it, in a folder that only this user can enter


def _lies_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _unreadable(message: str, *, hint: str | None = None) -> VictorError:
    return VictorError(message, hint=hint)
