"""The notification service in this process, on real PostgreSQL and NATS, with a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.chassis.app import App
from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.grpc.client import PeerChannel, connect
from services.chassis.nats import NatsConnection, TopologyOptions, ensure_streams, open_nats
from services.chassis.postgres import Connection, Database, open_database
from services.notification.adapters.postgres.clock import DatabaseClock
from services.notification.adapters.postgres.retention import prepare_weeks
from services.notification.adapters.postgres.tenants import migrate_tenants
from services.notification.bootstrap import bootstrap
from services.notification.settings import NotificationSettings
from tests.support.eventually import eventually
from tocsin.notification.v1 import (
    channel_plan_service_pb2,
    channel_plan_service_pb2_grpc,
    dead_letter_service_pb2,
    dead_letter_service_pb2_grpc,
    delivery_receipt_service_pb2,
    delivery_receipt_service_pb2_grpc,
    endpoint_service_pb2,
    endpoint_service_pb2_grpc,
    invoice_service_pb2,
    invoice_service_pb2_grpc,
    notification_service_pb2,
    notification_service_pb2_grpc,
    operations_service_pb2_grpc,
    reminder_service_pb2,
    reminder_service_pb2_grpc,
    tracking_service_pb2,
    tracking_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)

pb = notification_service_pb2
endpoint_pb = endpoint_service_pb2
webhook_pb = webhook_service_pb2
invoice_pb = invoice_service_pb2
letter_pb = dead_letter_service_pb2
receipt_pb = delivery_receipt_service_pb2
plan_pb = channel_plan_service_pb2
reminder_pb = reminder_service_pb2
tracking_pb = tracking_service_pb2

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
ALERT = pb.NotificationType.ALERT
TENANTS = ("test", "wellness")


class ManualClock:
    """Stands still until it is moved; shared by all replicas of a test."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC).replace(microsecond=0)

    async def now(self, connection: Connection) -> datetime:
        """See Clock."""
        return self.time

    def at(self, server_time: datetime) -> datetime:
        """See Clock."""
        return self.time


