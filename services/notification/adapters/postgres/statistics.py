"""The counts of notifications, which the tables keep by triggers (see the tenants' migrations)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from services.chassis.postgres import Database
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.notification import ChannelName, Status, Type
from services.notification.domain.statistics import Count, Interval, Period

_HOUR = timedelta(hours=1)
# Whole hours from the sums, what is left at both ends from the notifications themselves.
_COUNTS = """
    SELECT START AS start, type, channel, status, opened, class,
        sum(count)::bigint AS count, sum(delivery_us)::bigint AS delivery_us
    FROM (
        SELECT * FROM TENANT.notification_counts WHERE hour >= $1 AND hour < $2
        UNION ALL SELECT * FROM TENANT.counted_between($3, $4)
        UNION ALL SELECT * FROM TENANT.counted_between($5, $6)
    ) AS c
    GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(count) <> 0
"""
_STARTS = {
    None: "NULL::timestamptz",
    Interval.HOUR: "hour",
    Interval.DAY: "date_trunc('day', hour, 'UTC')",
}
_MERGE = """
    WITH few AS (
        SELECT DISTINCT hour FROM TENANT.notification_counts WHERE NOT merged LIMIT $1
    ), taken AS (
        DELETE FROM TENANT.notification_counts c USING few WHERE c.hour = few.hour RETURNING c.*
    ), kept AS (
        INSERT INTO TENANT.notification_counts
        SELECT hour, type, channel, status, opened, class, sum(count), sum(delivery_us), true FROM taken
        GROUP BY hour, type, channel, status, opened, class HAVING sum(count) <> 0 OR sum(delivery_us) <> 0
    )
    SELECT count(*) FROM few
"""
_STEP = 100


class PostgresNotificationCounts:
    """NotificationCounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self, tenant: str, period: Period, interval: Interval | None) -> Sequence[Count]:
        """See NotificationCounts."""
        since, until = period.since, period.until
        first, last = _hour_of(since + _HOUR - timedelta(microseconds=1)), _hour_of(until)
        if first > last:  # within one hour
            first = last = since
            edges = since, until, until, until
        else:
            edges = since, first, last, until
        statement = in_tenant(_COUNTS, tenant).replace("START", _STARTS[interval])
        async with self._database.connection() as connection:
            found = await connection.fetch(statement, first, last, *edges)
        return [
            Count(
                row["start"],
                Type(row["type"]),
                ChannelName(row["channel"]),
                Status(row["status"]),
                row["opened"],
                row["class"],
                row["count"],
                row["delivery_us"],
            )
            for row in found
        ]


def _hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


async def merge_counts(database: Database, tenants: Iterable[str]) -> None:
    """Sums up the rows that have been added since the last time. Readers and writers go on meanwhile."""
    for tenant in tenants:
        async with database.connection() as connection:
            while await connection.fetchval(in_tenant(_MERGE, tenant), _STEP) == _STEP:
                pass
