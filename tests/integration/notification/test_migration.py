"""Notifications of a former system on PostgreSQL: stored once whatever is killed, and undone exactly."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import Aborted
from services.chassis.postgres import Database, Outbox, PoolOptions, migrate, open_database
from services.notification.adapters.migration.migration import Options, migrate_file, set_aside_path
from services.notification.adapters.migration.rollback import Undone, changed_since, undo_run
from services.notification.adapters.migration.runs import Checkpoint, MigrationRuns, Run
from services.notification.adapters.postgres.clock import DatabaseClock
from services.notification.adapters.postgres.receipts import PostgresReceipts
from services.notification.adapters.postgres.retry_abandoned import retry_abandoned
from services.notification.adapters.postgres.statistics import PostgresNotificationCounts
from services.notification.adapters.postgres.tenants import TENANT_MIGRATIONS, schema_of
from services.notification.domain.errors import NotificationNotFound
from services.notification.domain.notification import ChannelName, Status
from services.notification.domain.receipt import Receipt, ReceiptKind
from services.notification.domain.statistics import Period
from tests.support.eventually import eventually
from tests.support.notification import TENANTS, Service, pb

NOW = datetime.now(UTC)
ALWAYS = Period(datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
KEEP = dict.fromkeys(TENANTS, timedelta(days=90))
_CHILD = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from services.chassis.postgres import open_database
from services.notification.adapters.migration.migration import Options, migrate_file
from services.notification.adapters.migration.runs import MigrationRuns

class Silent:
    def begun(self, run): pass
    def batch(self, run, read, outcome): pass

async def main(dsn, file, *tenants):
    async with open_database(dsn, schema="notification", application_name="child") as database:
        keep = dict.fromkeys(tenants, timedelta(days=90))
        options = Options(file=Path(file), keep=keep)
        await migrate_file(MigrationRuns(database, dsn), options, Path(file).parent, Silent())

asyncio.run(main(*sys.argv[1:]))
"""


class Heard:
    """What a run said."""

    def __init__(self) -> None:
        self.resumed_after: int | None = None

    def begun(self, run: Run) -> None:
        self.resumed_after = run.checkpoint.documents

    def batch(self, run: Run, read: int, outcome: Mapping[str, int]) -> None:
        """Nothing is asked of it here."""


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    for tenant in TENANTS:
        await migrate(dsn, schema_of(tenant), TENANT_MIGRATIONS, chassis=False)
    options = PoolOptions(generic_plans=True)
    async with open_database(dsn, schema="notification", application_name="tests", options=options) as opened:
        yield opened


def _silent(_so_far: Undone) -> None:
    """Nothing is asked of it here."""


def export(file: Path, count: int, **more: Any) -> Path:
    """Of eighty days, of both tenants in turn; every tenth was pending, every hundredth is no document."""
    with file.open("w") as content:
        for n in range(count):
            if n % 100 == 99:
                content.write("[1]\n")
                continue
            at = NOW - timedelta(days=80 * n / count, seconds=1)
            document = {
                "_id": {"$oid": f"{n:024x}"},
                "userId": f"u{n % 7}",
                "type": "INFO",
                "title": f"T{n}",
                "body": "b",
                "status": "PENDING" if n % 10 == 0 else "SENT",
                "createdAt": {"$date": at.isoformat()},
                "serviceName": TENANTS[n % 2],
                **more,
            }
            content.write(json.dumps(document) + "\n")
    return file


async def stored(database: Database) -> int:
    async with database.connection() as connection:
        tables = " UNION ALL ".join(f'SELECT id FROM "{schema_of(one)}".notifications' for one in TENANTS)
        return await connection.fetchval(f"SELECT count(*) FROM ({tables}) AS n")


async def counted(database: Database) -> int:
    async with database.connection() as connection:
        tables = " UNION ALL ".join(
            f'SELECT count FROM "{schema_of(one)}".notification_counts WHERE class IS NULL' for one in TENANTS
        )
        return await connection.fetchval(f"SELECT coalesce(sum(count), 0)::bigint FROM ({tables}) AS n")


async def test_a_file_of_two_tenants(database: Database, dsn: str, tmp_path: Path) -> None:
    file = export(tmp_path / "export.jsonl", 2500)
    runs = MigrationRuns(database, dsn)
    run = await migrate_file(runs, Options(file=file, keep=KEEP), tmp_path, Heard())
    assert (run.state, run.checkpoint.documents) == ("DONE", 2500)
    assert run.counts == {"stored": 2475, "set_aside": 25, "pending": 250}
    assert await stored(database) == await counted(database) == 2475
    lines = [json.loads(line) for line in set_aside_path(tmp_path, run.id).read_text().splitlines()]
    assert lines[0]["reason"].startswith("is no object but a list")
    assert (lines[0]["line"], lines[0]["raw"]) == (100, "[1]")
    async with database.connection() as connection:
        for tenant in TENANTS:
            beside = await connection.fetchval(f'SELECT count(*) FROM "{schema_of(tenant)}".notifications_default')
            assert beside == 0, "every week has its table"
            waiting = f"SELECT count(*) FROM \"{schema_of(tenant)}\".notifications WHERE status = 'PENDING'"
            assert await connection.fetchval(waiting) == 0
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 0, "nobody is told anything"
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
    again = await migrate_file(runs, Options(file=file, keep=KEEP), tmp_path, Heard())
    assert again.counts == {"known": 2475, "set_aside": 25}


