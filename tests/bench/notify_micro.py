"""What a notification costs from a bulk call to FCM, beside the same HTTP client alone against the same server.

`python -m tests.bench.notify_micro [notifications] [runs]` starts its own PostgreSQL and NATS (every commit and every
stored message reaches the disk, as in production), the service, and a server that speaks FCM's protocol. Service and
client alone take turns. The service's time is from the first bulk call until every notification is known to be sent;
each user gets one. `--profile=FILE` writes a profile of the service.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import asyncpg
import uvloop

from services.chassis.grpc.client import connect
from services.notification.adapters.channels.fcm import FcmChannel
from services.notification.adapters.channels.fcm_token import ServiceAccount
from services.notification.adapters.channels.http import HttpClient
from services.notification.bootstrap.lanes import FCM_TIMEOUT
from services.notification.domain.delivery import Endpoint, Outgoing, Sent
from services.notification.domain.notification import ChannelName, Type
from services.notification.settings import NotificationSettings
from tests.bench.calls.world import running_world
from tests.bench.parts import CpuMeter, Servers, option, servers, service, wait_idle
from tests.bench.report import Row, row
from tocsin.notification.v1 import notification_service_pb2 as pb
from tocsin.notification.v1.notification_service_pb2_grpc import NotificationServiceStub

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
TENANT, BULK = "test", 1_000


async def register(where: Servers, count: int, runs: int) -> None:
    """Users u<run>-0 ... with one address each."""
    connection = await asyncpg.connect(where.dsn, server_settings={"search_path": f"notification_{TENANT}"})
    users = [f"u{run}-{n}" for run in range(runs + 1) for n in range(count)]
    await connection.copy_records_to_table(
        "endpoints",
        records=[
            (uuid4(), user, "FCM", f"token-of-{user}", sha256(user.encode()).digest(), datetime.now(UTC))
            for user in users
        ],
        columns=["id", "recipient", "channel", "address", "address_digest", "updated_at"],
    )
    await connection.execute("ANALYZE endpoints")
    await connection.close()


async def alone(account: Path, url: str, count: int) -> None:
    """The channel itself, as many at a time as the service has."""
    async with HttpClient(None, timeout=FCM_TIMEOUT, connections=_concurrency()) as client:
        channel = FcmChannel(ServiceAccount.read(account), url, client)
        left = iter(range(count))

        async def work() -> None:
            for n in left:
                outcome = await channel.send(_message(f"a-{n}"), Endpoint("e", ChannelName.FCM, f"token-of-a-{n}"))
                assert isinstance(outcome, Sent), outcome

        await asyncio.gather(*(work() for _ in range(_concurrency())))


async def sent(connection: "asyncpg.Connection[asyncpg.Record]", run: int, count: int) -> None:
    """Returns when all notifications of the run are SENT."""
    while await connection.fetchval("SELECT EXISTS (SELECT FROM notification.deliveries)"):  # costs next to nothing
        await asyncio.sleep(0.02)
    done = await connection.fetchval(
        f"SELECT count(*) FROM notification_{TENANT}.notifications WHERE status = 'SENT' AND recipient LIKE $1",
        f"u{run}-%",
    )
    assert done == count, f"{done} of {count} were sent"


async def logged(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Records that PostgreSQL has written to its log."""
    return await connection.fetchval("SELECT wal_records FROM pg_stat_wal")


async def _measure(where: Servers, count: int, runs: int, profile: str) -> list[tuple[float, float]]:
    """Notifications/s of all runs, each with those of the client alone."""
    connection = await asyncpg.connect(where.dsn)
    with running_world() as world:
        settings = {"TENANTS": TENANT, "FCM_ACCOUNT_FILE": world.fcm_account, "FCM_BASE_URL": world.fcm_url}
        with service(where, "notification", settings, profile=profile) as notification:
            await register(where, count, runs)
            token = where.issuer.mint()
            async with connect(f"127.0.0.1:{notification.port}", token=lambda: token) as channel:
                await channel.ready()
                stub = NotificationServiceStub(channel.channel)

                async def bulk(run: int, size: int) -> None:
                    for first in range(0, size, BULK):
                        taken = await stub.SendBulkNotifications(_bulk(run, range(first, min(first + BULK, size))))
                        assert taken.accepted == len(taken.outcomes), taken
                    await sent(connection, run, size)

                pairs: list[tuple[float, float]] = []
                for run in range(runs + 1):
                    size = count if run else count // 10  # the first one warms up
                    before = time.process_time()
                    own = await _timed(lambda size=size: alone(Path(world.fcm_account), world.fcm_url, size))
                    client = (time.process_time() - before) / size * 1000
                    meter = CpuMeter(
                        notification=notification.pid, postgresql=where.postgres.pid, broker=where.broker.pid
                    )
                    log = await logged(connection)
                    took = await _timed(lambda run=run, size=size: bulk(run, size))
                    await wait_idle(notification.pid, where.postgres.pid)
                    log = await logged(connection) - log
                    if run:
                        pairs.append((size / took, size / own))
                        print(
                            f"{size} notifications: {size / took:8,.0f} /s, client alone {size / own:8,.0f} /s, "
                            f"ratio {own / took:.2f}   CPU ms each: {meter.each(size)}; client alone {client:.2f}; "
                            f"{log / size:.1f} records of PostgreSQL's log each",
                            flush=True,
                        )
    await connection.close()
    return pairs


async def _timed(act: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


def _concurrency() -> int:
    return NotificationSettings.model_fields["concurrency"].default


def _message(user: str) -> Outgoing:
    return Outgoing(
        id=str(uuid4()),
        tenant=TENANT,
        user=user,
        type=Type.ALERT,
        title="Fire",
        body="There is smoke in the lobby.",
        data="",
        created_at=datetime.now(UTC),
    )


def _bulk(run: int, numbers: range) -> pb.SendBulkNotificationsRequest:
    return pb.SendBulkNotificationsRequest(
        notifications=[
            pb.SendNotificationRequest(
                tenant=TENANT,
                user=f"u{run}-{n}",
                type=pb.NotificationType.ALERT,
                title="Fire",
                body="There is smoke in the lobby.",
            )
            for n in numbers
        ]
    )


async def _run(count: int, runs: int, profile: str) -> list[tuple[float, float]]:
    async with servers({"notification": MIGRATIONS}) as where:
        return await _measure(where, count, runs, profile)


def measure(runs: int, count: int = 10_000, *, profile: str = "") -> Row:
    """Bulk calls to FCM, beside the client alone."""
    pairs = uvloop.run(_run(count, runs, profile))
    path = f"{count:,} notifications in bulk, accepted and delivered to FCM"
    return row(path, pairs, unit="notifications/s", goal=">= 0.5, >= 1,500", notes={"reference": "the client alone"})


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    wanted, times = [*numbers, *(3_000, 3)[len(numbers) :]]
    found = measure(times, wanted, profile=option("profile"))
    print(f"median: {found.figure:,.0f} /s, ratio {found.ratio:.2f}")
