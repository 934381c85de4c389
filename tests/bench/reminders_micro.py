"""Reminders that are due at one moment: how long until each is asked about and decided, its notification accepted.

`python -m tests.bench.reminders_micro [reminders] [runs]` starts its own PostgreSQL and NATS (every commit and every
stored message reaches the disk, as in production), the service, and a server of checks that answers after 20 ms that
nothing is taken. The time is from when they are due until the last is decided; deliveries to the console go on beside
it. In turn the client of checks asks the same server as often, alone. `--profile=FILE` writes a profile of the service.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import asyncpg
import uvloop

from services.chassis.net_guard import AddressGuard
from services.chassis.origins import Targets
from services.notification.adapters.checks import HttpChecks
from services.notification.adapters.postgres import reminder_rows
from services.notification.domain.notification import ChannelName
from services.notification.domain.reminders.check import Check
from services.notification.domain.reminders.recurrence import Recurrence
from services.notification.domain.reminders.reminder import Content, Reminder
from services.notification.settings import NotificationSettings
from tests.bench.parts import CpuMeter, Servers, option, servers, service, wait_idle
from tests.bench.report import Row, row

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
TENANT = "test"
ANSWER_SECONDS = 0.02
_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{"taken": false}'


class _Check(asyncio.Protocol):
    """Answers whatever ends a request after ANSWER_SECONDS; no server for anything else."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._transport.write, _ANSWER)


def _serve(ready: Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Check, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


@contextmanager
def check_server() -> Iterator[str]:
    """Its origin, during the block."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


async def alone(origin: str, count: int) -> float:
    """Seconds that the client takes to ask so often, as many at a time as the service."""
    concurrency = NotificationSettings.model_fields["reminder_check_concurrency"].default
    guard = AddressGuard(Targets.parse(origin))
    async with HttpChecks(guard, servers=1, connections=concurrency) as client:
        left = iter(range(count))

        async def work() -> None:
            for number in left:
                assert not await client.ask(f"{origin}/taken?user=u{number}", timedelta(seconds=5))

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(concurrency)))
        return time.perf_counter() - began


async def make(connection: "asyncpg.Connection[asyncpg.Record]", run: int, count: int, origin: str) -> datetime:
    """Reminders of distinct users, due in a moment; when."""
    now = datetime.now(UTC)
    due = now.replace(microsecond=0) + timedelta(seconds=8)
    content = Content(
        title="Take your metformin",
        channel=ChannelName.CONSOLE,
        recurrence=Recurrence(zone="UTC", times=(due.time(),)),
        check=Check(url=origin + "/taken?user={user}&reminder={reminder}&at={occurrence}"),
    )
    first = Reminder.new(tenant=TENANT, id_="r", user="u", content=content, now=now - timedelta(minutes=1))
    row = dict(zip(reminder_rows.ALL, reminder_rows.values(first), strict=True)) | {"next_run_at": due}
    await connection.copy_records_to_table(
        "reminders",
        schema_name="notification",
        records=[tuple((row | {"id": f"r{run}-{n}", "recipient": f"u{run}-{n}"}).values()) for n in range(count)],
        columns=list(reminder_rows.ALL),
    )
    await connection.execute("ANALYZE notification.reminders")
    return due


async def decided(connection: "asyncpg.Connection[asyncpg.Record]", run: int, count: int, due: datetime) -> float:
    """Seconds from when they were due until all were decided. Each is sent once."""
    like = f"r{run}-%"
    while (
        await connection.fetchval(
            "SELECT count(*) FROM notification.reminder_occurrences WHERE reminder LIKE $1 AND decided_at IS NOT NULL",
            like,
        )
        < count
    ):
        await asyncio.sleep(0.5)
    last, rows, accepted = await connection.fetchrow(
        f"""
        SELECT max(o.decided_at), count(*), count(DISTINCT n.id) FROM notification.reminder_occurrences o
        JOIN notification_{TENANT}.notifications n ON n.id = o.notification WHERE o.reminder LIKE $1
        """,
        like,
    )
    users = await connection.fetchval(
        f"SELECT count(*) FROM notification_{TENANT}.notifications WHERE recipient LIKE $1", f"u{run}-%"
    )
    assert rows == accepted == users == count, (rows, accepted, users)
    return (last - due).total_seconds()


async def _measure(where: Servers, count: int, runs: int, profile: str) -> list[tuple[float, float]]:
    """Reminders/s of all runs, each with the questions/s of the client of checks alone."""
    connection = await asyncpg.connect(where.dsn)
    with check_server() as origin:
        settings = {"TENANTS": TENANT, "REMINDER_CHECK_ORIGINS": origin}
        with service(where, "notification", settings, profile=profile) as notification:
            pairs: list[tuple[float, float]] = []
            for run in range(runs + 1):
                size = count if run else count // 20  # the first one warms up
                own = await alone(origin, size)
                due = await make(connection, run, size, origin)
                await asyncio.sleep((due - datetime.now(UTC)).total_seconds())
                meter = CpuMeter(notification=notification.pid, postgresql=where.postgres.pid, broker=where.broker.pid)
                seconds = await decided(connection, run, size, due)
                until_decided = meter.each(size)
                await wait_idle(notification.pid, where.postgres.pid)
                if run:
                    pairs.append((size / seconds, size / own))
                    print(
                        f"{size} reminders: decided and accepted in {seconds:.1f} s ({size / seconds:,.0f} /s), client "
                        f"alone {own:.1f} s, ratio {own / seconds:.2f}   CPU ms each until decided: {until_decided}; "
                        f"with deliveries: {meter.each(size)}",
                        flush=True,
                    )
    await connection.close()
    return pairs


async def _run(count: int, runs: int, profile: str) -> list[tuple[float, float]]:
    async with servers({"notification": MIGRATIONS}) as where:
        return await _measure(where, count, runs, profile)


def measure(runs: int, count: int = 50_000, *, profile: str = "") -> Row:
    """Reminders that are due at one moment, beside the client of checks alone."""
    pairs = uvloop.run(_run(count, runs, profile))
    goal = f">= {count / 60:,.0f}: all within a minute"
    notes = {"reference": "the client of checks alone, against the same server"}
    return row(f"{count:,} reminders due at once, decided", pairs, unit="reminders/s", goal=goal, notes=notes)


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if not one.startswith("--")]
    wanted, times = [*numbers, *(50_000, 1)[len(numbers) :]]
    found = measure(times, wanted, profile=option("profile"))
    print(f"median: {found.figure:,.0f} /s, ratio {found.ratio:.2f}")
