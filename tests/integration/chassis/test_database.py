import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import grpc
import pytest

from services.chassis.errors import Aborted, AlreadyExists, FailedPrecondition, Unavailable
from services.chassis.grpc.status import code_of
from services.chassis.postgres import (
    Database,
    PoolOptions,
    first_time,
    first_time_many,
    migrate,
    open_database,
    open_session,
    prune,
)
from services.chassis.postgres.migrations import NewerDatabase
from tests.support.lost_network import LostNetwork
from tests.support.postgres import PostgresServer
from tests.support.sessions import kept

MIGRATION = """-- {name}
-- depends: {depends}

-- migrate: apply
{apply}

-- migrate: rollback
"""


def write(directory: Path, name: str, apply: str, depends: str = "") -> None:
    (directory / f"{name}.sql").write_text(MIGRATION.format(name=name, depends=depends, apply=apply))


async def test_migrations_run_once_in_order_into_the_schema(chassis_dsn: str, tmp_path: Path) -> None:
    write(tmp_path, "b_first", "CREATE TABLE thing (id int);")
    write(tmp_path, "a_second", "ALTER TABLE thing ADD COLUMN name text;", depends="b_first")
    applied = await migrate(chassis_dsn, "one", tmp_path)
    assert applied == ["chassis_0001_inbox_outbox", "chassis_0002_outbox_bundles", "b_first", "a_second"]
    assert await migrate(chassis_dsn, "one", tmp_path) == []
    async with (
        open_database(chassis_dsn, schema="one", application_name="tests") as database,
        database.connection() as connection,
    ):
        assert await connection.fetch("SELECT id, name FROM thing") == []
        assert await connection.fetchval("SELECT to_regclass('public.thing')") is None


async def test_services_that_start_together_migrate_once(chassis_dsn: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "CREATE TABLE thing (id int);")
    outcomes = await asyncio.gather(*(migrate(chassis_dsn, "one", tmp_path) for _ in range(5)))
    assert sorted(map(len, outcomes)) == [0, 0, 0, 0, 3]


