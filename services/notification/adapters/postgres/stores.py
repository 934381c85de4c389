"""All stores on the service's database."""

from dataclasses import dataclass
from datetime import timedelta

from services.chassis.postgres import Database, Outbox
from services.notification.adapters.nats.events import SOURCE
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.dead_letters import PostgresDeadLetters
from services.notification.adapters.postgres.debt_decisions import PostgresDebtDecisions
from services.notification.adapters.postgres.endpoints import PostgresEndpoints
from services.notification.adapters.postgres.invoice_changes import InvoiceChanges
from services.notification.adapters.postgres.invoice_erasures import PostgresInvoiceErasures
from services.notification.adapters.postgres.invoices import PostgresInvoices
from services.notification.adapters.postgres.notifications import PostgresNotifications
from services.notification.adapters.postgres.plans import PostgresPlans
from services.notification.adapters.postgres.receipts import PostgresReceipts
from services.notification.adapters.postgres.reminder_queue import PostgresReminderQueue
from services.notification.adapters.postgres.reminders import PostgresReminders
from services.notification.adapters.postgres.statistics import PostgresNotificationCounts
from services.notification.adapters.postgres.subscriptions import PostgresSubscriptions
from services.notification.domain.rate_limit import RateLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """`lease` is for deliveries; a subscription with nothing but failures for `disable_after` is disabled."""

    limit: RateLimit
    lease: timedelta
    disable_after: timedelta
    invoice_lease: timedelta
    last_try_after: timedelta = timedelta(hours=1)
    reminder_lease: timedelta = timedelta(seconds=30)


class PostgresStores:
    """They share the database, the clock and the outbox."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, options: StoreOptions) -> None:
        self.notifications = PostgresNotifications(
            database,
            clock,
            outbox,
            limit=options.limit,
            lease=options.lease,
            disable_after=options.disable_after,
        )
        self.receipts = PostgresReceipts(database, clock, outbox, patience=options.lease)
        self.counts = PostgresNotificationCounts(database)
        self.endpoints = PostgresEndpoints(database, clock)
        self.plans = PostgresPlans(database, clock)
        self.subscriptions = PostgresSubscriptions(database, clock)
        self.reminders = PostgresReminders(database, clock)
        self.reminder_queue = PostgresReminderQueue(
            database, clock, self.notifications.enqueue_within, lease=options.reminder_lease
        )
        self.invoice_changes = InvoiceChanges(database, outbox)
        self.invoice_erasures = PostgresInvoiceErasures(database, clock, self.invoice_changes)
        self.debt_decisions = PostgresDebtDecisions(database, clock, self.invoice_changes)
        self.invoices = PostgresInvoices(database, clock, outbox, self.invoice_changes, lease=options.invoice_lease)
        self.letters = PostgresDeadLetters(database, clock, SOURCE, options.last_try_after)
