"""Puts the notification service together: the only place where its parts meet. One `wire_<area>` for each area."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from services.chassis.app import App, Step
from services.chassis.errors import DomainError
from services.chassis.group_commit import GroupCommit
from services.chassis.nats import BatchConsumer, Consumer, NatsConnection, Publisher, handler_reports, open_nats
from services.chassis.nats.broker_checks import round_trip
from services.chassis.net_guard import AddressGuard
from services.chassis.postgres import Database, Outbox, OutboxRelay, PoolOptions, open_database
from services.chassis.postgres.listener import listen
from services.chassis.settings import Refused
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.channels.console import ConsoleChannel
from services.notification.adapters.channels.email import EmailChannel
from services.notification.adapters.channels.fcm import FcmChannel
from services.notification.adapters.channels.fcm_token import ServiceAccount
from services.notification.adapters.channels.http import Guard, HttpClient
from services.notification.adapters.channels.mails import Composer
from services.notification.adapters.channels.operators import OperatorEmail, OperatorWebhook
from services.notification.adapters.channels.smtp import SmtpMailer, SmtpOptions
from services.notification.adapters.channels.tracked import TrackedLinks
from services.notification.adapters.channels.webhook import WebhookChannel
from services.notification.adapters.checks import HttpChecks
from services.notification.adapters.grpc.channel_plans import ChannelPlanServicer
from services.notification.adapters.grpc.dead_letters import DeadLetterServicer
from services.notification.adapters.grpc.endpoints import EndpointServicer, WebhookServicer
from services.notification.adapters.grpc.invoices import InvoiceServicer
from services.notification.adapters.grpc.notifications import NotificationServicer
from services.notification.adapters.grpc.operations import OperationsServicer
from services.notification.adapters.grpc.receipts import DeliveryReceiptServicer
from services.notification.adapters.grpc.reminders import ReminderServicer
from services.notification.adapters.grpc.statistics import NotificationStatisticsServicer
from services.notification.adapters.grpc.tracking import TrackingServicer
from services.notification.adapters.metering import PrometheusMeter
from services.notification.adapters.nats import alarms, dead_letters, debts, redelivery, requests
from services.notification.adapters.nats.dead_letters import DeadLetterIntake
from services.notification.adapters.nats.documents import JetStreamDocuments
from services.notification.adapters.nats.events import SERVICE, SOURCE
from services.notification.adapters.nats.public_feed import PublicFeed
from services.notification.adapters.postgres.clock import Clock, DatabaseClock
from services.notification.adapters.postgres.retention import prepare_weeks, prune_all, remember_retentions
from services.notification.adapters.postgres.statistics import merge_counts
from services.notification.adapters.postgres.stores import PostgresStores, StoreOptions
from services.notification.adapters.postgres.tenants import migrate_tenants
from services.notification.adapters.rendering.renderer import SubprocessRenderer
from services.notification.application.attempts import AttemptOptions, Attempts
from services.notification.application.channel_plans import ChannelPlans
from services.notification.application.dead_letters import DeadLetters, try_last
from services.notification.application.dispatcher import Dispatcher, DispatcherOptions
from services.notification.application.endpoints import Endpoints, Subscriptions
from services.notification.application.inbox import Inbox
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.application.invoicing import Invoicing, InvoicingOptions
from services.notification.application.lanes import Lanes
from services.notification.application.openings import Openings
from services.notification.application.operator_alerts import OperatorAlerts, Way
from services.notification.application.places import LanePlaces
from services.notification.application.ports import Channel
from services.notification.application.receipts import Receipts
from services.notification.application.reminders.checks import CheckOptions, Checks
from services.notification.application.reminders.ports import Limits
from services.notification.application.reminders.reminders import Reminders
from services.notification.application.reminders.scheduler import ReminderScheduler, SchedulerOptions
from services.notification.application.sending import Sender
from services.notification.application.statistics import StatisticsQueries
from services.notification.application.tenants import Tenants
from services.notification.domain.channel_plan import Plans
from services.notification.domain.delivery import UnknownOutcome
from services.notification.domain.lane import Lane
from services.notification.domain.links import LinkOrigins
from services.notification.domain.notification import ChannelName
from services.notification.domain.open_tokens import OpenTokens
from services.notification.domain.rate_limit import RateLimit
from services.notification.settings import NotificationSettings
from tocsin.notification.v1.channel_plan_service_pb2_grpc import add_ChannelPlanServiceServicer_to_server
from tocsin.notification.v1.dead_letter_service_pb2_grpc import add_DeadLetterServiceServicer_to_server
from tocsin.notification.v1.delivery_receipt_service_pb2_grpc import add_DeliveryReceiptServiceServicer_to_server
from tocsin.notification.v1.endpoint_service_pb2_grpc import add_EndpointServiceServicer_to_server
from tocsin.notification.v1.invoice_service_pb2_grpc import add_InvoiceServiceServicer_to_server
from tocsin.notification.v1.notification_service_pb2_grpc import add_NotificationServiceServicer_to_server
from tocsin.notification.v1.notification_statistics_service_pb2_grpc import (
    add_NotificationStatisticsServiceServicer_to_server,
)
from tocsin.notification.v1.operations_service_pb2_grpc import add_OperationsServiceServicer_to_server
from tocsin.notification.v1.reminder_service_pb2_grpc import add_ReminderServiceServicer_to_server
from tocsin.notification.v1.tracking_service_pb2_grpc import add_TrackingServiceServicer_to_server
from tocsin.notification.v1.webhook_service_pb2_grpc import add_WebhookServiceServicer_to_server

_RETENTION_EVERY = timedelta(minutes=10)
_MERGE_EVERY = timedelta(seconds=30)
_LAST_TRIES_EVERY = timedelta(seconds=30)
_OPERATORS_EVERY = timedelta(seconds=5)
_PATIENCE = timedelta(seconds=10)
_EVENT_STOP_BUDGET = timedelta(seconds=2)
FCM_TIMEOUT = timedelta(seconds=10)

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


@dataclass(frozen=True)
class Wakes:
    """Who is woken by what other processes announce."""

    lanes: Lanes
    feed: PublicFeed
    invoicing: Invoicing
    reminders: ReminderScheduler


async def bootstrap(app: App, settings: NotificationSettings, clock: Clock | None = None) -> None:
    """Opens the stores and fills the server, which starts when this returns. `clock` stands in for the database's."""
    base = await wire_base(app, settings, clock or DatabaseClock())
    stores = wire_stores(base)
    lanes, sender = await wire_notifications(base, stores)
    feed = await wire_webhooks(base, stores)
    invoicing = await wire_invoices(base, stores)
    reminders = await wire_reminders(base, stores, sender)
    await wire_dead_letters(base, stores)
    await wire_retention(base, Wakes(lanes, feed, invoicing, reminders))


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


