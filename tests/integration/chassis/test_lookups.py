"""Lookups by key share statements, and nothing else."""

import asyncio

import pytest

from services.chassis.errors import Unavailable
from services.chassis.postgres import Database
from services.chassis.postgres.lookups import lookup

ROWS = "(VALUES ('a', 'one', 1), ('a', 'two', 2), ('b', 'one', 3)) AS t (place, id, number)"


async def test_whoever_looks_at_the_same_time_shares_a_statement_and_has_the_own_row(
    chassis_database: Database,
) -> None:
    find = lookup(
        chassis_database,
        "numbers",
        f"SELECT *, nextval('statements') AS statement FROM {ROWS} "
        "WHERE (place, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        "place",
        "id",
    )
    async with chassis_database.connection() as connection:
        await connection.execute("CREATE SEQUENCE statements")
    keys = [("a", "one"), ("b", "one"), ("b", "two"), ("a", "one"), ("one", "a")]
    rows = await asyncio.gather(*(find.submit(key) for key in keys))
    assert [row and row["number"] for row in rows] == [1, 3, None, 1, None]
    assert {row["statement"] for row in rows if row} <= {1, 2}, "more than the two rows of one statement"


async def test_what_was_committed_before_the_question_is_seen(chassis_database: Database) -> None:
    find = lookup(chassis_database, "things", "SELECT id FROM things WHERE id = ANY($1::text[])", "id")
    async with chassis_database.connection() as connection:
        await connection.execute("CREATE TABLE things (id text)")
    for name in ("a", "b", "c"):
        assert await find.submit((name,)) is None
        async with chassis_database.connection() as connection:
            await connection.execute("INSERT INTO things VALUES ($1)", name)
        assert await find.submit((name,)) is not None


async def test_a_key_that_the_store_refuses_is_its_own_callers(chassis_database: Database) -> None:
    find = lookup(chassis_database, "numbers", f"SELECT * FROM {ROWS} WHERE id = ANY($1::text[])", "id")
    found = await asyncio.gather(
        find.submit(("two",)), find.submit(("a\0b",)), find.submit(("nobody",)), return_exceptions=True
    )
    assert not isinstance(found[0], BaseException)
    assert isinstance(found[1], Exception)
    assert found[2] is None


async def test_a_closed_database_looks_nothing_up(chassis_database: Database) -> None:
    find = lookup(chassis_database, "numbers", f"SELECT * FROM {ROWS} WHERE id = ANY($1::text[])", "id")
    await chassis_database.close()
    with pytest.raises(Unavailable):
        await find.submit(("two",))
