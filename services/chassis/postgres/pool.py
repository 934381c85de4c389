"""The connection pool of a service, bound to the service's own schema.

Every connection has `search_path` set to the schema alone, so unqualified names never reach another
service's tables, and time-outs on the server's side, so that no statement or forgotten transaction of ours
can hold locks for longer than they say.

A session is given back as it is, but for an open transaction, which is rolled back, and for what an exception may have
left half done: resetting it would cost one more round trip each time. So what outlives a transaction (LISTEN, session
locks, SET) is not for these connections (see ADR 0013).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Final, Literal, TypeAlias, TypeVar

import asyncpg
import asyncpg.pool

from services.chassis.errors import DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.postgres.errors import CONNECTION_LOST, ConstraintErrors, translated
from services.chassis.postgres.sessions import Sessions

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Item = TypeVar("Item")
Result = TypeVar("Result")
Isolation = Literal["read_committed", "repeatable_read", "serializable"]


@dataclass(frozen=True, kw_only=True)
class PoolOptions:
    """Sizes and time-outs of a pool; the defaults suit a service with some dozens of concurrent requests."""

    min_size: int = 1
    max_size: int = 10
    acquire_timeout: timedelta = timedelta(seconds=5)
    """How long a caller waits for a free connection before `Unavailable`."""
    connect_timeout: timedelta = timedelta(seconds=5)
    statement_timeout: timedelta = timedelta(seconds=30)
    silence_timeout: timedelta = timedelta(seconds=5)
    """How much later than at its time-out a statement is given up that the server does not answer at all: a lost
    network leaves sessions that are no error, and that nobody would end."""
    idle_in_transaction_timeout: timedelta = timedelta(seconds=60)
    lock_timeout: timedelta = timedelta(seconds=10)
    generic_plans: bool = False
    """Statements are planned once for a session, whatever their arguments: for services whose statements all find their
    rows by an index. Planning costs several times what such a statement does, most of all on a partitioned table."""
    wait_until_up: timedelta = timedelta(seconds=30)
    """How long opening the pool waits for a server that is still starting."""

    @property
    def command_timeout(self) -> float:
        """Seconds after which a statement is given up at our end; later than the server would."""
        return (self.statement_timeout + self.silence_timeout).total_seconds()

    def session_settings(self, schema: str, application_name: str) -> dict[str, str]:
        """The settings of each session."""
        return {
            "application_name": application_name,
            "search_path": f'"{schema}"',
            "timezone": "UTC",
            "statement_timeout": _milliseconds(self.statement_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_in_transaction_timeout),
            "lock_timeout": _milliseconds(self.lock_timeout),
            "plan_cache_mode": "force_generic_plan" if self.generic_plans else "auto",
            # Short statements dominate here; compiling them costs more than it saves.
            "jit": "off",
        }


class Database:
    """A pool and the two ways to use it. Errors of PostgreSQL leave both as domain errors."""

    def __init__(
        self, pool: Pool, options: PoolOptions, interrupted: "Interrupted", settings: Mapping[str, str]
    ) -> None:
        self.pool = pool
        self.settings = settings
        """What every session of the pool is set to."""
        self._sessions = Sessions(pool, patience=options.acquire_timeout.total_seconds())
        self._interrupted = interrupted
        self._closings: list[Callable[[], Awaitable[None]]] = []

    def group_commit(
        self,
        name: str,
        flush: Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Result | DomainError]]],
        *,
        constraints: ConstraintErrors | None = None,
        one_statement: bool = False,
        limit: int = 200,
    ) -> GroupCommit[Item, Result]:
        """A group commit whose flushes run in a transaction (`one_statement`: it needs none); see `GroupCommit` for
        what `flush` returns. It is closed before the pool is."""
        using = self.connection if one_statement else self.transaction

        async def committed(items: Sequence[Item]) -> Sequence[Result | DomainError]:
            async with using(constraints) as connection:
                return await flush(connection, items)

        group = GroupCommit(name, committed, limit=limit)
        self._closings.append(group.close)
        return group

    @property
    def idle_sessions(self) -> int:
        """How many sessions nobody uses."""
        return self._sessions.idle

    def connection(self, constraints: ConstraintErrors | None = None) -> "AbstractAsyncContextManager[Connection]":
        """A connection without a transaction (each statement commits by itself). A statement that could not be encoded
        must leave the block with its error."""
        return _Loan(self._sessions, self._interrupted, constraints)

    @asynccontextmanager
    async def transaction(
        self,
        constraints: ConstraintErrors | None = None,
        *,
        isolation: Isolation = "read_committed",
        readonly: bool = False,
    ) -> AsyncGenerator[Connection]:
        """A connection inside a transaction, committed when the block ends well and rolled back otherwise."""
        with translated(constraints):
            session = await self._sessions.take()
            in_order = False
            try:
                async with session.transaction(isolation=isolation, readonly=readonly):
                    yield session
                in_order = self._sessions.give_back(session)
            finally:
                if not in_order:
                    await self._sessions.give_up(session)

    async def ping(self, timeout: timedelta = timedelta(seconds=2)) -> None:
        """Raises `Unavailable` unless a session of the pool can be had and answers in time (for readiness)."""
        with translated():
            async with asyncio.timeout(timeout.total_seconds()):
                async with self.connection() as connection:
                    await connection.execute("SELECT 1")

    async def close(self, timeout: timedelta = timedelta(seconds=5)) -> None:
        """Waits for group commits and borrowed connections until the time-out, then cuts them."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                for close in self._closings:
                    await close()
                await self._sessions.close()
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()