async def test_nobody_is_told_of_what_a_former_system_told(service: Service, dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    with file.open("w") as content:
        for n, (status, took) in enumerate(
            [("FAILED", None), ("PENDING", None), ("SENT", 2), ("SENT", 4), ("SENT", None)]
        ):
            at = NOW - timedelta(hours=n + 1)
            sent = {} if took is None else {"sentAt": (at + timedelta(seconds=took)).isoformat()}
            document = {"_id": n, "userId": "ada", "title": f"T{n}", "status": status, "createdAt": at.isoformat()}
            content.write(json.dumps({**document, **sent, "serviceName": "test"}) + "\n")
    runs = MigrationRuns(service.database, dsn)
    assert await runs.retentions() == KEEP, "those of the service"
    run = await migrate_file(runs, Options(file=file, keep=await runs.retentions()), tmp_path, Heard())
    assert run.counts == {"stored": 5, "pending": 1}
    found = (await PostgresNotificationCounts(service.database).statistics("test", ALWAYS, None)).whole
    assert (found.total, found.statuses[Status.SENT]) == (5, 3)
    assert found.mean_delivery == timedelta(seconds=3), "of those two of which both times are known"
    own = await service.send("bob", wait=True)
    async with service.database.connection() as connection:
        await connection.execute(
            f"UPDATE \"{schema_of('test')}\".notifications SET status = 'FAILED', sent_at = NULL WHERE id = $1", own.id
        )
        ids = [
            row["id"]
            for row in await connection.fetch(f'SELECT id::text AS id FROM "{schema_of("test")}".notifications')
        ]
    retry = pb.RetryNotificationsRequest(tenant="test")
    retried = await service.notifications.RetryNotifications(retry)
    assert (retried.retried, retried.more) == (1, False)
    async with service.database.transaction() as connection:
        named = await retry_abandoned(connection, Outbox(source="tests"), "test", ids, NOW)
    assert named == 0, "not by their ids, either"
    receipts = PostgresReceipts(
        service.database, DatabaseClock(), Outbox(source="tests"), patience=timedelta(seconds=30)
    )
    old = next(one for one in ids if one != own.id)
    bounced = Receipt(
        id="r1",
        tenant="test",
        notification=old,
        kind=ReceiptKind.BOUNCED,
        channel=ChannelName.CONSOLE,
        occurred_at=NOW,
    )
    with pytest.raises(NotificationNotFound):
        await receipts.apply(bounced)
    listed = (await service.notifications.ListNotifications(pb.ListNotificationsRequest(tenant="test"))).notifications
    assert {one.title for one in listed} == {"Fire", "T0", "T1", "T2", "T3", "T4"}
    unread = pb.ListNotificationsRequest(tenant="test", user="ada", unread=True)
    assert [one.title for one in (await service.notifications.ListNotifications(unread)).notifications] == [
        "T2",
        "T3",
        "T4",
    ]
    async with service.database.connection() as connection:
        references = "SELECT count(*) FROM deliveries WHERE reference = ANY($1::uuid[]) AND reference <> $2"
        assert await connection.fetchval(references, ids, own.id) == 0


async def test_the_same_document_twice(database: Database, dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    at = (NOW - timedelta(days=1)).isoformat()
    one = {"_id": 1, "userId": "+905551234567", "title": "t", "createdAt": at, "serviceName": "test"}
    file.write_text("".join(json.dumps({**one, **more}) + "\n" for more in ({}, {}, {"serviceName": "wellness"})))
    run = await migrate_file(MigrationRuns(database, dsn), Options(file=file, keep=KEEP), tmp_path, Heard())
    assert run.counts == {"stored": 2, "known": 1, "pending": 2}


async def test_somebody_else_has_gone_on(database: Database, dsn: str, tmp_path: Path) -> None:
    runs = MigrationRuns(database, dsn)
    mine = await runs.open("f", b"f", TENANTS)
    theirs = await runs.open("f", b"f", TENANTS)
    assert mine.id == theirs.id
    await runs.store(theirs, [], {"set_aside": 1}, Checkpoint(1, 10, 0))
    with pytest.raises(Aborted, match="somebody else"):
        await runs.store(mine, [], {"set_aside": 1}, Checkpoint(1, 10, 0))


async def test_what_is_looked_for_is_found_by_an_index(database: Database) -> None:
    table, run = f'"{schema_of("test")}".notifications', "01a22b76-0c8d-7625-835f-d8c7203c9fbf"
    async with database.connection() as connection:
        await connection.execute(
            f"""
            INSERT INTO {table} (id, recipient, type, title, body, channel, created_at, status, migration_run)
            SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n), 12, '0')
                || substr(md5(n::text), 13))::uuid, 'u', 'ALERT', 't', 'b', 'EMAIL', now() + n * interval '1 ms',
                CASE WHEN n % 5 = 0 THEN 'FAILED' ELSE 'SENT' END,
                CASE WHEN n % 500 <> 0 THEN '{run}'::uuid END
            FROM generate_series(1, 20000) AS n
            """
        )
        await connection.execute(f"ANALYZE {table}")

        async def plan(query: str) -> str:
            return "\n".join(
                row[0] for row in await connection.fetch(f"EXPLAIN SELECT id FROM {table} n WHERE {query}")
            )

        retried = await plan("status = 'FAILED' AND migration_run IS NULL ORDER BY created_at, id LIMIT 1001")
        of_run = await plan(f"migration_run = '{run}' AND id > '{run}' ORDER BY id LIMIT 1000")
    week = NOW.date() - timedelta(days=NOW.weekday())
    assert "_created_at_id_idx" in retried, retried
    assert f"Seq Scan on notifications_{week:%Y%m%d}" not in retried + of_run
    assert "Sort  " not in of_run, of_run


async def test_what_is_too_old_and_what_was_pending_may_be_left_out(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    file = export(tmp_path / "export.jsonl", 90)
    keep = dict.fromkeys(TENANTS, timedelta(days=40))
    run = await migrate_file(
        MigrationRuns(database, dsn), Options(file=file, keep=keep, pending=False), tmp_path, Heard()
    )
    assert run.counts == {"stored": 40, "too_old": 45, "skipped_pending": 5}


@pytest.mark.chaos
async def test_a_killed_run_goes_on_without_a_double(database: Database, dsn: str, tmp_path: Path) -> None:
    file = export(tmp_path / "export.jsonl", 30_000)
    runs = MigrationRuns(database, dsn)
    for _ in range(2):
        before = await stored(database)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CHILD, dsn, str(file), *TENANTS, env={**os.environ, "PYTHONPATH": "."}
        )

        async def begun(before: int = before) -> bool:
            return await stored(database) > before

        await eventually(begun, timeout=30)
        child.send_signal(signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
    heard = Heard()
    run = await migrate_file(runs, Options(file=file, keep=KEEP), tmp_path, heard)
    assert heard.resumed_after
    assert run.counts["stored"] == await stored(database) == await counted(database) == 29_700
    lines = [json.loads(line)["line"] for line in set_aside_path(tmp_path, run.id).read_text().splitlines()]
    assert lines == list(range(100, 30_001, 100)), "each is set aside once"


async def test_undoing_a_run_leaves_what_was_there_before(database: Database, dsn: str, tmp_path: Path) -> None:
    runs = MigrationRuns(database, dsn)
    await migrate_file(runs, Options(file=export(tmp_path / "a", 200), keep=KEEP), tmp_path, Heard())
    second = await migrate_file(
        runs, Options(file=export(tmp_path / "b", 400, status="SENT"), keep=KEEP), tmp_path, Heard()
    )
    before = await stored(database)
    async with database.connection() as connection:
        await connection.execute(
            f'UPDATE "{schema_of("test")}".notifications SET read_at = now(), version = version + 1 WHERE id IN '
            f'(SELECT id FROM "{schema_of("test")}".notifications WHERE migration_run = $1 LIMIT 3)',
            second.id,
        )
    assert await changed_since(runs, second) == 3
    async with runs.alone():
        undone = await undo_run(runs, second, _silent, changed=False)
    assert undone == Undone(second.counts["stored"] - 3, 3, 0)
    assert await stored(database) == await counted(database) == before - undone.deleted
    found = await runs.get(second.id)
    assert found is not None
    assert found.state == "ROLLED_BACK"
    async with runs.alone():
        assert await undo_run(runs, found, _silent, changed=True) == Undone(3, 0, 0)
    assert await stored(database) == await counted(database) == before - second.counts["stored"]


async def test_undoing_takes_what_was_changed_when_asked_to(database: Database, dsn: str, tmp_path: Path) -> None:
    runs = MigrationRuns(database, dsn)
    run = await migrate_file(runs, Options(file=export(tmp_path / "a", 200), keep=KEEP), tmp_path, Heard())
    async with database.connection() as connection:
        await connection.execute(f'UPDATE "{schema_of("test")}".notifications SET version = 2')
    async with runs.alone():
        undone = await undo_run(runs, run, _silent, changed=True)
    assert undone.deleted == run.counts["stored"]
    assert await stored(database) == await counted(database) == 0