async def test_a_broken_migration_leaves_nothing_of_itself(chassis_dsn: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "CREATE TABLE thing (id int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(chassis_dsn, "one", tmp_path)
    write(tmp_path, "a", "CREATE TABLE thing (id int);")
    assert await migrate(chassis_dsn, "one", tmp_path) == ["a"]


async def test_a_database_of_a_later_version_is_told_as_such(chassis_dsn: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "CREATE TABLE thing (id int);")
    write(tmp_path, "b", "ALTER TABLE thing ADD COLUMN name text;", depends="a")
    await migrate(chassis_dsn, "one", tmp_path)
    (tmp_path / "b.sql").unlink()
    with pytest.raises(NewerDatabase, match=r"newer than this version of Tocsin \(.+\): schema one has b; use"):
        await migrate(chassis_dsn, "one", tmp_path)


async def test_a_migration_changed_after_it_was_applied_is_refused(chassis_dsn: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "CREATE TABLE thing (id int);")
    await migrate(chassis_dsn, "one", tmp_path)
    write(tmp_path, "a", "CREATE TABLE other (id int);")
    with pytest.raises(FailedPrecondition, match="migration a of schema one"):
        await migrate(chassis_dsn, "one", tmp_path)


async def test_a_violated_constraint_is_the_error_that_the_caller_gave_it(chassis_database: Database) -> None:
    async with chassis_database.connection() as connection:
        await connection.execute("CREATE TABLE thing (id int CONSTRAINT thing_id PRIMARY KEY)")
        await connection.execute("INSERT INTO thing VALUES (1)")
    with pytest.raises(AlreadyExists, match="that thing"):
        async with chassis_database.transaction({"thing_id": lambda: AlreadyExists("that thing")}) as connection:
            await connection.execute("INSERT INTO thing VALUES (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        async with chassis_database.transaction() as connection:
            await connection.execute("INSERT INTO thing VALUES (1)")


async def test_a_serialization_failure_is_aborted(chassis_database: Database) -> None:
    async with chassis_database.connection() as connection:
        await connection.execute("CREATE TABLE thing (n int)")
        await connection.execute("INSERT INTO thing VALUES (1)")
    with pytest.raises(Aborted):
        async with chassis_database.transaction(isolation="repeatable_read") as first:
            await first.fetch("SELECT n FROM thing")
            async with chassis_database.transaction() as second:
                await second.execute("UPDATE thing SET n = 2")
            await first.execute("UPDATE thing SET n = 3")


async def test_a_defect_of_ours_stays_what_it_is(chassis_database: Database) -> None:
    async with chassis_database.connection() as connection:
        await connection.execute("SELECT 1")
    with pytest.raises(asyncpg.DataError):
        async with chassis_database.connection() as connection:
            await connection.fetchval("SELECT $1::int", "no number")
    with pytest.raises(asyncpg.UndefinedTableError):
        async with chassis_database.connection() as connection:
            await connection.execute("SELECT 1 FROM nowhere")


async def test_a_statement_that_was_given_up_halfway_leaves_no_transaction_behind(chassis_dsn: str) -> None:
    one = PoolOptions(max_size=1)
    async with open_database(chassis_dsn, schema="chassis_test", application_name="tests", options=one) as database:
        # Its argument cannot be encoded: asked for once it is prepared, and never run.
        with pytest.raises(asyncpg.DataError):
            async with database.connection() as connection:
                await connection.fetchval("SELECT $1::int", "no number")
        await _leaves_nothing(chassis_dsn, database)

        # Its caller is cancelled between the two.
        with pytest.raises(asyncio.CancelledError):
            async with database.connection() as connection:
                await connection.prepare("SELECT $1::int + 1")
                raise asyncio.CancelledError
        await _leaves_nothing(chassis_dsn, database)


async def _leaves_nothing(dsn: str, database: Database) -> None:
    async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
        assert await connection.fetchval("SELECT 1") == 1
        pid = connection.get_server_pid()
    other = await asyncpg.connect(dsn)
    try:
        assert await other.fetchval("SELECT backend_xmin FROM pg_stat_activity WHERE pid = $1", pid) is None
    finally:
        await other.close()


async def test_an_exhausted_pool_and_a_slow_statement_are_unavailable(chassis_dsn: str) -> None:
    options = PoolOptions(
        max_size=1, acquire_timeout=timedelta(milliseconds=100), statement_timeout=timedelta(milliseconds=200)
    )
    async with open_database(chassis_dsn, schema="chassis_test", application_name="tests", options=options) as database:
        async with database.connection():
            with pytest.raises(Unavailable):
                async with database.connection():
                    pass
        with pytest.raises(Unavailable):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(10)")
        await database.ping()


@pytest.fixture
async def lost_network(chassis_dsn: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A DSN, and what loses its connections."""
    network, address = LostNetwork(), urlsplit(chassis_dsn)
    assert address.hostname
    assert address.port
    async with network.to(address.hostname, address.port):
        yield chassis_dsn.replace(f":{address.port}", f":{network.port}"), network.lost


async def test_sessions_that_a_lost_network_left_are_given_up(lost_network: tuple[str, asyncio.Event]) -> None:
    dsn, lost = lost_network
    short = timedelta(milliseconds=200)
    options = PoolOptions(acquire_timeout=timedelta(seconds=1), statement_timeout=short, silence_timeout=short)
    async with open_database(dsn, schema="tests", application_name="tests", options=options) as database:

        async def ask() -> int:
            async with database.transaction() as connection:
                return await connection.fetchval("SELECT 1")

        assert await ask() == 1
        lost.set()
        asking = asyncio.create_task(ask())
        ended, _ = await asyncio.wait({asking}, timeout=10)  # a cancellation would end it
        assert ended
        with pytest.raises(Unavailable):
            await asking
        assert await ask() == 1


async def test_a_session_of_ones_own_hears_of_a_lost_network(lost_network: tuple[str, asyncio.Event]) -> None:
    dsn, lost = lost_network
    session = await open_session(dsn, {}, command_timeout=0.3)
    assert await session.fetchval("SELECT 1") == 1
    lost.set()
    asking = asyncio.create_task(session.execute("SELECT 1"))
    ended, _ = await asyncio.wait({asking}, timeout=10)
    assert ended
    with pytest.raises(TimeoutError):
        await asking
    session.terminate()


async def test_a_full_disk_is_unavailable_with_its_reason(chassis_database: Database) -> None:
    """Nobody asked too often: a client may come again, and an operator must free some room."""
    with pytest.raises(Unavailable) as caught:
        async with chassis_database.transaction() as connection:
            await connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$")
    assert (caught.value.reason, caught.value.retry_after) == ("STORAGE_FULL", timedelta(seconds=10))
    assert code_of(caught.value) is grpc.StatusCode.UNAVAILABLE


async def test_a_server_that_starts_late_is_waited_for_and_one_that_crashed_comes_back(
    postgres_servers: Callable[[], PostgresServer],
) -> None:
    server = postgres_servers()
    await asyncio.to_thread(server.stop)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(server.start))
        async with open_database(server.dsn(), schema="public", application_name="tests") as database:
            await database.ping(timedelta(seconds=5))
            await asyncio.to_thread(server.crash)
            with pytest.raises(Unavailable):
                await database.ping(timedelta(seconds=5))
            await asyncio.to_thread(server.start)
            async with database.connection() as connection:
                assert await connection.fetchval("SELECT 1") == 1


async def test_the_inbox_knows_a_message_only_if_the_transaction_committed(chassis_database: Database) -> None:
    with pytest.raises(RuntimeError, match="effect failed"):
        async with chassis_database.transaction() as connection:
            assert await first_time(connection, "reader", "m-1")
            raise RuntimeError("effect failed")
    async with chassis_database.transaction() as connection:
        assert await first_time(connection, "reader", "m-1")
        assert await first_time(connection, "other", "m-1")
    async with chassis_database.transaction() as connection:
        assert not await first_time(connection, "reader", "m-1")
        assert await first_time_many(connection, "reader", ["m-1", "m-2", "m-3"]) == {"m-2", "m-3"}


async def test_two_deliveries_at_once_have_one_first_time(chassis_database: Database) -> None:
    async def mark() -> bool:
        async with chassis_database.transaction() as connection:
            return await first_time(connection, "reader", "m-1")

    assert sorted(await asyncio.gather(*(mark() for _ in range(8)))) == [False] * 7 + [True]


async def test_old_marks_are_pruned_in_bounded_steps(chassis_database: Database) -> None:
    async with chassis_database.transaction() as connection:
        await first_time_many(connection, "reader", [str(n) for n in range(10)])
        await connection.execute("UPDATE inbox SET seen_at = now() - interval '9 days' WHERE message_id < '7'")
    async with chassis_database.connection() as connection:
        assert [await prune(connection, limit=5) for _ in range(3)] == [5, 2, 0]
        assert not await first_time(connection, "reader", "8")


async def test_an_open_transaction_ends_when_the_connection_is_given_back(chassis_dsn: str) -> None:
    options = PoolOptions(max_size=1)
    loop, told = asyncio.get_running_loop(), list[str]()
    usual = loop.get_exception_handler()
    async with open_database(chassis_dsn, schema="public", application_name="tests", options=options) as database:
        loop.set_exception_handler(lambda _, context: told.append(str(context["message"])))
        async with database.connection() as connection:
            first = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("CREATE TABLE thing (id int)")
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO thing VALUES (1)")
        loop.set_exception_handler(usual)
        assert "active transaction" in told[0]
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") == first
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT count(*) FROM thing") == 0


@pytest.mark.parametrize(
    ("statement", "undo", "what"),
    [
        ("SET work_mem = '5MB'", "RESET work_mem", "the setting work_mem"),
        ("SELECT set_config('lock_timeout', '7', false)", "RESET lock_timeout", "the setting lock_timeout"),
        ("LISTEN news", "UNLISTEN news", "the channel news"),
        ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)", "an advisory lock"),
        ("CREATE TEMPORARY TABLE scratch (id int)", "DROP TABLE scratch", "the temporary relation scratch"),
        ("PREPARE ask AS SELECT 1", "DEALLOCATE ask", "the prepared statement ask"),
    ],
)
async def test_what_a_session_keeps_is_found_out(
    chassis_database: Database, statement: str, undo: str, what: str
) -> None:
    """The guard itself: each test of a service ends with this question (`_clean_sessions`)."""
    async with chassis_database.connection() as connection:
        await connection.execute(statement)
    assert what in await kept(chassis_database)
    async with chassis_database.connection() as connection:
        await connection.execute(undo)
    assert await kept(chassis_database) == []


async def test_what_belongs_to_a_transaction_ends_with_it(chassis_database: Database) -> None:
    async with chassis_database.transaction() as connection:
        await connection.execute("SET LOCAL work_mem = '5MB'")
        await connection.execute("SELECT pg_advisory_xact_lock(7)")
    assert await kept(chassis_database) == []
