"""Notifications by weeks on PostgreSQL: what an older version has stored, what is dropped, and what is not."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.chassis.errors import Aborted
from services.chassis.ids import derived_id
from services.chassis.postgres import Database, PoolOptions, migrate, open_database
from services.notification.adapters.postgres import weeks
from services.notification.adapters.postgres.notifications import page_query
from services.notification.adapters.postgres.retention import prepare_weeks, prune_all
from services.notification.adapters.postgres.statistics import PostgresNotificationCounts, merge_counts
from services.notification.adapters.postgres.tenants import TENANT_MIGRATIONS, schema_of
from services.notification.application.ports.notifications import NotificationFilter, Position
from services.notification.domain.notification import Status
from services.notification.domain.statistics import Period
from tests.support.notification import MIGRATIONS, TENANTS, ManualClock
from tests.support.postgres import PostgresServer

SCHEMA = schema_of("test")
ALWAYS = Period(datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@pytest.fixture
async def bare(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """A database without tenants."""
    async with postgres_server.database({"notification": MIGRATIONS}) as dsn:
        yield dsn


@pytest.fixture
async def database(bare: str) -> AsyncIterator[Database]:
    """With both tenants."""
    for tenant in TENANTS:
        await migrate(bare, schema_of(tenant), TENANT_MIGRATIONS, chassis=False)
    options = PoolOptions(generic_plans=True)
    async with open_database(bare, schema="notification", application_name="tests", options=options) as database:
        yield database


async def store(database: Database, *ages: timedelta, status: str = "SENT", now: datetime | None = None) -> list[str]:
    """Notifications that were accepted so long ago."""
    made: list[str] = []
    for age in ages:
        at = (now or datetime.now(UTC)) - age
        made.append(derived_id(at, f"{at}{status}"))
        async with database.connection() as connection:
            await connection.execute(
                f'INSERT INTO "{SCHEMA}".notifications (id, recipient, type, title, body, channel, created_at, status) '
                "VALUES ($1, 'ada', 'ALERT', 't', 'b', 'EMAIL', $2, $3)",
                made[-1],
                at,
                status,
            )
    return made


async def tables(database: Database) -> dict[str, set[str]]:
    """The notifications by table."""
    async with database.connection() as connection:
        found = await connection.fetch(f'SELECT tableoid::regclass::text AS t, id::text FROM "{SCHEMA}".notifications')
    by_table: dict[str, set[str]] = {}
    for row in found:
        by_table.setdefault(row["t"].rpartition(".")[2], set()).add(row["id"])
    return by_table


async def week_tables(database: Database) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^notifications_[0-9]' "
            "AND relnamespace = $1::regnamespace ORDER BY 1",
            SCHEMA,
        )
    return [row["relname"] for row in rows]


async def figures(database: Database) -> tuple[int, int]:
    """All that is counted, and all that is there."""
    counted = (await PostgresNotificationCounts(database).statistics("test", ALWAYS, None)).whole.total
    async with database.connection() as connection:
        return counted, await connection.fetchval(f'SELECT count(*) FROM "{SCHEMA}".notifications')


def table_of(age: timedelta) -> str:
    at = datetime.now(UTC) - age
    return (at - timedelta(days=at.weekday())).strftime("notifications_%Y%m%d")


async def test_what_an_older_version_has_stored_is_sorted_into_weeks_and_counted(bare: str, tmp_path: Path) -> None:
    for path in sorted(TENANT_MIGRATIONS.glob("*.sql"))[:3]:
        shutil.copy(path, tmp_path)
    await migrate(bare, SCHEMA, tmp_path, chassis=False)
    async with open_database(bare, schema="notification", application_name="tests") as database:
        [old, new] = await store(database, DAY * 30, DAY * 0)
        async with database.connection() as connection:  # ids were of version 4 once
            odd = await connection.fetchval(
                f'INSERT INTO "{SCHEMA}".notifications (id, recipient, type, title, body, channel, created_at) '
                "VALUES ('f0000000-0000-4000-8000-000000000000', 'ada', 'ALERT', 't', 'b', 'EMAIL', now()) "
                "RETURNING id::text"
            )
        await migrate(bare, SCHEMA, TENANT_MIGRATIONS, chassis=False)
        assert await tables(database) == {
            table_of(DAY * 30): {old},
            table_of(DAY * 0): {new},
            "notifications_default": {odd},
        }
        assert await figures(database) == (3, 3)


async def test_weeks_are_made_ahead_by_several_replicas(database: Database) -> None:
    clock = ManualClock()
    before = await week_tables(database)
    await prepare_weeks(database, clock, TENANTS)
    assert await week_tables(database) == before
    assert len(before) == 3
    clock.time += DAY * 21
    later = await store(database, DAY * 0, now=clock.time)
    assert await tables(database) == {"notifications_default": set(later)}
    await asyncio.gather(*(prepare_weeks(database, clock, TENANTS) for _ in range(4)))
    assert len(await week_tables(database)) == 6
    [(table, ids)] = (await tables(database)).items()
    assert ids == set(later)
    assert table.startswith("notifications_2")
    assert await figures(database) == (1, 1)


async def test_a_week_is_dropped_when_all_of_it_is_old_enough_and_what_is_due_stays(database: Database) -> None:
    clock = ManualClock()
    young = await store(database, DAY * 0)
    waiting = await store(database, DAY * 0, status="PENDING")
    half_delivered = await store(database, timedelta(seconds=1))
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO deliveries (id, kind, tenant, channel, reference, next_attempt_at, created_at) "
            "VALUES (gen_random_uuid(), 'NOTIFICATION', 'test', 'EMAIL', $1, 'infinity', now())",
            half_delivered[0],
        )
    keep = {"test": DAY * 30, "wellness": DAY * 1000}
    first = await week_tables(database)
    clock.time += DAY * 30
    await prune_all(database, clock, keep, letters=DAY * 90)
    assert set(young) <= set.union(*(await tables(database)).values()), "a week is not dropped before it ended"
    clock.time += DAY * 7
    await merge_counts(database, TENANTS)
    await prune_all(database, clock, keep, letters=DAY * 90)
    assert await tables(database) == {"notifications_default": {*waiting, *half_delivered}}
    assert not set(first[:1]) & set(await week_tables(database))
    assert await figures(database) == (2, 2)
    async with database.connection() as connection:
        await connection.execute(f"UPDATE \"{SCHEMA}\".notifications SET status = 'SENT'")
        await connection.execute("DELETE FROM deliveries")
    await prune_all(database, clock, keep, letters=DAY * 90)
    assert await tables(database) == {}
    assert await figures(database) == (0, 0)


async def test_a_week_that_is_in_use_is_dropped_the_next_time(database: Database) -> None:
    clock = ManualClock()
    await store(database, DAY * 0)
    clock.time += DAY * 40
    async with database.transaction() as reading:
        await reading.fetch(f'SELECT * FROM "{SCHEMA}".notifications')
        began = time.monotonic()
        with pytest.raises(Aborted):
            await weeks.drop_weeks(database, "test", clock.time, DAY * 30)
        assert time.monotonic() - began < 8
    assert await weeks.drop_weeks(database, "test", clock.time, DAY * 30) == 1
    assert await figures(database) == (0, 0)


LISTS = {
    "newest": NotificationFilter(tenant="test"),
    "of a user": NotificationFilter(tenant="test", user="u7"),
    "unread": NotificationFilter(tenant="test", user="u7", unread=True, basic=True),
    "failed": NotificationFilter(tenant="test", status=Status.FAILED),
    "sent": NotificationFilter(tenant="test", status=Status.SENT),
    "pending of a user": NotificationFilter(tenant="test", user="u7", status=Status.PENDING),
    "of a period": NotificationFilter(tenant="test", since=NOW, until=NOW + DAY),
    "of a user in a period": NotificationFilter(tenant="test", user="u7", since=NOW, until=NOW + DAY),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("after", [None, (NOW, "01a20270-b1bf-701a-bb2a-d9784e88e52a")], ids=["first", "next"])
async def test_lists_are_read_by_an_index(database: Database, name: str, after: Position | None) -> None:
    statement, arguments = page_query(LISTS[name], 20, after)
    async with database.connection() as connection:
        await connection.execute(
            f"""
            INSERT INTO "{SCHEMA}".notifications (id, recipient, type, title, body, channel, created_at, status)
            SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n), 12, '0')
                || substr(md5(n::text), 13))::uuid, 'u' || n % 50, 'ALERT', 't', 'b', 'EMAIL',
                now() + n * interval '1 ms', CASE WHEN n % 500 = 0 THEN 'FAILED' ELSE 'SENT' END
            FROM generate_series(1, 20000) AS n
            """
        )
        await connection.execute(f'ANALYZE "{SCHEMA}".notifications')
        await connection.execute(f"PREPARE page AS {statement}")
        plan = await connection.fetch(f"EXPLAIN EXECUTE page ({', '.join('NULL' for _ in arguments)})")
        await connection.execute("DEALLOCATE page")
    text = "\n".join(row[0] for row in plan)
    assert f"Seq Scan on {table_of(DAY * 0)}" not in text, text
    assert "Sort  " not in text, text
