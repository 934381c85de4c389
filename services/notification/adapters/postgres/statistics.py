"""The counts of notifications, which the tables keep by triggers (see the tenants' migrations)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from services.chassis.postgres import Database
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.notification import ChannelName, Status, Type
from services.notification.domain.statistics import Figures, Interval, Period, Statistics

_HOUR = timedelta(hours=1)
# Whole hours from the sums, what is left at both ends from the notifications themselves. A row for all (`whole` = 1),
# and one for each start.
_STATISTICS = """
    WITH c AS MATERIALIZED (
        SELECT START AS start, type, channel, status, opened, class,
            sum(count) AS count, sum(delivery_us) AS delivery_us
        FROM (
            SELECT * FROM TENANT.notification_counts WHERE hour >= $1 AND hour < $2
            UNION ALL SELECT * FROM TENANT.counted_between($3, $4)
            UNION ALL SELECT * FROM TENANT.counted_between($5, $6)
        ) AS r
        GROUP BY 1, 2, 3, 4, 5, 6
    ), classes AS (
        SELECT start, grouping(start) AS whole, class, sum(count) AS count
        FROM c WHERE class IS NOT NULL GROUP BY GROUPING SETS ((class), (start, class))
    ), ranks AS (
        SELECT start, whole, class, sum(count) OVER (PARTITION BY whole, start ORDER BY class) AS up_to,
            sum(count) OVER (PARTITION BY whole, start) AS total
        FROM classes
    ), percentiles AS (
        SELECT start, whole, min(class) AS p95 FROM ranks WHERE total > 0 AND up_to >= ceil(total * 0.95) GROUP BY 1, 2
    ), sums AS (
        SELECT start, grouping(start) AS whole, SUMS,
            coalesce(sum(count) FILTER (WHERE opened), 0)::bigint AS opened,
            coalesce(sum(count) FILTER (WHERE class IS NOT NULL), 0)::bigint AS delivered,
            coalesce(sum(delivery_us) FILTER (WHERE class IS NOT NULL), 0)::bigint AS delivery_us,
            coalesce(sum(count) FILTER (WHERE class IS NULL), 0) AS total
        FROM c GROUP BY GROUPING SETS ((), (start))
    )
    SELECT s.*, p.p95 FROM sums s LEFT JOIN percentiles p ON p.whole = s.whole AND p.start IS NOT DISTINCT FROM s.start
    WHERE s.whole = 1 OR (s.start IS NOT NULL AND s.total > 0) ORDER BY s.whole, s.start
""".replace(
    "SUMS",
    ", ".join(
        f"coalesce(sum(count) FILTER (WHERE {column} = '{value}'), 0)::bigint AS \"{value}\""
        for column, values in (("status", Status), ("type", Type), ("channel", ChannelName))
        for value in values
    ),
)
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

    async def statistics(self, tenant: str, period: Period, interval: Interval | None) -> Statistics:
        """See NotificationCounts."""
        since, until = period.since, period.until
        first, last = _hour_of(since + _HOUR - timedelta(microseconds=1)), _hour_of(until)
        if first > last:  # within one hour
            first = last = since
            edges = since, until, until, until
        else:
            edges = since, first, last, until
        statement = in_tenant(_STATISTICS, tenant).replace("START", _STARTS[interval])
        async with self._database.connection() as connection:
            *series, whole = await connection.fetch(statement, first, last, *edges)
        return Statistics(_figures(whole), tuple((row["start"], _figures(row)) for row in series))


def _figures(row: rows.Row) -> Figures:
    return Figures(
        statuses={status: row[status] for status in Status},
        types={type_: row[type_] for type_ in Type},
        channels={channel: row[channel] for channel in ChannelName},
        opened=row["opened"],
        delivered=row["delivered"],
        delivery=timedelta(microseconds=row["delivery_us"]),
        p95_class=row["p95"],
    )


def _hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


async def merge_counts(database: Database, tenants: Iterable[str]) -> None:
    """Sums up the rows that have been added since the last time. Readers and writers go on meanwhile."""
    for tenant in tenants:
        async with database.connection() as connection:
            while await connection.fetchval(in_tenant(_MERGE, tenant), _STEP) == _STEP:
                pass
