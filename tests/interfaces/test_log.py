"""The log on stderr, and the key that `auth` asks for."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.interfaces.conftest import OFFLINE, Victor

KEY = "vk_of-acme-and-ann-0123456789"
LINE = re.compile(r"\d\d:\d\d:\d\d info turn session=\S+ id=\S+ ms=\S+ outcome=stop .*\n")


@pytest.fixture
def logging_spec(folder: Path) -> Path:
    (folder / "victor.yml").write_text(OFFLINE + "middleware: [logging]\n")
    return folder


@pytest.mark.usefixtures("logging_spec")
def test_the_log_goes_to_stderr_and_machine_output_stays_alone(victor: Victor) -> None:
    done = victor("run", "victor.yml", "hi", "--json")
    assert done.code == 0
    assert done.json["reply"] == "hi"
    assert LINE.fullmatch(done.err), done.err


@pytest.mark.usefixtures("logging_spec")
def test_quiet_shows_only_warnings(victor: Victor) -> None:
    done = victor("run", "victor.yml", "hi", "--quiet")
    assert (done.out, done.err) == ("hi\n", "")


def test_verbose_shows_every_line(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(OFFLINE + "middleware: [{type: logging, level: debug}]\n")
    assert victor("run", "victor.yml", "hi").err == ""
    assert " debug turn session=" in victor("run", "victor.yml", "hi", "-v").err


@pytest.mark.usefixtures("logging_spec")
def test_a_batch_logs_each_turn(victor: Victor) -> None:
    done = victor("run", "victor.yml", "--input", "-", stdin='{"message": "a"}\n{"message": "b"}\n')
    assert len(done.lines) == 2
    assert done.err.count("outcome=stop") == 2


def test_the_key_comes_from_the_environment_or_the_option_and_is_never_shown(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"key_hash": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest(), "tenant_id": "acme"}
    (folder / "keys.json").write_text(json.dumps({"keys": [entry]}))
    (folder / "victor.yml").write_text(OFFLINE + "middleware: [logging, {type: auth, keys: keys.json}]\n")
    without = victor("run", "victor.yml", "hi", "--json")
    assert (without.code, without.json["error"]["code"]) == (3, "unauthenticated")
    given = victor("run", "victor.yml", "hi", "--json", "--api-key", KEY)
    assert (given.code, given.json["tenant"]) == (0, "acme")
    monkeypatch.setenv("VICTOR_API_KEY", KEY)
    found = victor("run", "victor.yml", "hi", "--json", "--tenant", "acme")
    assert (found.code, found.json["tenant"]) == (0, "acme")
    other = victor("run", "victor.yml", "hi", "--json", "--tenant", "globex")
    assert (other.code, other.json["tenant"], other.json["error"]["code"]) == (3, None, "unauthenticated")
    assert KEY not in "".join(one.out + one.err for one in (without, given, found, other))


def test_render_needs_no_key(victor: Victor, folder: Path) -> None:
    (folder / "keys.json").write_text('{"keys": []}')
    (folder / "victor.yml").write_text(OFFLINE + "middleware: [{type: auth, keys: keys.json}, redact]\n")
    done = victor("render", "victor.yml", "--message", "mail bob@example.com", "--tenant", "acme")
    assert (done.code, done.json["messages"]) == (0, [{"role": "user", "content": "mail [email]"}])
