"""Puts ingestion together: the only place where its parts meet. One `wire_<area>` function for each area."""

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from services.chassis.app import App, Step
from services.chassis.errors import DomainError
from services.chassis.nats import (
    BatchConsumer,
    Consumer,
    ConsumerOptions,
    NatsConnection,
    Publisher,
    handler_reports,
    open_nats,
)
from services.chassis.nats.topology import EDGE, PAYLOADS, VIDEOS
from services.chassis.net_guard import AddressGuard
from services.chassis.object_storage import open_bucket
from services.chassis.postgres import Database, Outbox, OutboxRelay, PoolOptions, open_database, prune
from services.chassis.telemetry.logs import get_logger
from services.ingestion.adapters.grpc.alerts import AlertServicer
from services.ingestion.adapters.grpc.catalogue import CatalogueServicer
from services.ingestion.adapters.grpc.debt_statuses import DebtServicer
from services.ingestion.adapters.grpc.debt_uploads import DebtUploadServicer
from services.ingestion.adapters.grpc.debts import DebtFileServicer
from services.ingestion.adapters.grpc.payloads import PayloadServicer
from services.ingestion.adapters.grpc.readings import ReadingServicer
from services.ingestion.adapters.locales import signs_of
from services.ingestion.adapters.nats import invoice_changes
from services.ingestion.adapters.nats.broker import Broker
from services.ingestion.adapters.nats.counting_values import NatsCountingValues
from services.ingestion.adapters.nats.intake_marks import IntakeMarks
from services.ingestion.adapters.nats.invoice_cancellation import NatsInvoiceCancellation
from services.ingestion.adapters.nats.invoice_changes import InvoiceChanges
from services.ingestion.adapters.nats.invoice_erasure import NatsInvoiceErasure
from services.ingestion.adapters.nats.payloads import CONSUMER as PAYLOAD_CONSUMER
from services.ingestion.adapters.nats.payloads import IN_FLIGHT, RETRY, PayloadIntake
from services.ingestion.adapters.nats.priority_lane import JetStreamPriorityLane
from services.ingestion.adapters.nats.reading_lane import JetStreamReadingLane
from services.ingestion.adapters.nats.video_events import CONSUMER, STATES_TOGETHER, AlertStates
from services.ingestion.adapters.postgres.alerts import PostgresAlerts
from services.ingestion.adapters.postgres.announced_uploads import PostgresUploads
from services.ingestion.adapters.postgres.bucket_uploads import PostgresBucketUploads
from services.ingestion.adapters.postgres.catalogue import PostgresCatalogue
from services.ingestion.adapters.postgres.catalogue_listener import listen
from services.ingestion.adapters.postgres.debt_erasures import PostgresDebtErasures
from services.ingestion.adapters.postgres.debt_files import PostgresDebtFiles
from services.ingestion.adapters.postgres.debt_profiles import PostgresDebtProfiles
from services.ingestion.adapters.postgres.debt_retention import PostgresDebtRetention
from services.ingestion.adapters.postgres.debt_statuses import PostgresDebtStatuses
from services.ingestion.adapters.postgres.debts import PostgresDebts
from services.ingestion.adapters.postgres.idempotency import PostgresIdempotencyKeys
from services.ingestion.adapters.postgres.quarantine import PostgresQuarantine
from services.ingestion.adapters.postgres.rule_change_events import RuleChangeEvents
from services.ingestion.adapters.postgres.upload_parts import PostgresUploadParts
from services.ingestion.adapters.video_guard import MeshVideoGuard
from services.ingestion.adapters.workbooks import Workbooks
from services.ingestion.application.alerts import AlertDesk
from services.ingestion.application.catalogue import CatalogueDesk
from services.ingestion.application.debts.announced_ports import OpenLimits
from services.ingestion.application.debts.announced_uploads import AnnouncedOptions, AnnouncedUploads
from services.ingestion.application.debts.bucket_uploads import BucketOptions, BucketUploads
from services.ingestion.application.debts.erasures import DebtErasures
from services.ingestion.application.debts.files import DebtFiles
from services.ingestion.application.debts.profiles import DebtProfiles
from services.ingestion.application.debts.resumable_uploads import AppendOptions, ResumableUploads
from services.ingestion.application.debts.retention import DebtRetention, RetentionOptions
from services.ingestion.application.debts.rollbacks import DebtRollbacks
from services.ingestion.application.debts.statuses import DebtStatuses
from services.ingestion.application.debts.uploads import DebtUploads, UploadOptions
from services.ingestion.application.debts.whole_uploads import Content, WholeUploads
from services.ingestion.application.payloads import Payloads
from services.ingestion.application.reading_group_commit import ReadingGroupCommit, ReadingGroupCommitOptions
from services.ingestion.application.readings import Readings
from services.ingestion.application.series_directory import DirectoryOptions, SeriesDirectory
from services.ingestion.domain.debts.announced_upload import UploadWay
from services.ingestion.domain.debts.reject_limit import RejectLimit
from services.ingestion.domain.reading import TimeLimits
from services.ingestion.settings import IngestionSettings
from tocsin.ingestion.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server
from tocsin.ingestion.v1.catalogue_service_pb2_grpc import add_CatalogueServiceServicer_to_server
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import add_DebtFileServiceServicer_to_server
from tocsin.ingestion.v1.debt_service_pb2_grpc import add_DebtServiceServicer_to_server
from tocsin.ingestion.v1.debt_upload_service_pb2_grpc import add_DebtUploadServiceServicer_to_server
from tocsin.ingestion.v1.payload_service_pb2_grpc import add_PayloadServiceServicer_to_server
from tocsin.ingestion.v1.reading_service_pb2_grpc import add_ReadingServiceServicer_to_server

