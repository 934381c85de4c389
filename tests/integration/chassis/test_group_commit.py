"""Group commits on a real PostgreSQL: sessions that end, items that poison, replicas at once, a stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.chassis.errors import AlreadyExists, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.postgres import Connection, Database, open_database
from tests.conftest import SCHEMA
from tests.support.eventually import eventually

_INSERT = """
    INSERT INTO thing (id, writer) SELECT id, $2 FROM unnest($1::text[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING id
"""


@asynccontextmanager
async def writer(dsn: str, name: str) -> AsyncIterator[tuple[Database, GroupCommit[str, str]]]:
    """A replica that writes things: each id is the first caller's."""

    async def write(connection: Connection, ids: Sequence[str]) -> list[str | DomainError]:
        made = {row["id"] for row in await connection.fetch(_INSERT, list(dict.fromkeys(ids)), name)}
        outcomes: list[str | DomainError] = []
        for one in ids:
            outcomes.append(one if one in made else AlreadyExists(metadata={"id": one}))
            made.discard(one)
        return outcomes

    async with open_database(dsn, schema=SCHEMA, application_name=f"tests-{name}") as database:
        yield database, database.group_commit("things", write)


@pytest.fixture
async def things(chassis_dsn: str) -> AsyncIterator["Things"]:
    """A session of the tests' own; the table `thing` exists."""
    connection = await asyncpg.connect(chassis_dsn)
    await connection.execute(f"SET search_path = {SCHEMA}")
    await connection.execute("CREATE TABLE thing (id text PRIMARY KEY CHECK (length(id) < 100), writer text NOT NULL)")
    try:
        yield connection
    finally:
        await connection.close()


Things = "asyncpg.Connection[asyncpg.Record]"


async def kept(things: Things) -> set[str]:
    return {row["id"] for row in await things.fetch("SELECT id FROM thing")}


async def test_callers_at_once_are_one_transaction(chassis_dsn: str, things: Things) -> None:
    async with writer(chassis_dsn, "one") as (_, group):
        names = [str(number) for number in range(50)]
        assert await asyncio.gather(*map(group.submit, names)) == names
    assert await things.fetchval("SELECT count(DISTINCT xmin::text) FROM thing") == 1


@pytest.mark.parametrize("poison", ["\0", "\ud800", "x" * 100])
async def test_a_poisoned_item_fails_alone(chassis_dsn: str, things: Things, poison: str) -> None:
    async with writer(chassis_dsn, "one") as (_, group):
        names = [poison if number == 20 else str(number) for number in range(50)]
        outcomes = await asyncio.gather(*map(group.submit, names), return_exceptions=True)
        assert await group.submit("after") == "after"
    failed = [name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, Exception)]
    assert failed == [poison]
    assert await kept(things) == {*names, "after"} - {poison}


async def test_a_session_that_ends_in_a_flush_fails_its_callers_and_no_others(chassis_dsn: str, things: Things) -> None:
    async with writer(chassis_dsn, "one") as (_, group):
        async with things.transaction():
            await things.execute("INSERT INTO thing VALUES ('5', 'tests')")
            calls = [asyncio.create_task(group.submit(str(number))) for number in range(10)]
            waiting = await eventually(
                lambda: things.fetchval("SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
            )
            later = asyncio.create_task(group.submit("later"))
            await things.execute("SELECT pg_terminate_backend($1)", waiting)
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert await later == "later"
        again = await asyncio.gather(*(group.submit(str(number)) for number in range(10)), return_exceptions=True)
    assert [isinstance(outcome, AlreadyExists) for outcome in again] == [number == 5 for number in range(10)]
    assert await kept(things) == {*map(str, range(10)), "later"}


async def test_an_item_that_waits_for_a_lock_holds_up_nobody_who_comes_later(chassis_dsn: str, things: Things) -> None:
    async with writer(chassis_dsn, "one") as (_, group):
        async with things.transaction():
            await things.execute("INSERT INTO thing VALUES ('held', 'tests')")
            held = asyncio.create_task(group.submit("held"))
            await eventually(lambda: things.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            assert await group.submit("free") == "free"
            assert not held.done()
        with pytest.raises(AlreadyExists):
            await held


async def test_each_thing_is_one_caller_s_of_two_replicas(chassis_dsn: str, things: Things) -> None:
    async with writer(chassis_dsn, "one") as (_, one), writer(chassis_dsn, "two") as (_, two):
        names = [str(number % 40) for number in range(200)]
        calls = [group.submit(name) for name in names for group in (one, two)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert sorted(won) == sorted(set(names))
    assert all(isinstance(outcome, str | AlreadyExists) for outcome in outcomes)
    assert await kept(things) == set(names)


async def test_closing_the_database_finishes_what_waits(chassis_dsn: str, things: Things) -> None:
    async with writer(chassis_dsn, "one") as (_, group):
        calls = [asyncio.create_task(group.submit(str(number))) for number in range(500)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*calls) == [str(number) for number in range(500)]
    with pytest.raises(Unavailable):
        await group.submit("late")
    assert len(await kept(things)) == 500
