"""Debt files, debts, and the ways by which files come."""

import threading
from datetime import timedelta

from services.chassis.app import Step
from services.chassis.nats import (
    BatchConsumer,
)
from services.chassis.object_storage import open_bucket
from services.ingestion.adapters.grpc.debt_statuses import DebtServicer
from services.ingestion.adapters.grpc.debt_uploads import DebtUploadServicer
from services.ingestion.adapters.grpc.debts import DebtFileServicer
from services.ingestion.adapters.locales import signs_of
from services.ingestion.adapters.nats import invoice_changes
from services.ingestion.adapters.nats.invoice_cancellation import NatsInvoiceCancellation
from services.ingestion.adapters.nats.invoice_changes import InvoiceChanges
from services.ingestion.adapters.nats.invoice_erasure import NatsInvoiceErasure
from services.ingestion.adapters.postgres.announced_uploads import PostgresUploads
from services.ingestion.adapters.postgres.bucket_uploads import PostgresBucketUploads
from services.ingestion.adapters.postgres.debt_erasures import PostgresDebtErasures
from services.ingestion.adapters.postgres.debt_files import PostgresDebtFiles
from services.ingestion.adapters.postgres.debt_profiles import PostgresDebtProfiles
from services.ingestion.adapters.postgres.debt_retention import PostgresDebtRetention
from services.ingestion.adapters.postgres.debt_statuses import PostgresDebtStatuses
from services.ingestion.adapters.postgres.debts import PostgresDebts
from services.ingestion.adapters.postgres.upload_parts import PostgresUploadParts
from services.ingestion.adapters.workbooks import Workbooks
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
from services.ingestion.bootstrap.base import Base
from services.ingestion.domain.debts.announced_upload import UploadWay
from services.ingestion.domain.debts.reject_limit import RejectLimit
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import add_DebtFileServiceServicer_to_server
from tocsin.ingestion.v1.debt_service_pb2_grpc import add_DebtServiceServicer_to_server
from tocsin.ingestion.v1.debt_upload_service_pb2_grpc import add_DebtUploadServiceServicer_to_server

_WHOLE_AT_A_TIME = 2
"""Uploads that came in parts and are processed; other ways to send a file have places left."""


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
