"""A PostgreSQL server of the operator: whether Tocsin can work with it, and what goes wrong with it in words."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.postgres_address import ENCODE, PostgresAddress

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

MINIMUM_VERSION = 15
"""The oldest PostgreSQL that Tocsin is tried on."""
_LOGIN_BUDGET_SECONDS = 30.0
_POOLER_BUDGET_SECONDS = 5.0


@asynccontextmanager
async def session(dsn: str) -> AsyncGenerator[Connection]:
    """A session for the block."""
    connection = await asyncpg.connect(dsn, timeout=_LOGIN_BUDGET_SECONDS)
    try:
        yield connection
    finally:
        await connection.close()


def in_words(error: BaseException, address: PostgresAddress) -> str:
    """What an operator is told about a failure of the driver or the server."""
    match error:
        case socket.gaierror():
            return f"the host of {address.server} is not known ({error.strerror}); is the DSN right? {ENCODE}"
        case ConnectionRefusedError():
            return f"nothing listens on {address.server}"
        case TimeoutError():
            return f"{address.server} does not answer"
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return f"{address.server} does not let role {address.user} in: {error}"
        case asyncpg.InsufficientPrivilegeError():
            return (
                f"role {address.user} lacks a right on {address.server}: {error}; it needs CREATEROLE, CREATE on "
                f"database {address.database}, and the admin option on roles that somebody else made"
            )
        case _:
            return f"{address.server}, database {address.database}: {error}"


async def check_server(dsn: str, address: PostgresAddress) -> None:
    """Raises RuntimeProblem unless the server is new enough and every session is one server's session to its end."""
    async with session(dsn) as connection:
        check_version(connection.get_server_version(), address)
        if connection.get_server_pid() != await _server_process(connection):
            await _check_pooler(dsn, connection, address)


def version_text(version: asyncpg.types.ServerVersion) -> str:
    """As PostgreSQL writes it: 18.4, whose second number asyncpg calls micro."""
    return f"{version.major}.{version.micro}"


def check_version(version: asyncpg.types.ServerVersion, address: PostgresAddress) -> None:
    """Raises RuntimeProblem when the server is too old."""
    if version.major < MINIMUM_VERSION:
        raise RuntimeProblem(
            f"PostgreSQL {version_text(version)} on {address.server} is too old; Tocsin needs "
            f"{MINIMUM_VERSION} or newer"
        )


async def _check_pooler(dsn: str, connection: Connection, address: PostgresAddress) -> None:
    """Between us and the server is a pooler. While another session is in a transaction, ours must have its server
    process still."""
    try:
        async with asyncio.timeout(_POOLER_BUDGET_SECONDS), session(dsn) as other:
            before = await _server_process(connection)
            async with other.transaction():
                await _server_process(other)
                kept = before == await _server_process(connection)
    except (TimeoutError, asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError):
        kept = False
    except asyncpg.PostgresError as error:
        raise RuntimeProblem(f"the pooler on {address.server} cannot be used: {error}") from error
    if not kept:
        raise RuntimeProblem(
            f"the pooler on {address.server} gives a session's server process to others (pool_mode transaction or "
            "statement, or a pool of one); Tocsin listens, holds session locks and prepares statements: set pool_mode "
            "= session, or name the server itself"
        )


async def _server_process(connection: Connection) -> int:
    return await connection.fetchval("SELECT pg_backend_pid()")
