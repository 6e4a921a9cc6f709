"""The script of the GitHub Action, in a scratch repository, against a server with GitHub's API of comments."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent
SPEC = """\
victor: 1
name: shop
models:
  main: {type: echo}
contributors:
  - {type: text, name: tone, text: Be brief.}
"""
BOT = "github-actions[bot]"


@define
class GitHub:
    """The comments of one pull request, and every change of them."""

    url: str = ""
    comments: list[dict[str, Any]] = field(factory=list)
    calls: list[str] = field(factory=list)
    refuses: bool = False
    count: int = 0

    def write(self, body: str, author: str) -> dict[str, Any]:
        self.count += 1
        self.comments.append({"id": self.count, "body": body, "user": {"login": author, "type": "Bot"}})
        return self.comments[-1]

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret-token"
        if request.method != "GET":
            self.calls.append(request.method)
            if self.refuses:
                return web.json_response({"message": "Resource not accessible by integration"}, status=403)
        one = re.fullmatch(r"/repos/shop/shop/issues/comments/(\d+)", request.path)
        if one:
            (comment,) = [c for c in self.comments if c["id"] == int(one[1])]
            if request.method == "DELETE":
                self.comments.remove(comment)
                return web.Response(status=204)
            assert request.method == "PATCH"
            comment["body"] = (await request.json())["body"]
            return web.json_response(comment)
        assert request.path == "/repos/shop/shop/issues/7/comments"
        if request.method == "POST":
            return web.json_response(self.write((await request.json())["body"], BOT), status=201)
        page, size = int(request.query["page"]), int(request.query["per_page"])
        return web.json_response(self.comments[(page - 1) * size : page * size])


pytestmark = pytest.mark.usefixtures("warm_python")


@pytest.fixture
async def github() -> AsyncIterator[GitHub]:
    fake = GitHub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


def git(*words: str, cwd: Path) -> None:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "protocol.file.allow=always", *words]
    subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of a repository whose branch `main` has the spec."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git("init", "-q", "-b", "main", cwd=origin)
    (origin / "victor.yml").write_text(SPEC)
    git("add", ".", cwd=origin)
    git("commit", "-qm", "spec", cwd=origin)
    git("clone", "-q", str(origin), str(clone), cwd=tmp_path)
    return clone


async def review(
    repository: Path, github: GitHub, *, fork: bool = False, name: str = "pull_request", **inputs: str
) -> tuple[int, str]:
    """Runs the script as the action does; its exit code, and what it printed."""
    head = {"repo": {"full_name": "else/shop" if fork else "shop/shop"}}
    event = {
        "repository": {"full_name": "shop/shop"},
        "pull_request": {"number": 7, "base": {"ref": "main"}, "head": head},
    }
    path = repository.parent / "event.json"
    path.write_text(json.dumps(event))
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(repository.parent),
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": "shop/shop",
        "GITHUB_STEP_SUMMARY": str(repository.parent / "summary.md"),
        "GITHUB_TOKEN": "secret-token",
        "AUTHOR": BOT,
        **inputs,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(ROOT / "action" / "review.py"),
        cwd=repository,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_one_comment_is_made_and_updated(repository: Path, github: GitHub) -> None:
    (repository / "victor.yml").write_text(SPEC.replace("Be brief.", "Be kind."))
    code, out = await review(repository, github)
    assert code == 0, out
    assert github.calls == ["POST"]
    assert github.comments[0]["body"].startswith("<!-- victor plan -->\n")
    assert "Be kind." in github.comments[0]["body"]
    await review(repository, github)
    assert github.calls == ["POST"]  # the same plan is not written twice
    (repository / "victor.yml").write_text(SPEC.replace("Be brief.", "Be quick."))
    await review(repository, github)
    assert github.calls == ["POST", "PATCH"]
    assert "Be quick." in github.comments[0]["body"]


async def test_the_comment_is_withdrawn_where_nothing_changes_and_others_comments_stay(
    repository: Path, github: GitHub
) -> None:
    github.write("<!-- victor plan -->\nI am not the action.", "mallory")
    code, out = await review(repository, github)
    assert code == 0, out
    assert github.calls == []  # nothing is said where nothing changes
    github.write("<!-- victor plan -->\nold", BOT)
    await review(repository, github)
    assert github.calls == ["DELETE"]
    assert [one["user"]["login"] for one in github.comments] == ["mallory"]


async def test_the_comment_is_found_behind_many_others(repository: Path, github: GitHub) -> None:
    for number in range(230):
        github.write(f"Comment {number}", "alice")
    github.write("<!-- victor plan -->\nold", BOT)
    (repository / "victor.yml").write_text(SPEC.replace("Be brief.", "Be kind."))
    await review(repository, github)
    assert github.calls == ["PATCH"]


async def test_a_faulty_spec_fails_with_annotations(repository: Path, github: GitHub) -> None:
    (repository / "victor.yml").write_text(SPEC.replace("echo", "ecko"))
    code, out = await review(repository, github)
    assert code == 1
    assert "::error file=victor.yml,line=4" in out


async def test_nothing_of_a_fork_runs_and_its_token_may_be_refused(repository: Path, github: GitHub) -> None:
    github.refuses = True
    (repository / "evil.py").write_text("open('ran', 'w')\ndef tool() -> str:\n    '''Does.'''\n    return ''\n")
    (repository / "victor.yml").write_text(SPEC + "tools:\n  - {type: python, name: t, function: 'evil:tool'}\n")
    code, out = await review(repository, github, fork=True)
    assert code == 1
    assert "untrusted-code" in out
    assert not (repository / "ran").exists()
    assert "secret-token" not in out


async def test_a_fork_whose_token_may_not_comment_gets_a_summary(repository: Path, github: GitHub) -> None:
    github.refuses = True
    (repository / "victor.yml").write_text(SPEC.replace("Be brief.", "Be kind."))
    code, out = await review(repository, github, fork=True)
    assert code == 0, out
    assert "::notice::the comment was not written (HTTP 403)" in out
    assert "Be kind." in (repository.parent / "summary.md").read_text()


async def test_pull_request_target_is_refused(repository: Path, github: GitHub) -> None:
    code, out = await review(repository, github, name="pull_request_target")
    assert code == 2
    assert "pull_request_target" in out


@pytest.mark.parametrize("specs", ["--help", "$(touch ran).yml", "a;touch ran"])
async def test_names_are_never_commands(repository: Path, github: GitHub, specs: str) -> None:
    code, _ = await review(repository, github, SPECS=specs)
    assert code != 0
    assert not (repository / "ran").exists()


def test_no_expression_stands_in_a_script_and_every_action_is_pinned() -> None:
    action = YAML(typ="safe").load((ROOT / "action.yml").read_text())
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])
