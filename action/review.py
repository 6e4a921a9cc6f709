"""What the GitHub Action runs: validates specs, runs their tests, and keeps one comment with the plan of a pull request.

Everything comes from the environment: the inputs of `action.yml`, and the variables that GitHub sets. No shell reads any of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MARKER = "<!-- victor plan -->"
LONGEST = 60_000
"""Characters of a comment; GitHub allows 65,536."""

MOST_PAGES = 30
PER_PAGE = 100
TIMEOUT_SECONDS = 30
FORBIDDEN = (401, 403, 404)


def main(environment: Mapping[str, str]) -> int:
    """The exit code of the step: 1 where a spec has a fault, a test fails or a condition holds."""
    if environment.get("GITHUB_EVENT_NAME") == "pull_request_target":
        return _refuse("run this action on `pull_request`: `pull_request_target` would give a fork's code your secrets")
    event = _event(environment)
    pull = event.get("pull_request") or {}
    trust = ["--untrusted"] if _untrusted(environment.get("UNTRUSTED", "auto"), event) else []
    specs = environment.get("SPECS", "").split() or ["victor.yml"]
    failed = False
    for spec in specs:
        if spec.startswith("-"):
            return _refuse(f"'{spec}' is not the path of a spec")
        failed |= _victor("validate", "--format", "github", *trust, "--", spec).returncode != 0
        if not failed and re.search(r"^tests:", _read(spec), re.MULTILINE):
            failed |= _victor("test", *trust, "--", spec).returncode != 0
    if pull:
        body, broken = _plans(specs, pull["base"]["ref"], environment, trust)
        failed |= broken
        _append(environment.get("GITHUB_STEP_SUMMARY"), body)
        if environment.get("COMMENT", "true") == "true":
            _keep_comment(environment, int(pull["number"]), body)
    return int(failed)


def _untrusted(wanted: str, event: Mapping[str, Any]) -> bool:
    """Whether nothing of the specs may run. A fork's repository is another one, or has been deleted."""
    if wanted in ("true", "false"):
        return wanted == "true"
    head = (event.get("pull_request") or {}).get("head") or {}
    ours = (event.get("repository") or {}).get("full_name")
    return bool(event.get("pull_request")) and (head.get("repo") or {}).get("full_name") != ours


def _plans(specs: Sequence[str], base: str, environment: Mapping[str, str], trust: Sequence[str]) -> tuple[str, bool]:
    """What the pull request changes, as Markdown, empty where that is nothing; and whether a plan failed."""
    ref = f"refs/remotes/origin/{base}"
    fetched = subprocess.run(
        ["git", "fetch", "--quiet", "--no-tags", "--depth=1", "origin", f"+refs/heads/{base}:{ref}"], check=False
    )
    if fetched.returncode:
        print("::error::cannot fetch the base branch: check out with actions/checkout first")
        return "", True
    traffic = ["--traffic", environment["TRAFFIC"]] if environment.get("TRAFFIC") else []
    conditions = [word for one in environment.get("FAIL_ON", "").split() for word in ("--fail-on", one)]
    parts, failed = [], False
    for spec in specs:
        if subprocess.run(["git", "cat-file", "-e", f"{ref}:{spec}"], check=False, capture_output=True).returncode:
            parts.append(f"### {_code(spec)}\n\nThis spec is new.\n")
            continue
        sides = [f"{ref}:{spec}", spec]
        found = _victor("plan", "--format", "json", *traffic, *conditions, *trust, *sides, capture=True)
        failed |= found.returncode != 0
        if not found.stdout.strip():
            print(found.stderr, file=sys.stderr)
            continue
        if _is_empty(json.loads(found.stdout)):
            continue
        shown = _victor("plan", "--format", "markdown", *traffic, *trust, *sides, capture=True)
        parts.append(f"### {_code(spec)}\n\n{shown.stdout}")
    return "\n".join(parts), failed


def _is_empty(plan: Mapping[str, Any]) -> bool:
    traffic = plan.get("traffic") or {}
    return not plan.get("changes") and not traffic.get("changed")


def _keep_comment(environment: Mapping[str, str], number: int, body: str) -> None:
    """Makes, updates or withdraws the one comment. A token that may not write it, as in a fork, is no failure."""
    text = f"{MARKER}\n{body}" if body else ""
    if len(text) > LONGEST:
        text = f"{MARKER}\nThe plan is too long for a comment; the summary of this run has it.\n"
    issues = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/issues"
    try:
        ours = [one for one in _comments(f"{issues}/{number}/comments", environment) if _is_ours(one, environment)]
        kept = ours[0] if ours and text else None
        for surplus in ours[1:] if kept else ours:
            _call("DELETE", f"{issues}/comments/{surplus['id']}", environment)
        if kept is not None and kept["body"].replace("\r\n", "\n") != text:
            _call("PATCH", f"{issues}/comments/{kept['id']}", environment, {"body": text})
        elif kept is None and text:
            _call("POST", f"{issues}/{number}/comments", environment, {"body": text})
    except urllib.error.HTTPError as error:
        if error.code not in FORBIDDEN:
            raise
        print(f"::notice::the comment was not written (HTTP {error.code}): the token may not; the summary has the plan")


def _comments(url: str, environment: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    for page in range(1, MOST_PAGES + 1):
        found = _call("GET", f"{url}?per_page={PER_PAGE}&page={page}", environment)
        yield from found
        if len(found) < PER_PAGE:
            return


def _is_ours(comment: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether this action wrote it: others may write the marker, too."""
    author = (comment.get("user") or {}).get("login")
    return author == environment.get("AUTHOR") and str(comment.get("body", "")).startswith(MARKER)


def _call(method: str, url: str, environment: Mapping[str, str], body: Any = None) -> Any:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        text = response.read()
    return json.loads(text) if text else None


def _victor(*words: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    command = shutil.which("victor", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    hidden = {key: value for key, value in os.environ.items() if key not in ("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN")}
    sys.stdout.flush()
    return subprocess.run([command or "victor", *words], env=hidden, capture_output=capture, text=True, check=False)


def _event(environment: Mapping[str, str]) -> dict[str, Any]:
    path = environment.get("GITHUB_EVENT_PATH")
    event: dict[str, Any] = json.loads(_read(path)) if path else {}
    return event


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text("utf-8", "replace") if file.is_file() else ""


def _append(path: str | None, text: str) -> None:
    if path and text:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _code(text: str) -> str:
    return "`" + re.sub(r"[`\s]", " ", text) + "`"


def _refuse(message: str) -> int:
    print(f"::error::{message}")
    return 2


if __name__ == "__main__":
    sys.exit(main(os.environ))
