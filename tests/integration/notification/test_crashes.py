"""kill -9 of the service in the middle of its work: nothing is lost, and nothing is done twice that need not be."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import Event, NatsConnection, Publisher
from services.chassis.nats.topology import DEBTS_REGISTERED_SUBJECT
from tests.support.check_server import CheckServer, check_server
from tests.support.eventually import eventually
from tests.support.fcm import Fcm
from tests.support.mailbox import Mailbox
from tests.support.notification import ALERT, endpoint_pb, pb, reminder_pb
from tests.support.notification_process import channel_to, service_process
from tocsin.events.v1 import debts_pb2
from tocsin.notification.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from tocsin.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from tocsin.notification.v1.reminder_service_pb2_grpc import ReminderServiceStub

SHORT = {"lease": "3s", "attempt_timeout": "2s", "webhook_timeout": "1s", "poll": "200ms"}
INVOICES = {
    "invoice_lease": "2s",
    "invoice_retry_schedule": "1s",
    "invoice_unknown_wait": "2s",
    "poll": "200ms",
    "invoice_mailers": 4,
}


@pytest.fixture
async def database(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "notification"})
    yield connection
    await connection.close()


async def test_a_claim_of_a_killed_process_comes_back_once(
    dsn: str, nats_url: str, nats_connection: NatsConnection, issuer: DevIssuer, fcm: Fcm, tmp_path: Path
) -> None:
    del nats_connection  # it has made the streams
    options = {**SHORT, "fcm_account_file": fcm.account_file, "fcm_base_url": fcm.url}
    held = asyncio.Event()
    asked = asyncio.Event()

    async def hold() -> None:
        asked.set()
        await held.wait()

    fcm.before_grant = hold  # it is claimed then, and not sent yet
    async with service_process(dsn, nats_url, issuer, tmp_path / "one.log", **options) as first:
        async with channel_to(first, issuer) as channel:
            await EndpointServiceStub(channel.channel).RegisterEndpoint(
                endpoint_pb.RegisterEndpointRequest(tenant="test", user="ada", channel=pb.Channel.FCM, address="t-1")
            )
            sent = await NotificationServiceStub(channel.channel).SendNotification(
                pb.SendNotificationRequest(tenant="test", user="ada", type=ALERT, title="Fire")
            )
        async with asyncio.timeout(10):
            await asked.wait()
        await first.kill()
    assert fcm.messages == []
    held.set()
    async with (
        service_process(dsn, nats_url, issuer, tmp_path / "two.log", **options) as second,
        channel_to(second, issuer) as channel,
    ):

        async def found() -> pb.Notification:
            stub = NotificationServiceStub(channel.channel)
            notification = await stub.GetNotification(pb.GetNotificationRequest(tenant="test", id=sent.id))
            assert notification.status == pb.Notification.SENT, notification
            return notification

        notification = await eventually(found, timeout=20)
        assert notification.attempts == 1
        assert [message["data"]["id"] for message in fcm.messages] == [sent.id]


@pytest.mark.chaos
async def test_only_what_was_being_attempted_is_lost_with_a_killed_process(
    dsn: str,
    nats_url: str,
    nats_connection: NatsConnection,
    issuer: DevIssuer,
    fcm: Fcm,
    database: "asyncpg.Connection[asyncpg.Record]",
    tmp_path: Path,
) -> None:
    del nats_connection  # it has made the streams
    fcm_options = {"fcm_account_file": fcm.account_file, "fcm_base_url": fcm.url}
    options = {**SHORT, **fcm_options, "concurrency": 2, "lease": "1h"}
    asked, held = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asked.set()
        await held.wait()

    fcm.before_grant = hold
    async with service_process(dsn, nats_url, issuer, tmp_path / "one.log", **options) as first:
        async with channel_to(first, issuer) as channel:
            await EndpointServiceStub(channel.channel).RegisterEndpoint(
                endpoint_pb.RegisterEndpointRequest(tenant="test", user="ada", channel=pb.Channel.FCM, address="t-1")
            )
            item = pb.SendNotificationRequest(tenant="test", user="ada", type=ALERT, title="Fire")
            request = pb.SendBulkNotificationsRequest(notifications=[item] * 9)
            sent = await NotificationServiceStub(channel.channel).SendBulkNotifications(request)

        async def both() -> bool:
            return asked.is_set() and await database.fetchval("SELECT count(*) FROM rate_slots") == 2

        await eventually(both, timeout=20)  # each of the two places is taken by a claim of its own
        await first.kill()
    held.set()
    ids = [outcome.id for outcome in sent.outcomes]
    # Two were under way, may have been sent, and count; the other seven wait for no lease.
    assert await database.fetchval("SELECT count(*) FROM rate_slots") == 2
    leased = await database.fetch("SELECT id::text AS id FROM deliveries WHERE lease IS NOT NULL ORDER BY id")
    assert [row["id"] for row in leased] == ids[:2]
    async with service_process(dsn, nats_url, issuer, tmp_path / "two.log", **options):
        await eventually(lambda: len(fcm.messages) == 7, timeout=20)
    assert sorted(message["data"]["id"] for message in fcm.messages) == ids[2:]


def debts(count: int) -> debts_pb2.DebtsRegistered:
    return debts_pb2.DebtsRegistered(
        debt_file="f1",
        debts=[
            debts_pb2.DebtsRegistered.Debt(
                id=f"d{n}",
                name="Ada",
                government_id="1",
                email=f"d{n}@example.org",
                amount="1.00",
                due_date="2026-12-24",
            )
            for n in range(count)
        ],
    )


@pytest.mark.chaos
@pytest.mark.parametrize("unknown", ["resend", "hold"])
async def test_killed_in_the_middle_of_a_batch_of_invoices(
    dsn: str,
    nats_url: str,
    publisher: Publisher,
    issuer: DevIssuer,
    mailbox: Mailbox,
    database: "asyncpg.Connection[asyncpg.Record]",
    tmp_path: Path,
    unknown: str,
) -> None:
    options = {**INVOICES, "smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "invoice_unknown": unknown}
    total = 160
    async with service_process(dsn, nats_url, issuer, tmp_path / "one.log", **options) as first:
        await publisher.publish(Event(DEBTS_REGISTERED_SUBJECT, debts(total), id="b1"))
        await eventually(lambda: len(mailbox.messages) >= 30, timeout=90, interval=0.001)
        await first.kill()
    in_doubt = await database.fetchval("SELECT count(*) FROM invoices WHERE sending_at IS NOT NULL")
    held = await database.fetchval("SELECT count(*) FROM invoices WHERE state = 'FAILED'")
    assert len(mailbox.messages) < total, "it was killed too late to tell anything"
    assert in_doubt <= 4 * 2  # groups of two on four connections
    async with service_process(dsn, nats_url, issuer, tmp_path / "two.log", **options):

        async def done() -> bool:
            left = await database.fetch("SELECT state, count(*) FROM invoices GROUP BY state")
            assert {row["state"] for row in left} <= {"MAILED", "FAILED"}, left
            return True

        await eventually(done, timeout=60)
    failed = await database.fetchval("SELECT count(*) FROM invoices WHERE state = 'FAILED'")
    copies = Counter(mailbox.ids)
    repeated = sum(count - 1 for count in copies.values())
    assert await database.fetchval("SELECT count(*) FROM invoices") == total
    if unknown == "resend":
        assert failed == 0
        assert set(copies) == {f"<invoice.d{n}@tocsin.test>" for n in range(total)}
        assert repeated <= in_doubt
    else:
        assert failed == in_doubt + held
        assert repeated == 0
        assert len(copies) >= total - failed


@pytest.mark.chaos
async def test_reminders_of_a_killed_process_are_sent_once(
    dsn: str,
    nats_url: str,
    nats_connection: NatsConnection,
    issuer: DevIssuer,
    database: "asyncpg.Connection[asyncpg.Record]",
    tmp_path: Path,
) -> None:
    """Killed three times in the middle of asking and deciding, with two replicas."""
    del nats_connection  # it has made the streams
    count = 300
    async with check_server() as checks:

        async def slowly(server: CheckServer, request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.05)
            return web.json_response({"taken": request.query["user"] in server.taken})

        checks.behaviour = slowly
        checks.taken = {f"u{number}" for number in range(0, count, 2)}
        options = {
            **SHORT,
            "reminder_check_origins": checks.origin,
            "reminder_check_concurrency": 8,
            "reminder_lease": "1s",
            "rate_limit": 1000,
        }
        stays = service_process(dsn, nats_url, issuer, tmp_path / "stays.log", **options)
        async with stays as staying, channel_to(staying, issuer) as channel:
            stub = ReminderServiceStub(channel.channel)
            for number in range(count):
                reminder = reminder_pb.Reminder(
                    id=f"r{number}",
                    tenant="test",
                    user=f"u{number}",
                    title="Metformin",
                    cron="0 8 1 1 *",
                    time_zone="UTC",
                    channel=pb.Channel.CONSOLE,
                    check=reminder_pb.ReminderCheck(url=checks.url),
                )
                await stub.CreateReminder(reminder_pb.CreateReminderRequest(reminder=reminder))
            due = """
                    UPDATE reminders SET next_run_at = date_trunc('second', clock_timestamp())
                    WHERE substr(id, 2)::integer % 3 = $1
                """
            for kill in range(3):
                async with service_process(dsn, nats_url, issuer, tmp_path / f"{kill}.log", **options) as killed:
                    async with channel_to(killed, issuer):
                        pass
                    asked = len(checks.asked)
                    await database.execute(due, kill)
                    await database.execute("NOTIFY notification_reminders")
                    await eventually(lambda asked=asked: len(checks.asked) >= asked + 20, timeout=30)
                    await killed.kill()

            async def all_decided() -> bool:
                open_ = "SELECT count(*) FROM reminder_occurrences WHERE decision IN ('PENDING', 'HELD')"
                assert await database.fetchval("SELECT count(*) FROM reminder_occurrences") == count
                return await database.fetchval(open_) == 0

            await eventually(all_decided, timeout=60)
    decisions = await database.fetch("SELECT decision, count(*) FROM reminder_occurrences GROUP BY decision")
    assert {row["decision"]: row["count"] for row in decisions} == {"SKIPPED": count // 2, "SENT": count // 2}
    users = await database.fetch("SELECT recipient, count(*) FROM notification_test.notifications GROUP BY recipient")
    assert {row["recipient"] for row in users} == {f"u{number}" for number in range(count) if number % 2}
    assert {row["count"] for row in users} == {1}