async def wire_notifications(base: Base, stores: PostgresStores) -> tuple[Lanes, Sender]:
    """Sending and reading notifications, and the lanes of all deliveries."""
    app, store, endpoints = base.app, stores.notifications, stores.endpoints
    channels = await wire_channels(base)
    lanes = await wire_lanes(base, stores, channels)
    plans = Plans(channels, *base.settings.plans())
    sender = Sender(base.tenants, store, endpoints, lanes, plans, base.links)
    await app.enter(sender.queueing)
    servicer = NotificationServicer(sender, Inbox(base.tenants, store))
    add_NotificationServiceServicer_to_server(servicer, app.server.registrar)
    openings = TrackingServicer(Openings(base.tenants, store, base.tokens, base.links))
    add_TrackingServiceServicer_to_server(openings, app.server.registrar)
    statistics = NotificationStatisticsServicer(StatisticsQueries(base.tenants, stores.counts))
    add_NotificationStatisticsServiceServicer_to_server(statistics, app.server.registrar)
    wire_alarms(base, sender)
    receipts = Receipts(base.tenants, stores.receipts)
    add_DeliveryReceiptServiceServicer_to_server(DeliveryReceiptServicer(receipts), app.server.registrar)
    wire_requests(base, sender, receipts)
    users = Endpoints(base.tenants, endpoints, Guard(base.guard))
    add_EndpointServiceServicer_to_server(EndpointServicer(users), app.server.registrar)
    planning = ChannelPlans(base.tenants, stores.plans, plans)
    add_ChannelPlanServiceServicer_to_server(ChannelPlanServicer(planning), app.server.registrar)
    return lanes, sender