SERVICE = "ingestion"
SOURCE = "tocsin/ingestion"
_PRUNE_EVERY = timedelta(minutes=10)
_WHOLE_AT_A_TIME = 2
"""Uploads that came in parts and are processed; other ways to send a file have places left."""

log = get_logger(__name__)


@dataclass(frozen=True)
class Base:
    """What every area stands on."""

    app: App
    settings: IngestionSettings
    database: Database
    nats: NatsConnection
    publisher: Publisher
    broker: Broker
    outbox: Outbox
    directory: SeriesDirectory
    catalogue: PostgresCatalogue

    @property
    def limits(self) -> TimeLimits:
        """How far from now an event time may lie."""
        return TimeLimits(self.settings.future_tolerance, self.settings.retention)


async def bootstrap(app: App, settings: IngestionSettings) -> None:
    """Opens the stores and fills the server; the server starts when this returns."""
    base = await wire_base(app, settings)
    wire_catalogue(base)
    group_commit = wire_group_commit(base)
    keys = wire_readings(base, group_commit)
    wire_payloads(base, group_commit)
    wire_alerts(base)
    await wire_debts(base)
    wire_debt_retention(base)
    wire_upkeep(base, keys)


async def wire_base(app: App, settings: IngestionSettings) -> Base:
    """Connections, outbox, and the directory of series."""
    dsn = settings.postgres_dsn.get_secret_value()
    options = PoolOptions(max_size=settings.database_pool)
    database = await app.enter(
        open_database(dsn, schema=SERVICE, application_name=f"tocsin-{SERVICE}", options=options)
    )
    nats = await app.enter(
        open_nats(
            settings.nats_url,
            name=SERVICE,
            user=settings.nats_user or None,
            password=settings.nats_password.get_secret_value() or None,
            prefix=settings.nats_prefix,
        )
    )
    publisher = Publisher(nats, source=SOURCE, timeout=settings.publish_timeout)
    await app.enter(handler_reports.answering(nats, SERVICE))
    broker = Broker(nats, publisher, patience=settings.publish_timeout)
    outbox = Outbox(source=SOURCE)
    catalogue = PostgresCatalogue(database, RuleChangeEvents(database, outbox, partitions=settings.partitions))
    directory = SeriesDirectory(
        catalogue,
        DirectoryOptions(
            auto_register=settings.auto_register,
            max_auto_registered=settings.max_auto_registered,
            partitions=settings.partitions,
        ),
    )
    await directory.reload()
    if app.worker == 0:
        await catalogue.tell_sensor_types()
    app.check("postgres", database.ping)
    marks = IntakeMarks(nats, SERVICE)
    app.check("nats", marks.write)
    app.server.health.add_caller(EDGE, marks.asked_by_edge)
    app.task("nats", _watch(nats), until=Step.DRAIN_NATS)
    app.task("catalogue listener", listen(dsn, SERVICE, directory.reload), until=Step.STOP_PULLING)
    relay = OutboxRelay(dsn, schema=SERVICE, publisher=publisher)
    app.task("outbox", relay.run(app.stopping), patience=timedelta(seconds=5))
    return Base(app, settings, database, nats, publisher, broker, outbox, directory, catalogue)


def wire_catalogue(base: Base) -> None:
    """Sensor types, buildings, rooms, devices."""
    desk = CatalogueDesk(base.catalogue, base.directory)
    add_CatalogueServiceServicer_to_server(CatalogueServicer(desk), base.app.server.registrar)


