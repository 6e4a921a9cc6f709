"""Errors of PostgreSQL and of the connection to it, as StoreErrors that say what to do and never show the password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import asyncpg

from victor_dsl.errors import StoreError
from victor_dsl.storage import migrate_command

DISCONNECTED = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError, OSError)
"""What a connection raises after the server has closed it."""
TRANSIENT = (
    *(asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError),
    *(asyncpg.TransactionRollbackError, asyncpg.InternalClientError, OSError),
    *(asyncpg.ReadOnlySQLTransactionError, asyncpg.PostgresIOError),
)
"""Errors that may go away: no connection, a shutdown, too many connections, a full disk, a deadlock, a timeout (an OSError),
a server that does not take writes yet after a failover."""
HINTS = (
    (asyncpg.UndefinedTableError, "create the tables with '{migrate}'"),
    (asyncpg.UndefinedColumnError, "create the tables with '{migrate}'"),
    (asyncpg.InvalidPasswordError, "check the user and password in the dsn"),
    (asyncpg.InvalidAuthorizationSpecificationError, "check the user and password in the dsn"),
    (asyncpg.InvalidCatalogNameError, "check the database in the dsn"),
    (asyncpg.InsufficientPrivilegeError, "grant it to the role in the dsn, or act for the row's tenant"),
    (asyncpg.TooManyConnectionsError, "lower max_connections of this database, or raise the server's"),
)
NO_DSN = "not a PostgreSQL dsn"
DSN = "write it as postgresql://user:password@host:5432/database"


class PostgresErrors:
    """Translates the errors of one database. Messages about reaching it show its host, port and name.

    Raises StoreError for a dsn that cannot be parsed.
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
    def translated(self) -> Iterator[None]:
        """Raises the errors of its block as StoreError."""
        try:
            yield
        except asyncpg.ClientConfigurationError:
            raise StoreError(NO_DSN, node=self._node, hint=DSN) from None  # the error quotes the dsn
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            hint = next((hint for type, hint in HINTS if isinstance(error, type)), "")
            hint = hint.replace("{migrate}", migrate_command(self._node))
            raise self._error(_first_line(error), hint or None, transient=_is_transient(error)) from error
        except TimeoutError as error:
            raise self._error(f"PostgreSQL at {self._place} did not answer in time", None, transient=True) from error
        except OSError as error:
            message = f"cannot reach PostgreSQL at {self._place}: {_reason(error)}"
            raise self._error(message, None, transient=True) from error

    def _error(self, message: str, hint: str | None, *, transient: bool) -> StoreError:
        if self._password:
            message = message.replace(self._password, "…")
        return StoreError(message, node=self._node, hint=hint, transient=transient)


def _is_transient(error: Exception) -> bool:
    closed = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
    return closed or isinstance(error, TRANSIENT)


def _first_line(error: Exception) -> str:
    """The message without the details that follow it, which may quote a row."""
    lines = str(error.args[0] if error.args else error).splitlines()
    return lines[0] if lines else type(error).__name__


def _reason(error: OSError) -> str:
    """`connection refused`, also where asyncio wraps it in a sentence of its own."""
    text = error.strerror or str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in text:
        return "connection refused"
    return text[:1].lower() + text[1:]