async def wire_lanes(base: Base, stores: PostgresStores, channels: Mapping[ChannelName, Channel]) -> Lanes:
    """A dispatcher for each kind of receiver."""
    settings, store = base.settings, stores.notifications
    completing = await base.app.enter(GroupCommit("completions", store.complete, limit=500, keep_abandoned=True))
    options = AttemptOptions(
        notifications=settings.schedule("retry_schedule"),
        events=settings.schedule("webhook_retry_schedule"),
        timeout=settings.attempt_timeout,
        unknown=settings.unknown_outcomes(),
    )
    attempts = Attempts(channels, options, base.meter)
    # What a lease leaves beside an attempt: half of it for the claim, the other half for the commit.
    pace = DispatcherOptions(poll=settings.poll, patience=(settings.lease - settings.attempt_timeout) / 2)
    # Nobody waits for an event, and a receiver that has taken one anyway knows it by its id when it comes again.
    hurried = replace(pace, stop_budget=_EVENT_STOP_BUDGET)
    places = dict.fromkeys(Lane, settings.concurrency)
    places[Lane.EMAIL] = min(settings.concurrency, settings.smtp_connections)
    lanes = Lanes(
        Dispatcher(store, attempts, completing, LanePlaces(lane, count), hurried if lane is Lane.EVENT else pace)
        for lane, count in places.items()
    )
    base.app.task("dispatchers", lanes.run(base.app.stopping), patience=_PATIENCE)
    return lanes


def wire_alarms(base: Base, sender: Sender) -> None:
    """Raised alarms, to whom their rules name."""
    consumer = Consumer(base.nats, alarms.OPTIONS, alarms.alarms_handler(sender), publisher=base.publisher)
    base.app.task("alarms", consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=_PATIENCE)


def wire_requests(base: Base, sender: Sender, receipts: Receipts) -> None:
    """What trusted publishers ask for, a consumer for each tenant."""
    for tenant in base.tenants.names:
        handle = requests.RequestIntake(tenant, sender, receipts, base.publisher)
        consumer = Consumer(base.nats, requests.consumer_options(tenant), handle, publisher=base.publisher)
        name = f"requests of {tenant}"
        base.app.task(name, consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=_PATIENCE)


async def wire_channels(base: Base) -> Mapping[ChannelName, Channel]:
    """The channels that are configured."""
    settings = base.settings
    client = await base.app.enter(
        # The lanes bound how many attempts there are; nobody waits for a connection of another's.
        HttpClient(base.guard, timeout=settings.webhook_timeout, connections=0)
    )
    channels: dict[ChannelName, Channel] = {
        ChannelName.CONSOLE: ConsoleChannel(),
        ChannelName.WEBHOOK: WebhookChannel(client),
    }
    if base.mailer is not None:
        channels[ChannelName.EMAIL] = EmailChannel(base.mailer, base.composer)
    if settings.fcm_account_file is not None:
        try:
            account = ServiceAccount.read(settings.fcm_account_file)
        except (OSError, ValueError) as error:
            raise Refused(settings.env("fcm_account_file"), f"cannot be used: {error}") from error
        provider = HttpClient(None, timeout=FCM_TIMEOUT, connections=settings.concurrency)
        channels[ChannelName.FCM] = FcmChannel(account, settings.fcm_base_url, await base.app.enter(provider))
    return channels


