"""Invoices of debts."""

from dataclasses import replace

from services.chassis.app import Step
from services.chassis.group_commit import GroupCommit
from services.chassis.nats import Consumer
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.channels.smtp import SmtpMailer
from services.notification.adapters.grpc.invoices import InvoiceServicer
from services.notification.adapters.nats import debts
from services.notification.adapters.nats.documents import JetStreamDocuments
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.adapters.rendering.renderer import SubprocessRenderer
from services.notification.application.invoice_mailing import InvoiceMailing, MailingOptions
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.application.invoice_retries import InvoiceRetries
from services.notification.application.invoice_work import InvoiceWork
from services.notification.application.invoicing import Invoicing, InvoicingOptions
from services.notification.bootstrap.base import PATIENCE, Base, smtp_options
from services.notification.domain.delivery import UnknownOutcome
from tocsin.notification.v1.invoice_service_pb2_grpc import add_InvoiceServiceServicer_to_server

log = get_logger(__name__)


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
    work = InvoiceWork(store, changing, settings.invoice_lease)
    mailing = await wire_mailing(base, work)
    if mailing is None:
        log.warning("no mail server is configured: invoices are made, their e-mails wait")
    options = InvoicingOptions(batch=settings.invoice_batch, poll=settings.poll)
    invoicing = Invoicing(work, documents, renderer, mailing, options, base.meter)
    app.task("invoicing", invoicing.run(app.stopping), patience=PATIENCE)
    handle = debts.debts_handler(store, invoicing.poke)
    consumer = Consumer(base.nats, debts.OPTIONS, handle, publisher=base.publisher)
    app.task("debts", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=PATIENCE)
    servicer = InvoiceServicer(InvoiceQueries(store, documents), InvoiceRetries(store))
    add_InvoiceServiceServicer_to_server(servicer, app.server.registrar)
    return invoicing


async def wire_mailing(base: Base, work: InvoiceWork) -> InvoiceMailing | None:
    """The way of invoices to the mail server, apart from that of notifications: what takes minutes here holds up
    nothing there. None without a mail server."""
    settings = base.settings
    if not settings.smtp_host:
        return None
    smtp = replace(smtp_options(settings), connections=settings.invoice_mailers, timeouts=settings.invoice_timeouts())
    mailer = await base.app.enter(SmtpMailer(smtp))
    options = MailingOptions(
        schedule=settings.invoice_schedule(),
        unknown=UnknownOutcome(settings.invoice_unknown),
        unknown_wait=settings.invoice_unknown_wait,
        mailers=settings.invoice_mailers,
        waiting=settings.invoice_batch,
    )
    return InvoiceMailing(mailer, base.composer.invoice, work, options, base.meter)