def wire_group_commit(base: Base) -> ReadingGroupCommit:
    """The way of readings to JetStream; it empties itself after the server has stopped."""
    settings = base.settings
    group_commit = ReadingGroupCommit(
        JetStreamReadingLane(base.broker),
        NatsCountingValues(base.nats),
        ReadingGroupCommitOptions(
            partitions=settings.partitions,
            linger=settings.linger,
            max_batch_rows=settings.max_batch_rows,
            max_batch_bytes=settings.max_batch_size,
            max_pending_bytes=settings.max_pending,
            admission_timeout=settings.admission_timeout,
            queue_timeout=2 * settings.publish_timeout,
        ),
    )
    base.app.task("readings", group_commit.run())
    base.app.at_stop(Step.FINISH, "readings pending", group_commit.close, within=2 * settings.publish_timeout)
    return group_commit


def wire_readings(base: Base, group_commit: ReadingGroupCommit) -> PostgresIdempotencyKeys:
    """Canonical readings."""
    keys = PostgresIdempotencyKeys(base.database, base.settings.idempotency_lifetime)
    readings = Readings(base.directory, group_commit, keys, clock=clock, limits=base.limits)
    servicer = ReadingServicer(readings, stream_in_flight=base.settings.stream_in_flight)
    add_ReadingServiceServicer_to_server(servicer, base.app.server.registrar)
    return keys


def wire_payloads(base: Base, group_commit: ReadingGroupCommit) -> None:
    """Vendor payloads, over gRPC and from gateways that speak NATS, and the priority lane."""
    priority = JetStreamPriorityLane(base.broker)
    quarantine = PostgresQuarantine(base.database, limit=base.settings.quarantine_most)
    payloads = Payloads(base.directory, group_commit, priority, quarantine, clock=clock, limits=base.limits)
    add_PayloadServiceServicer_to_server(PayloadServicer(payloads), base.app.server.registrar)
    options = ConsumerOptions(
        service=SERVICE, name=PAYLOAD_CONSUMER, stream=PAYLOADS, max_in_flight=IN_FLIGHT, retry=RETRY
    )
    consumer = Consumer(base.nats, options, PayloadIntake(payloads).take, publisher=base.publisher)
    base.app.task("payloads", consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=timedelta(seconds=12))


def wire_alerts(base: Base) -> None:
    """Video alerts, and the consumer that follows what becomes of their videos."""
    settings = base.settings
    guard = MeshVideoGuard(AddressGuard(mesh=settings.mesh_addresses()))
    desk = AlertDesk(PostgresAlerts(base.database, base.outbox), settings.video_targets(), guard)
    add_AlertServiceServicer_to_server(AlertServicer(desk), base.app.server.registrar)
    options = ConsumerOptions(service=SERVICE, name=CONSUMER, stream=VIDEOS, max_in_flight=STATES_TOGETHER)
    handler = AlertStates(base.database)
    consumer = BatchConsumer(base.nats, options, handler.take, publisher=base.publisher)
    base.app.task(
        "alert states", consumer.run(base.app.stopping), until=Step.STOP_PULLING, patience=timedelta(seconds=12)
    )


async def wire_debts(base: Base) -> None:
    """Debt files; those of dead processes are gone on with, or failed. What is being processed at a stop ends after its
    block."""
    settings, app = base.settings, base.app
    store = PostgresDebtFiles(base.database, base.outbox, event_debts=settings.debt_event_size)
    profiles = DebtProfiles(PostgresDebtProfiles(base.database), signs_of)
    uploads = DebtUploads(
        store,
        profiles,
        Workbooks(settings.debt_workbook_memory, threading.Lock()),
        UploadOptions(
            max_file=settings.debt_max_file,
            max_uploads=settings.debt_max_uploads,
            block=settings.debt_block,
            idle=settings.debt_idle,
            least_rate=settings.debt_least_rate,
            receive_within=settings.debt_receive_within,
            lease=settings.debt_lease,
            resume_within=settings.debt_resume_within,
            spool=settings.debt_spool,
            reject_limit=RejectLimit.parse(settings.debt_reject_limit),
            currency=settings.debt_currency,
            due_past=settings.debt_due_past,
            due_ahead=settings.debt_due_ahead,
        ),
    )
    debts, statuses = PostgresDebts(base.database), PostgresDebtStatuses(base.database, base.outbox)
    rollbacks = DebtRollbacks(store, debts, NatsInvoiceCancellation(base.nats))
    app.at_stop(Step.STOP_PULLING, "rollbacks of debt files", rollbacks.close)
    app.task("rollbacks of debt files", rollbacks.finish(), until=Step.STOP_PULLING)
    announced = PostgresUploads(base.database)
    await wire_announced_uploads(base, announced, store, uploads, profiles)
    desk = DebtFiles(store, announced, debts, app.server.stopping)
    servicer = DebtFileServicer(uploads, desk, rollbacks, profiles)
    add_DebtFileServiceServicer_to_server(servicer, app.server.registrar)
    erasures = DebtErasures(PostgresDebtErasures(base.database), NatsInvoiceErasure(base.nats))
    app.at_stop(Step.STOP_PULLING, "erasures", erasures.close)
    app.task("erasures", erasures.finish(), until=Step.STOP_PULLING)
    add_DebtServiceServicer_to_server(DebtServicer(DebtStatuses(statuses), erasures), app.server.registrar)
    consumer = BatchConsumer(
        base.nats, invoice_changes.OPTIONS, InvoiceChanges(statuses).take, publisher=base.publisher
    )
    app.task("debt statuses", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=timedelta(seconds=12))
    app.at_stop(Step.STOP_PULLING, "debt files", uploads.close, within=timedelta(seconds=10))
    app.task("abandoned debt files", uploads.watch_abandoned(), until=Step.STOP_PULLING)


