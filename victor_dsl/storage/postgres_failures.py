"""What PostgreSQL and the way to it can fail with, each as a StoreError that says what to do and holds no password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import asyncpg

from victor_dsl.errors import StoreError

GONE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError, OSError)
"""What a connection raises that the server has cut."""
TRANSIENT = (
    *(asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError),
    *(asyncpg.TransactionRollbackError, asyncpg.InternalClientError, OSError),
)
"""What may pass by itself: no connection, shutting down, too many connections, a deadlock, a timeout (an OSError)."""
MIGRATE = "make its tables with 'victor db migrate SPEC'"
HINTS = (
    (asyncpg.UndefinedTableError, MIGRATE),
    (asyncpg.UndefinedColumnError, MIGRATE),
    (asyncpg.InvalidPasswordError, "look at the dsn's user and password"),
    (asyncpg.InvalidAuthorizationSpecificationError, "look at the dsn's user and password"),
    (asyncpg.InvalidCatalogNameError, "look at the dsn's database"),
    (asyncpg.InsufficientPrivilegeError, "grant it to the role that the dsn names, or act for the row's tenant"),
    (asyncpg.TooManyConnectionsError, "lower max_connections of this database, or raise the server's"),
)
NO_DSN = "the dsn is none that PostgreSQL knows"
DSN = "write it as postgresql://user:password@host:5432/database"


class Failures:
    """Tells the failures of one database. Its place (host, port, name) is in messages about reaching it.

    Raises StoreError for a dsn that is no address.
    """

    def __init__(self, node: str, dsn: str) -> None:
        self._node = node
        try:
            parts = urlsplit(dsn)
            self._place = f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
        except ValueError:
            raise StoreError(NO_DSN, node=node, hint=DSN) from None  # the error quotes the dsn
        self._password = unquote(parts.password or "")

    @contextmanager
    def told(self) -> Iterator[None]:
        """Raises StoreError for what fails in it."""
        try:
            yield
        except asyncpg.ClientConfigurationError:
            raise StoreError(NO_DSN, node=self._node, hint=DSN) from None  # the error quotes the dsn
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            hint = next((hint for type, hint in HINTS if isinstance(error, type)), None)
            raise self._error(_first_line(error), hint, transient=_is_transient(error)) from error
        except TimeoutError as error:
            raise self._error(f"PostgreSQL at {self._place} did not answer in time", None, transient=True) from error
        except OSError as error:
            said = _plain(error)
            raise self._error(f"cannot reach PostgreSQL at {self._place}: {said}", None, transient=True) from error

    def _error(self, message: str, hint: str | None, *, transient: bool) -> StoreError:
        if self._password:
            message = message.replace(self._password, "…")
        return StoreError(message, node=self._node, hint=hint, transient=transient)


def _is_transient(error: Exception) -> bool:
    closed = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
    return closed or isinstance(error, TRANSIENT)


def _first_line(error: Exception) -> str:
    """The message without its details, which may quote a row."""
    lines = str(error.args[0] if error.args else error).splitlines()
    return lines[0] if lines else type(error).__name__


def _plain(error: OSError) -> str:
    """`connection refused`, also where asyncio wrapped it into a sentence of its own."""
    said = error.strerror or str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError) or re.search(r"Connect call failed", said):
        return "connection refused"
    return said[:1].lower() + said[1:]
