"""The tables of a tenant's notifications, one for each week: made ahead, dropped when they have served their time."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from services.chassis.postgres import Connection, Database
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.postgres.tenants import in_tenant, schema_of

log = get_logger(__name__)

WEEK = timedelta(days=7)
_AHEAD = 2 * WEEK
"""Longer than a service may be down, and a clock be wrong. What comes later still is kept beside the weeks."""
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_NAME = "notifications_%Y%m%d"
_TABLES = """
    SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = $1::regclass AND c.relname ~ '^notifications_[0-9]{8}$' ORDER BY 1
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_EXPIRE_OTHERS = """
    DELETE FROM TENANT.notifications n WHERE tableoid = 'TENANT.notifications_default'::regclass AND id IN (
        SELECT id FROM TENANT.notifications_default d
        WHERE created_at < $1 AND status <> 'PENDING'
            AND NOT EXISTS (SELECT FROM deliveries o WHERE o.reference = d.id AND o.state = 'OPEN')
        LIMIT $2
    )
"""


async def add_weeks(connection: Connection, tenant: str, now: datetime) -> Sequence[str]:
    """Makes the tables that the next time needs; the names of those made. To be called within a transaction."""
    start = week_of(now)
    return await _make(connection, tenant, [start + WEEK * place for place in range(_AHEAD // WEEK + 1)])


async def add_weeks_of(connection: Connection, tenant: str, times: Iterable[datetime]) -> Sequence[str]:
    """Makes the tables for notifications of these times, as `add_weeks` does; the names of those made."""
    return await _make(connection, tenant, sorted({week_of(at) for at in times}))


def week_of(at: datetime) -> datetime:
    """When the week began."""
    return at - (at - _MONDAY) % WEEK


async def _make(connection: Connection, tenant: str, wanted: Sequence[datetime]) -> Sequence[str]:
    await connection.execute(_LOCK, f"tocsin:weeks:{tenant}")
    known = set(await _weeks(connection, tenant))
    made = [week for week in wanted if week not in known]
    for week in made:
        await connection.execute(in_tenant("SELECT TENANT.add_week($1)", tenant), week)
    return [week.strftime(_NAME) for week in made]


async def drop_weeks(database: Database, tenant: str, now: datetime, keep: timedelta) -> int:
    """Drops the weeks that ended `keep` ago, each in a transaction of its own; how many. What is still to be delivered
    is kept beside the weeks."""
    async with database.connection() as connection:
        expired = [week for week in await _weeks(connection, tenant) if week + WEEK <= now - keep]
    for week in expired:
        async with database.transaction() as connection:
            await _drop(connection, tenant, week)
    return len(expired)


async def delete_others(connection: Connection, tenant: str, before: datetime, limit: int) -> int:
    """Deletes up to `limit` of what is kept beside the weeks and has served its time."""
    return int((await connection.execute(in_tenant(_EXPIRE_OTHERS, tenant), before, limit)).split()[-1])


async def _weeks(connection: Connection, tenant: str) -> list[datetime]:
    found = await connection.fetch(_TABLES, f'"{schema_of(tenant)}".notifications')
    return [datetime.strptime(row["name"], _NAME).replace(tzinfo=UTC) for row in found]


async def _drop(connection: Connection, tenant: str, week: datetime) -> None:
    await connection.execute(_LOCK, f"tocsin:weeks:{tenant}")
    if week not in await _weeks(connection, tenant):
        return  # another replica was first
    table = f"TENANT.{week.strftime(_NAME)}"

    def here(statement: str) -> str:
        return in_tenant(statement.replace("WEEK", table), tenant)

    # Readers and writers wait for this one, so it waits only shortly for them; the next round tries again.
    await connection.execute("SET LOCAL lock_timeout = '2s'")
    await connection.execute(here("ALTER TABLE TENANT.notifications DETACH PARTITION WEEK"))
    kept = await connection.execute(
        here(
            """
            INSERT INTO TENANT.notifications SELECT * FROM WEEK w WHERE status = 'PENDING'
                OR EXISTS (SELECT FROM deliveries o WHERE o.reference = w.id AND o.state = 'OPEN')
            """
        )
    )
    await connection.execute(here("SELECT TENANT.uncount('WEEK')"))
    dropped = await connection.fetchval(here("SELECT count(*) FROM WEEK"))
    await connection.execute(here("DROP TABLE WEEK"))
    due = int(kept.split()[-1])
    log.info("retention.week_dropped", tenant=tenant, week=week.date().isoformat(), notifications=dropped, due=due)