async def wire_announced_uploads(
    base: Base, store: PostgresUploads, files: PostgresDebtFiles, uploads: DebtUploads, profiles: DebtProfiles
) -> None:
    """Debt files whose bytes come apart from the call that announces them."""
    settings, app = base.settings, base.app
    limits = OpenLimits(settings.debt_open_uploads_of_caller, settings.debt_open_uploads, settings.debt_parts_size)
    options = AnnouncedOptions(
        ttl=settings.debt_upload_ttl,
        resumable_ttl=settings.debt_resumable_ttl,
        max_ttl=settings.debt_upload_max_ttl,
        max_file=settings.debt_max_file,
        limits=limits,
        public_url=settings.public_url,
    )
    parts = PostgresUploadParts(base.database)
    contents: dict[UploadWay, Content] = {UploadWay.RESUMABLE: parts.content}
    whole = WholeUploads(store, parts, files, uploads, contents, lease=settings.debt_lease)
    bucket = await wire_bucket(base, whole)
    if bucket is not None:
        contents[UploadWay.BUCKET] = bucket.content
    announced = AnnouncedUploads(store, uploads, profiles, settings.upload_urls(), bucket, options)
    streams = AppendOptions(
        streams=settings.debt_max_appends, idle=settings.debt_idle, within=settings.debt_receive_within
    )
    resumable = ResumableUploads(announced, parts, whole.wake, streams)
    add_DebtUploadServiceServicer_to_server(DebtUploadServicer(announced, resumable), app.server.registrar)
    for worker in range(_WHOLE_AT_A_TIME):
        app.task(f"whole uploads {worker}", whole.run(), until=Step.STOP_PULLING)
    if app.worker == 0:
        app.task("announced debt files", announced.sweep(), until=Step.STOP_PULLING)


def wire_debt_retention(base: Base) -> None:
    """What goes of debt files after its time; one worker process does it."""
    settings = base.settings
    if base.app.worker == 0:
        options = RetentionOptions(settings.debt_reject_retention, settings.debt_file_retention)
        retention = DebtRetention(PostgresDebtRetention(base.database), options)
        base.app.task("retention of debt files", retention.run(), until=Step.STOP_PULLING)


async def wire_bucket(base: Base, whole: WholeUploads) -> BucketUploads | None:
    """The bucket through which debt files come; None without one."""
    settings, app = base.settings, base.app
    address = settings.object_storage(settings.debt_bucket)
    if address is None:
        return None
    bucket = await app.enter(open_bucket(address, agent="tocsin"))
    options = BucketOptions(
        prefix=settings.debt_bucket_prefix, poll=settings.debt_bucket_poll, kept=settings.debt_bucket_kept
    )
    uploads = BucketUploads(PostgresBucketUploads(base.database), bucket, whole.wake, options)
    if app.worker == 0:
        app.task("bucket of debt files", uploads.run(), until=Step.STOP_PULLING)
    return uploads


def wire_upkeep(base: Base, keys: PostgresIdempotencyKeys) -> None:
    """What is thrown away after its time; one worker process does it."""
    if base.app.worker == 0:
        base.app.task("upkeep", _upkeep(base.database, keys), until=Step.STOP_PULLING)


def clock() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


async def _watch(nats: NatsConnection) -> None:
    """Ends, and with it the process, when the broker has refused us for good."""
    await nats.wait_lost()


async def _upkeep(database: Database, keys: PostgresIdempotencyKeys) -> None:
    while True:
        try:
            await keys.prune()
            async with database.connection() as connection:
                while await prune(connection):
                    pass
        except DomainError as error:
            log.warning("upkeep failed", error=repr(error))
        await asyncio.sleep(_PRUNE_EVERY.total_seconds())
