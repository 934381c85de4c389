"""What reading notifications costs where a tenant has a million of them: unread ones of a user, and statistics.

`python -m tests.bench.inbox_micro [notifications] [calls]` starts its own PostgreSQL and NATS and the service, and
stores the notifications of ninety days for 1,000 users. Times are those of a caller at the service's port;
beside them what the statement takes alone.
"""

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop

from services.chassis.grpc.client import connect
from services.notification.adapters.postgres.notifications import page_query
from services.notification.application.ports.notifications import NotificationFilter
from tests.bench.parts import Servers, servers, service
from tocsin.notification.v1 import notification_service_pb2 as pb
from tocsin.notification.v1 import notification_statistics_service_pb2 as statistics_pb
from tocsin.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from tocsin.notification.v1.notification_statistics_service_pb2_grpc import NotificationStatisticsServiceStub

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
TENANT, USERS, CALLERS = "test", 1_000, 8
_STORE = """
    INSERT INTO notifications (id, recipient, type, title, body, channel, status, created_at, sent_at, read_at)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 14))::uuid,
        'u' || n % $3, (ARRAY['ALERT', 'REMINDER', 'INFO'])[n % 3 + 1], 'Title ' || n, repeat('text ', 20),
        (ARRAY['FCM', 'EMAIL', 'WEBHOOK', 'CONSOLE'])[n % 4 + 1],
        CASE WHEN n % 97 = 0 THEN 'FAILED' ELSE 'SENT' END, at,
        CASE WHEN n % 97 <> 0 THEN at + (n % 5000) * interval '1 ms' END, CASE WHEN n / $3 % 5 <> 0 THEN at END
    FROM generate_series($1::bigint, $2::bigint) AS n,
        LATERAL (SELECT now() - interval '89 days' * (1 - n / $4::float8) AS at) AS t
"""


async def store(where: Servers, count: int) -> None:
    """The notifications, through the table, as everybody writes them."""
    connection = await asyncpg.connect(where.dsn, server_settings={"search_path": f"notification_{TENANT}"})
    first = datetime.now(UTC) - timedelta(days=90)
    first -= timedelta(days=first.weekday())
    for week in range(13):
        start = (first + timedelta(weeks=week)).replace(hour=0, minute=0, second=0, microsecond=0)
        if await connection.fetchval("SELECT to_regclass($1) IS NULL", start.strftime("notifications_%Y%m%d")):
            await connection.execute("SELECT add_week($1)", start)
    began = time.perf_counter()
    for low in range(1, count + 1, 1_000):
        await connection.execute(_STORE, low, min(low + 999, count), USERS, count)
    print(f"{count:,} notifications stored in {time.perf_counter() - began:.0f} s", flush=True)
    await connection.execute("VACUUM ANALYZE notifications, notification_counts")
    await connection.close()


async def measure(where: Servers, count: int, calls: int) -> None:
    """All figures."""
    with service(where, "notification", {"TENANTS": TENANT}) as notification:
        await store(where, count)
        token = where.issuer.mint()
        async with connect(f"127.0.0.1:{notification.port}", token=lambda: token) as channel:
            await channel.ready()
            notifications = NotificationServiceStub(channel.channel)
            counts = NotificationStatisticsServiceStub(channel.channel)

            async def unread() -> None:
                request = pb.ListNotificationsRequest(
                    tenant=TENANT, user=f"u{random.randrange(USERS)}", unread=True, view=pb.NotificationView.BASIC
                )
                assert len((await notifications.ListNotifications(request)).notifications) == 20

            async def figures(interval: str = "INTERVAL_UNSPECIFIED") -> None:
                kind = statistics_pb.GetNotificationStatisticsRequest
                request = kind(tenant=TENANT, interval=kind.Interval.Value(interval))
                found = await counts.GetNotificationStatistics(request)
                assert found.figures.counts.total == count

            connection = await asyncpg.connect(where.dsn, server_settings={"plan_cache_mode": "force_generic_plan"})
            statement, arguments = page_query(
                NotificationFilter(tenant=TENANT, user="u7", unread=True, basic=True), 21, None
            )

            async def alone() -> None:
                assert len(await connection.fetch(statement, *arguments)) == 21

            async def recount() -> None:
                await connection.fetch(
                    f"SELECT type, status, channel, count(*) FROM notification_{TENANT}.notifications GROUP BY 1, 2, 3"
                )

            await timed("unread, one caller", unread, calls // 4, 1)
            await timed(f"unread, {CALLERS} callers", unread, calls, CALLERS)
            await timed("  its statement alone", alone, calls // 4, 1)
            await timed("statistics of all", figures, 20, 1)
            await timed("  by day", lambda: figures("DAY"), 20, 1)
            await timed("  by hour", lambda: figures("HOUR"), 10, 1)
            await timed("  counting the rows instead", recount, 5, 1)
            await connection.close()


async def timed(name: str, act: Callable[[], Awaitable[None]], calls: int, callers: int) -> None:
    """Prints how long a call takes."""
    took: list[float] = []

    async def call(many: int) -> None:
        for _ in range(many):
            began = time.perf_counter()
            await act()
            took.append(time.perf_counter() - began)

    await act()
    await asyncio.gather(*(call(calls // callers) for _ in range(callers)))
    took.sort()
    middle, high = statistics.median(took), took[int(len(took) * 0.99)]
    print(f"{name:28} median {middle * 1000:8.2f} ms, 99 % {high * 1000:8.2f} ms", flush=True)


async def main() -> None:
    """Reads the arguments."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    count, calls = [*numbers, *(1_000_000, 4_000)[len(numbers) :]]
    async with servers({"notification": MIGRATIONS}) as where:
        await measure(where, count, calls)


if __name__ == "__main__":
    uvloop.run(main())