class _Loan(AbstractAsyncContextManager[Connection]):
    """A session for a block. Written out, not made of generators: it is entered for every short statement."""

    __slots__ = ("_constraints", "_interrupted", "_pid", "_session", "_sessions")

    def __init__(self, sessions: Sessions, interrupted: "Interrupted", constraints: ConstraintErrors | None) -> None:
        self._sessions, self._interrupted, self._constraints = sessions, interrupted, constraints

    async def __aenter__(self) -> Connection:
        with translated(self._constraints):
            session = self._session = await self._sessions.take()
            try:
                self._pid = session.get_server_pid()  # one that was lost can no longer be asked
            except asyncpg.InterfaceError:
                await self._sessions.give_up(session)
                raise
        return session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._sessions.give_back(self._session):
            return
        with translated(self._constraints):
            if error is not None:
                self._interrupted.add(self._pid)
            await self._sessions.give_up(self._session)
            if error is not None:
                raise error


@asynccontextmanager
async def open_database(
    dsn: str, *, schema: str, application_name: str, options: PoolOptions | None = None
) -> AsyncGenerator[Database]:
    """Opens a pool, waiting for the server to come up, and closes it at the end of the block.

    Raises `Unavailable` when the server does not answer within `options.wait_until_up`.
    """
    options = options or PoolOptions()
    interrupted = Interrupted()
    settings = options.session_settings(schema, application_name)
    await wait_until_up(dsn, options.wait_until_up)
    with translated():
        pool = await asyncpg.create_pool(
            dsn,
            min_size=options.min_size,
            max_size=options.max_size,
            timeout=options.connect_timeout.total_seconds(),
            command_timeout=options.command_timeout,
            init=partial(configure, settings=settings),
            reset=interrupted.settle,
        )
    database = Database(pool, options, interrupted, settings)
    try:
        yield database
    finally:
        await database.close()


_COMMAND_TIMEOUT: Final = PoolOptions().command_timeout


async def open_session(
    dsn: str, settings: Mapping[str, str], *, timeout: float = 5, command_timeout: float | None = _COMMAND_TIMEOUT
) -> Session:
    """A session of one's own, for what outlives a transaction. A statement raises TimeoutError after `command_timeout`
    seconds, also where the network has lost the server without a word; None: it may take as long as it does."""
    connection = await asyncpg.connect(dsn, timeout=timeout, command_timeout=command_timeout)
    try:
        await configure(connection, settings=settings)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def configure(session: Connection, *, settings: Mapping[str, str]) -> None:
    """Sets a new session. By a statement: what a session starts with, a pooler in between may refuse or ignore."""
    await session.execute(
        "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)",
        list(settings),
        list(settings.values()),
    )


async def wait_until_up(dsn: str, timeout: timedelta) -> None:
    """Returns once the server accepts a session; raises `Unavailable` after `timeout`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout.total_seconds()
    pause = 0.05
    while True:
        try:
            connection = await asyncpg.connect(dsn, timeout=max(1.0, deadline - loop.time()))
        except (*CONNECTION_LOST, asyncpg.TooManyConnectionsError, TimeoutError) as error:
            if loop.time() + pause >= deadline:
                raise Unavailable("the database cannot be reached") from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
        else:
            await connection.close()
            return


class Interrupted:
    """Sessions that an exception left between two messages of one statement.

    asyncpg prepares a statement and runs it in two steps, and only the second tells the server that the statement is
    complete. Whoever is cancelled between them, or whose arguments cannot be encoded, leaves the server in a
    transaction that the client does not know of: it would keep a snapshot while the session idles, and refuse the next
    `BEGIN ISOLATION LEVEL REPEATABLE READ`.
    """

    def __init__(self) -> None:
        self._sessions: set[int] = set()

    def add(self, session: int) -> None:
        """The session of this server process is to be settled when it is given back."""
        self._sessions.add(session)

    async def settle(self, session: Connection) -> None:
        """What the pool does with every session that is given back. Transactions that asyncpg knows of have been rolled
        back already. If it fails, the pool closes the session."""
        pid = session.get_server_pid()
        if pid in self._sessions:
            self._sessions.discard(pid)
            await session.execute("SELECT")  # nothing, but completely


def _milliseconds(value: timedelta) -> str:
    return str(int(value / timedelta(milliseconds=1)))
