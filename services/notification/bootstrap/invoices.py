"""Invoices of debts."""

from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.app import Step
from services.chassis.errors import Unavailable
from services.chassis.nats import Consumer
from services.chassis.object_storage import open_bucket
from services.chassis.settings import Refused
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.channels.invoice_mails import InvoiceComposer
from services.notification.adapters.channels.mails import Composer
from services.notification.adapters.channels.smtp import SmtpMailer
from services.notification.adapters.grpc.invoices import InvoiceServicer
from services.notification.adapters.nats import debt_decisions, debts
from services.notification.adapters.nats.documents import JetStreamDocuments
from services.notification.adapters.nats.invoice_cancellation import invoice_cancellation_answers
from services.notification.adapters.nats.invoice_erasure import invoice_erasure_answers
from services.notification.adapters.postgres.stores import PostgresStores
from services.notification.adapters.rendering.renderer import SubprocessRenderer
from services.notification.adapters.s3.documents import S3Documents
from services.notification.application.invoice_erasure import InvoiceErasure
from services.notification.application.invoice_links import InvoiceLinks
from services.notification.application.invoice_mailing import InvoiceMailing, MailingOptions
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.application.invoice_retries import InvoiceRetries
from services.notification.application.invoice_work import InvoiceWork, changing
from services.notification.application.invoicing import Invoicing, InvoicingOptions
from services.notification.application.ports.invoices import DocumentStore, Mail, Renderer, RendererEnded, RenderFailed
from services.notification.bootstrap.base import PATIENCE, Base, smtp_options
from services.notification.domain.delivery import UnknownOutcome
from services.notification.domain.invoice import Debt
from services.notification.domain.issuer import Issuer
from services.notification.domain.payment_codes import load_code
from services.notification.settings import NotificationSettings
from tocsin.notification.v1.invoice_service_pb2_grpc import add_InvoiceServiceServicer_to_server

log = get_logger(__name__)
_SURELY_FITS = 60


async def wire_invoices(base: Base, stores: PostgresStores) -> Invoicing:
    """Debts to PDFs to e-mails."""
    settings, app, store = base.settings, base.app, stores.invoices
    documents = await wire_documents(base)
    renderer = await app.enter(wire_renderer(settings))
    await try_issuers(settings, renderer)
    changes = await app.enter(changing(store))
    work = InvoiceWork(store, changes, settings.invoice_lease)
    mailing = await wire_mailing(base, work)
    if mailing is None:
        log.warning("no mail server is configured: invoices are made, their e-mails wait")
    options = InvoicingOptions(batch=settings.invoice_batch, poll=settings.poll)
    invoicing = Invoicing(work, documents, renderer, mailing, options, base.meter)
    app.task("invoicing", invoicing.run(app.stopping), patience=PATIENCE)
    app.task("invoice changes", stores.invoice_changes.run(), until=Step.DRAIN_NATS)
    handle = debts.debts_handler(store, invoicing.poke)
    consumer = Consumer(base.nats, debts.OPTIONS, handle, publisher=base.publisher)
    app.task("debts", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=PATIENCE)
    decide = debt_decisions.decisions_handler(stores.debt_decisions)
    consumer = Consumer(base.nats, debt_decisions.OPTIONS, decide, publisher=base.publisher)
    app.task("debt decisions", consumer.run(app.stopping), until=Step.STOP_PULLING, patience=PATIENCE)
    answers = invoice_cancellation_answers(base.nats, store)
    await answers.start()
    app.at_stop(Step.STOP_PULLING, "invoice cancellation", answers.stop)
    answers = invoice_erasure_answers(base.nats, InvoiceErasure(stores.invoice_erasures, documents))
    await answers.start()
    app.at_stop(Step.STOP_PULLING, "invoice erasure", answers.stop)
    queries = InvoiceQueries(store, documents, renderer)
    links = InvoiceLinks(queries, settings.invoice_urls(), settings.invoice_link_ttl)
    servicer = InvoiceServicer(queries, InvoiceRetries(store), links)
    add_InvoiceServiceServicer_to_server(servicer, app.server.registrar)
    return invoicing


async def wire_documents(base: Base) -> DocumentStore:
    """Where invoices are kept."""
    settings = base.settings
    address = settings.object_storage(settings.invoice_s3_bucket)
    if address is not None:
        kept = S3Documents(await base.app.enter(open_bucket(address, agent="tocsin")), ttl=settings.invoice_ttl)
        if base.app.worker == 0:
            base.app.task("expired invoices", kept.keep_removing(), until=Step.STOP_PULLING)
        return kept
    documents = JetStreamDocuments(
        base.nats, bucket=settings.invoice_bucket, ttl=settings.invoice_ttl, replicas=settings.invoice_replicas
    )
    try:
        await documents.open()
    except Unavailable as error:
        log.warning("documents.later", error=error.message)  # with the first invoice
    return documents


def wire_renderer(settings: NotificationSettings) -> SubprocessRenderer:
    """Who draws invoices."""
    return SubprocessRenderer(
        settings.issuers(),
        language=settings.invoice_language,
        currency=settings.debt_currency,
        processes=settings.render_processes,
        idle=settings.render_idle,
    )


async def try_issuers(settings: NotificationSettings, renderer: Renderer) -> None:
    """Raises Refused for an issuer that cannot be drawn: every invoice would fail."""
    issuers = settings.issuers()
    if settings.invoice_issuer_file is None and issuers[""].name.isascii() and len(issuers[""].name) <= _SURELY_FITS:
        return  # a start need not wait for fonts
    today = datetime.now(UTC).date().isoformat()
    example = Debt(
        id="1", debt_file="1", name="1", government_id="1", email="", amount="1.00", due_date=today, issued=today
    )
    examples = [
        replace(example, issuer=name, currency=load_code(issuer.payment[0]).currency if issuer.payment else "")
        for name, issuer in issuers.items()
    ]
    try:
        drawn = await renderer.render(examples)
    except RendererEnded as error:
        drawn = [RenderFailed(error.message)]
    for name, one in zip(issuers, drawn, strict=False):
        if isinstance(one, RenderFailed):
            field = "invoice_issuer" if settings.invoice_issuer_file is None else "invoice_issuer_file"
            which = f"issuer {name} " if name else ""
            raise Refused(settings.env(field), f"{which}cannot be drawn on invoices: {one}")


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
        together=settings.invoice_mails_together,
        waiting=settings.invoice_batch,
    )
    composers = {name: _composer(base, issuer) for name, issuer in settings.issuers().items()}

    def compose(debt: Debt, pdf: bytes) -> Mail:
        return composers[debt.issuer](debt, pdf)

    return InvoiceMailing(mailer, compose, work, options, base.meter)


def _composer(base: Base, issuer: Issuer) -> InvoiceComposer:
    settings = base.settings
    own = Composer(issuer.sender or settings.mail_from, issuer.sender_name or settings.mail_from_name)
    return InvoiceComposer(
        own if issuer.sender or issuer.sender_name else base.composer,
        sender=issuer.sender,
        issuer=issuer.name,
        links=settings.mailed_links(),
        language=issuer.language or settings.invoice_language,
        currency=settings.debt_currency,
        unsubscribe=settings.invoice_unsubscribe,
    )