async def wire_webhooks(base: Base, stores: PostgresStores) -> PublicFeed:
    """Subscriptions, and the public events that they want."""
    subscriptions = stores.subscriptions
    fan_out = await base.app.enter(GroupCommit("events", subscriptions.fan_out, limit=500))
    feed = PublicFeed(base.nats, base.publisher, subscriptions, fan_out)
    base.app.task("feed", feed.run(base.app.stopping), until=Step.STOP_PULLING, patience=_PATIENCE)
    servicer = WebhookServicer(Subscriptions(subscriptions, feed, Guard(base.guard)))
    add_WebhookServiceServicer_to_server(servicer, base.app.server.registrar)
    return feed


async def wire_invoices(base: Base, stores: PostgresStores) -> Invoicing:
    """Debts to PDFs to e-mails."""
    settings, app, store = base.settings, base.app, stores.invoices
    documents = JetStreamDocuments(
        base.nats, bucket=settings.invoice_bucket, ttl=settings.invoice_ttl, replicas=settings.invoice_replicas
    )
    renderer = await app.enter(
        SubprocessRenderer(settings.invoice_issuer, processes=settings.render_processes, idle=settings.render_idle)
    )
    changing = await app.enter(GroupCommit("invoices", store.change, limit=500, keep_abandoned=True))
    options = InvoicingOptions(
        schedule=settings.schedule("retry_schedule"),
        unknown=UnknownOutcome(settings.invoice_unknown),
        batch=settings.invoice_batch,
        mailers=min(settings.invoice_mailers, settings.smtp_connections),
        poll=settings.poll,
    )
    if base.mailer is None:
        log.warning("no mail server is configured: invoices are made, their e-mails wait")
    invoicing = Invoicing(store, documents, renderer, base.mailer, base.composer.invoice, changing, options, base.meter)
    app.task("invoicing", invoicing.run(app.stopping), patience=_PATIENCE)
    handle = debts.debts_handler(store, invoicing.poke)
    consumer = Consumer(base.nats, debts.OPTIONS, handle, publisher=base.publisher)
    app.task("debts", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=_PATIENCE)
    servicer = InvoiceServicer(InvoiceQueries(store, documents))
    add_InvoiceServiceServicer_to_server(servicer, app.server.registrar)
    return invoicing


async def wire_reminders(base: Base, stores: PostgresStores, sender: Sender) -> ReminderScheduler:
    """What people are reminded of, unless it is done."""
    settings, app = base.settings, base.app
    allowed = settings.targets("reminder_check_origins")
    origins = sorted(map(str, allowed.origins))
    concurrency = settings.reminder_check_concurrency
    guard = AddressGuard(allowed, mesh=settings.mesh_addresses())
    client = await app.enter(HttpChecks(guard, servers=len(origins), connections=concurrency))
    checks = Checks(client, origins, CheckOptions(concurrency=concurrency))
    options = SchedulerOptions(
        # Enough to keep the server's places taken while more is claimed.
        room=16 * concurrency,
        hold=settings.reminder_hold,
        poll=settings.poll,
        lease=settings.reminder_lease,
    )
    reminders = ReminderScheduler(stores.reminder_queue, checks, sender.routes, origins, options, base.meter)
    await app.enter(reminders.deciding)
    app.task("reminders", reminders.run(app.stopping), patience=_PATIENCE)
    limits = Limits(settings.reminders_of_user, settings.reminders_of_tenant)
    servicer = ReminderServicer(Reminders(base.tenants, stores.reminders, allowed, limits, base.links))
    add_ReminderServiceServicer_to_server(servicer, app.server.registrar)
    return reminders


