"""Sessions that are lent again as they came back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from services.chassis.errors import Unavailable
from services.chassis.postgres import Database, PoolOptions, open_database
from tests.support.eventually import eventually


@pytest.fixture
async def database(chassis_dsn: str) -> AsyncIterator[Database]:
    options = PoolOptions(max_size=2, acquire_timeout=timedelta(seconds=5))
    async with open_database(chassis_dsn, schema="chassis", application_name="sessions", options=options) as opened:
        yield opened


async def pid(database: Database) -> int:
    async with database.connection() as connection:
        return connection.get_server_pid()


async def test_the_same_session_is_lent_again_and_rests_in_the_pool(database: Database) -> None:
    first = await pid(database)
    assert {await pid(database) for _ in range(20)} == {first}
    assert (database.idle_sessions, database.pool.get_idle_size()) == (1, 0)
    await eventually(lambda: database.pool.get_idle_size() == 1)
    assert await pid(database) == first


async def test_never_more_than_the_pool_has_and_first_come_first_served(database: Database) -> None:
    using, most = 0, 0
    order: list[int] = []

    async def work(number: int) -> None:
        nonlocal using, most
        async with database.connection() as connection:
            using += 1
            most = max(most, using)
            order.append(number)
            await connection.execute("SELECT pg_sleep(0.001)")
            using -= 1

    async with database.connection(), database.connection():
        pass  # both are connected
    await asyncio.gather(*map(work, range(60)))
    assert (most, order) == (2, list(range(60)))
    assert database.pool.get_size() == 2


async def test_who_gives_up_waiting_takes_nothing_along(database: Database) -> None:
    async with database.connection(), database.connection():
        waiting = [asyncio.create_task(pid(database)) for _ in range(6)]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.sleep(0)
    # The two sessions were handed on as the blocks ended; one who has got one is cancelled before he can use it.
    waiting[1].cancel()
    got = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, int) for one in got] == [False, False, False, True, False, True]
    async with database.connection(), database.connection():
        pass


async def test_a_session_that_the_server_ended_is_replaced(database: Database, chassis_dsn: str) -> None:
    first = await pid(database)
    other = await asyncpg.connect(chassis_dsn)
    await other.execute("SELECT pg_terminate_backend($1, 5000)", first)
    await other.close()

    async def replaced() -> bool:
        try:
            return await pid(database) != first
        except Unavailable:
            return False  # the client had not seen it yet

    await eventually(replaced)
    async with database.connection(), database.connection():
        pass


async def test_errors_and_transactions_do_not_use_sessions_up(database: Database) -> None:
    for _ in range(10):
        with pytest.raises(asyncpg.UndefinedTableError):
            async with database.connection() as connection:
                await connection.execute("SELECT * FROM nowhere")
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as connection:
                await connection.execute("SELECT 1")
                raise ZeroDivisionError
        async with database.transaction() as connection:
            await connection.execute("SELECT 1")
    async with database.connection(), database.connection():
        pass
    assert database.pool.get_size() <= 2


async def test_closing_waits_for_who_still_works(chassis_dsn: str) -> None:
    async with open_database(chassis_dsn, schema="chassis", application_name="sessions") as database:
        working = asyncio.Event()

        async def work() -> int:
            async with database.connection() as connection:
                working.set()
                return await connection.fetchval("SELECT 7 FROM pg_sleep(0.05)")

        task = asyncio.create_task(work())
        await pid(database)
        await working.wait()
    assert await task == 7
