"""What every area stands on: connections, outbox, tenants' schemas, the mail server, the stores."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from services.chassis.app import App, Step
from services.chassis.errors import DomainError
from services.chassis.nats import NatsConnection, Publisher, handler_reports, open_nats
from services.chassis.nats.broker_checks import round_trip
from services.chassis.net_guard import AddressGuard
from services.chassis.postgres import Database, Outbox, OutboxRelay, PoolOptions, open_database
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.channels.mails import Composer
from services.notification.adapters.channels.smtp import SmtpMailer
from services.notification.adapters.channels.smtp_connection import SmtpOptions
from services.notification.adapters.channels.tracked import TrackedLinks
from services.notification.adapters.grpc.operations import OperationsServicer
from services.notification.adapters.metering import PrometheusMeter
from services.notification.adapters.nats.events import SERVICE, SOURCE
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.retention import prepare_weeks, remember_retentions
from services.notification.adapters.postgres.stores import PostgresStores, StoreOptions
from services.notification.adapters.postgres.tenants import migrate_tenants
from services.notification.application.tenants import Tenants
from services.notification.domain.links import LinkOrigins
from services.notification.domain.open_tokens import OpenTokens
from services.notification.domain.rate_limit import RateLimit
from services.notification.domain.smtp_timeouts import SmtpTimeouts
from services.notification.settings import NotificationSettings
from tocsin.notification.v1.operations_service_pb2_grpc import add_OperationsServiceServicer_to_server

PATIENCE = timedelta(seconds=10)
"""How long a task may take to end at a stop."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Base:
    """What every area stands on."""

    app: App
    settings: NotificationSettings
    database: Database
    nats: NatsConnection
    publisher: Publisher
    outbox: Outbox
    clock: Clock
    meter: PrometheusMeter
    tenants: Tenants
    guard: AddressGuard
    mailer: SmtpMailer | None
    composer: Composer
    tokens: OpenTokens | None
    links: LinkOrigins


async def wire_base(app: App, settings: NotificationSettings, clock: Clock) -> Base:
    """Connections, outbox, tenants' schemas, and the mail server."""
    dsn = settings.postgres_dsn.get_secret_value()
    database = await app.enter(
        open_database(
            dsn,
            schema=SERVICE,
            application_name=f"tocsin-{SERVICE}",
            options=PoolOptions(max_size=settings.database_pool, generic_plans=True),
        )
    )
    await migrate_tenants(dsn, settings.tenant_names())
    await prepare_weeks(database, clock, settings.tenant_names())
    await remember_retentions(database, settings.retentions())
    nats = await app.enter(
        open_nats(
            settings.nats_url,
            name=f"tocsin-{SERVICE}",
            user=settings.nats_user or None,
            password=settings.nats_password.get_secret_value() or None,
            prefix=settings.nats_prefix,
        )
    )
    publisher = Publisher(nats, source=SOURCE)
    relay = OutboxRelay(dsn, schema=SERVICE, publisher=publisher)
    app.check("postgres", database.ping)
    app.check("nats", partial(round_trip, nats))
    app.task("nats connection", nats.wait_lost(), until=Step.DRAIN_NATS)
    app.task("outbox", relay.run(app.stopping), patience=timedelta(seconds=3))
    tokens = settings.open_tokens()
    tracked = TrackedLinks(settings.public_url, tokens, settings.link_ttl) if settings.public_url and tokens else None
    await app.enter(handler_reports.answering(nats, SERVICE))
    operations = OperationsServicer(partial(handler_reports.ask_all, nats))
    add_OperationsServiceServicer_to_server(operations, app.server.registrar)
    return Base(
        app=app,
        settings=settings,
        database=database,
        nats=nats,
        publisher=publisher,
        outbox=Outbox(source=SOURCE),
        clock=clock,
        meter=PrometheusMeter(),
        tenants=Tenants(settings.tenant_names()),
        guard=AddressGuard(settings.targets("allowed_targets"), mesh=settings.mesh_addresses()),
        mailer=await app.enter(SmtpMailer(smtp_options(settings))) if settings.smtp_host else None,
        composer=Composer(settings.mail_from, settings.mail_from_name, tracked),
        tokens=tokens,
        links=LinkOrigins(settings.targets("link_origins")),
    )


def wire_stores(base: Base) -> PostgresStores:
    """What is kept in the database."""
    settings = base.settings
    options = StoreOptions(
        limit=RateLimit(settings.rate_limit, settings.rate_period),
        lease=settings.lease,
        disable_after=settings.webhook_disable_after,
        invoice_lease=settings.invoice_lease,
        reminder_lease=settings.reminder_lease,
        last_try_after=settings.last_try_after,
    )
    return PostgresStores(base.database, base.clock, base.outbox, options)


def smtp_options(settings: NotificationSettings) -> SmtpOptions:
    """The mail server that the settings describe."""
    return SmtpOptions(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.mail_from,
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value(),
        connections=settings.smtp_connections,
        timeouts=SmtpTimeouts.same(settings.smtp_timeout),
    )


async def repeated(every: timedelta, act: Callable[[], Awaitable[object]]) -> None:
    """Does it for ever; what cannot be done now is done the next time."""
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            await act()
        except DomainError as error:
            log.warning("upkeep.postponed", task=getattr(act, "__name__", repr(act)), error=error.message)