async def wire_dead_letters(base: Base, stores: PostgresStores) -> None:
    """The dead letters of all services, who is told of them, and the way back of our own."""
    store, stopping = stores.letters, base.app.stopping
    add_DeadLetterServiceServicer_to_server(DeadLetterServicer(DeadLetters(store)), base.app.server.registrar)
    intake = BatchConsumer(base.nats, dead_letters.OPTIONS, DeadLetterIntake(store.keep), publisher=base.publisher)
    base.app.task("dead letters", intake.run(stopping), until=Step.STOP_PULLING, patience=_PATIENCE)
    alerts = OperatorAlerts(store, await wire_operators(base), base.settings.operator_pause)
    base.app.task("last tries", _repeated(_LAST_TRIES_EVERY, partial(try_last, store)), until=Step.STOP_PULLING)
    base.app.task("operators", _repeated(_OPERATORS_EVERY, alerts.tell), until=Step.STOP_PULLING)
    handle = redelivery.Redelivery(stores.notifications, stores.subscriptions, stores.invoices, base.tenants)
    consumer = Consumer(base.nats, redelivery.OPTIONS, handle, publisher=base.publisher)
    base.app.task("redelivery", consumer.run(stopping), until=Step.STOP_PULLING, patience=_PATIENCE)


async def wire_operators(base: Base) -> Mapping[str, Way]:
    """The ways to operators that are configured, by what they are called in the log."""
    settings, ways = base.settings, dict[str, Way]()
    composer = Composer(settings.mail_from, settings.mail_from_name)
    for address in settings.operator_addresses():
        assert base.mailer is not None, "verified by the settings"
        ways[f"e-mail {address}"] = OperatorEmail(EmailChannel(base.mailer, composer), address)
    if settings.operator_webhook:
        client = HttpClient(base.guard, timeout=settings.webhook_timeout, connections=2)
        channel = WebhookChannel(await base.app.enter(client))
        secret = settings.operator_webhook_secret.get_secret_value()
        ways["webhook"] = OperatorWebhook(channel, settings.operator_webhook, secret)
    return ways


async def wire_retention(base: Base, wakes: Wakes) -> None:
    """What other processes announce, and what must not grow for ever."""
    heard = {
        "notification_subscriptions": wakes.feed.poke,
        "notification_invoices": wakes.invoicing.poke,
        "notification_reminders": wakes.reminders.poke,
    }
    wake = {channel: partial(_poked, poke) for channel, poke in heard.items()}
    wake["notification_work"] = partial(_lane_poked, wakes.lanes)
    dsn = base.settings.postgres_dsn.get_secret_value()
    listening = listen(dsn, SERVICE, f"tocsin-{SERVICE}-listener", wake, lost="listener.lost")
    base.app.task("listener", listening, until=Step.STOP_PULLING)
    merge = partial(merge_counts, base.database, base.tenants.names)
    base.app.task("retention", _repeated(_RETENTION_EVERY, partial(_prune, base)), until=Step.STOP_PULLING)
    base.app.task("statistics", _repeated(_MERGE_EVERY, merge), until=Step.STOP_PULLING)


def _poked(poke: Callable[[], None], _payload: str | None) -> None:
    poke()


def _lane_poked(lanes: Lanes, payload: str | None) -> None:
    # Without a payload after a reconnect: anything may have been announced meanwhile.
    lanes.poke([Lane[payload]] if payload and payload in Lane.__members__ else tuple(Lane))


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
        timeout=settings.smtp_timeout,
    )


async def _prune(base: Base) -> None:
    await prune_all(base.database, base.clock, base.settings.retentions(), letters=base.settings.retention)
    await dead_letters.clear(base.nats)


async def _repeated(every: timedelta, act: Callable[[], Awaitable[object]]) -> None:
    """Does it for ever; what cannot be done now is done the next time."""
    while True:
        await asyncio.sleep(every.total_seconds())
        try:
            await act()
        except DomainError as error:
            log.warning("upkeep.postponed", task=getattr(act, "__name__", repr(act)), error=error.message)