@dataclass
class Service:
    """One replica, and stubs to call it with."""

    app: App
    channel: PeerChannel
    database: Database
    clock: ManualClock
    issuer: DevIssuer
    port: int
    reachable: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Users who have been given an address, by tenant."""
    notifications: Any = field(init=False)
    endpoints: Any = field(init=False)
    webhooks: Any = field(init=False)
    invoices: Any = field(init=False)
    letters: Any = field(init=False)
    plans: Any = field(init=False)
    reminders: Any = field(init=False)
    tracking: Any = field(init=False)
    receipts: Any = field(init=False)
    operations: Any = field(init=False)

    def __post_init__(self) -> None:
        self.use(self.channel)

    def use(self, channel: Any) -> None:
        """Stubs over the channel."""
        self.notifications = notification_service_pb2_grpc.NotificationServiceStub(channel)
        self.endpoints = endpoint_service_pb2_grpc.EndpointServiceStub(channel)
        self.webhooks = webhook_service_pb2_grpc.WebhookServiceStub(channel)
        self.invoices = invoice_service_pb2_grpc.InvoiceServiceStub(channel)
        self.reminders = reminder_service_pb2_grpc.ReminderServiceStub(channel)
        self.plans = channel_plan_service_pb2_grpc.ChannelPlanServiceStub(channel)
        self.tracking = tracking_service_pb2_grpc.TrackingServiceStub(channel)
        self.operations = operations_service_pb2_grpc.OperationsServiceStub(channel)
        self.receipts = delivery_receipt_service_pb2_grpc.DeliveryReceiptServiceStub(channel)
        self.letters = dead_letter_service_pb2_grpc.DeadLetterServiceStub(channel)

    async def send(self, user: str = "ada", *, tenant: str = "test", **more: Any) -> Any:
        """Sends a notification; to the console, unless the user has an address or the channel is given."""
        given = {"type": ALERT, "title": "Fire", **more}
        if (tenant, user) not in self.reachable:
            given.setdefault("channel", pb.Channel.CONSOLE)
        return await self.notifications.SendNotification(pb.SendNotificationRequest(tenant=tenant, user=user, **given))

    async def get(self, id_: str, tenant: str = "test") -> Any:
        """Reads a notification."""
        return await self.notifications.GetNotification(pb.GetNotificationRequest(tenant=tenant, id=id_))

    async def becomes(self, id_: str, status: str, *, attempts: int | None = None, tenant: str = "test") -> Any:
        """The notification once it has the status (and as many attempts)."""

        async def look() -> Any:
            found = await self.get(id_, tenant)
            assert pb.Notification.Status.Name(found.status) == status, found
            assert attempts is None or found.attempts == attempts, found
            return found

        return await eventually(look, what=f"{id_} {status}")

    async def register(self, channel: str, address: str, user: str = "ada", tenant: str = "test") -> Any:
        """Registers an address."""
        self.reachable.add((tenant, user))
        return await self.endpoints.RegisterEndpoint(
            endpoint_pb.RegisterEndpointRequest(
                tenant=tenant, user=user, channel=pb.Channel.Value(channel), address=address
            )
        )

    async def advance(self, time: timedelta) -> None:
        """Moves the clock, and wakes everybody."""
        self.clock.time += time
        async with self.database.connection() as connection:
            await connection.execute(
                "NOTIFY notification_work; NOTIFY notification_invoices; NOTIFY notification_reminders"
            )

    async def rows(self, statement: str, *arguments: object) -> Sequence[Any]:
        """Rows of the database."""
        async with self.database.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def value(self, statement: str, *arguments: object) -> Any:
        """A value of the database."""
        async with self.database.connection() as connection:
            return await connection.fetchval(statement, *arguments)


async def with_tenants(dsn: str) -> None:
    """What the service makes at its first start: the tenants' schemas, and the tables of the weeks."""
    await migrate_tenants(dsn, TENANTS)
    async with open_database(dsn, schema="notification", application_name="tests") as database:
        await prepare_weeks(database, DatabaseClock(), TENANTS)


def settings_for(dsn: str, nats_url: str, jwks: Path, **more: object) -> NotificationSettings:
    """Settings for a test: loopback may be called, jitter is off."""
    given: dict[str, object] = {
        "postgres_dsn": dsn,
        "nats_url": nats_url,
        "auth_jwks_file": jwks,
        "tenants": ",".join(TENANTS),
        "allowed_targets": "127.0.0.0/8",
        "retry_jitter": 0.0,
        "mail_from": "bell@tocsin.test",
        "stop_grace": timedelta(seconds=5),
        "poll": timedelta(milliseconds=200),
        **more,
    }
    settings = NotificationSettings(**given)  # pyright: ignore[reportArgumentType]
    settings.verify()
    return settings


@asynccontextmanager
async def running_service(
    dsn: str, nats_url: str, issuer: DevIssuer, clock: ManualClock | None = None, **more: object
) -> AsyncIterator[Service]:
    """Runs a replica during the block and stops it in order."""
    clock = clock or ManualClock()
    settings = settings_for(dsn, nats_url, issuer.jwks_file, **more)
    app = App("notification", settings)
    try:
        await bootstrap(app, settings, clock)
        port = await app.server.start()
        token = issuer.mint()
        async with (
            connect(f"127.0.0.1:{port}", token=lambda: token) as channel,
            open_database(dsn, schema="notification", application_name="tests") as database,
        ):
            yield Service(app, channel, database, clock, issuer, port)
    finally:
        await app.server.stop(timedelta(seconds=2))
        await app.stop()
    assert app.exit_code == 0


@asynccontextmanager
async def prepared_nats(url: str) -> AsyncIterator[NatsConnection]:
    """A connection to NATS, where all streams exist."""
    async with open_nats(url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions(tenants=TENANTS))
        yield connection


async def settled() -> None:
    """Lets what is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)
