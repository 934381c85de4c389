"""The stores of the notification service, in memory and for real, beside a clock that a test moves."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio

from services.chassis.nats.topology import INVOICES_CHANGED_SUBJECT
from services.chassis.postgres import Database, Outbox, open_database
from services.chassis.postgres.bundles import unpack
from services.notification.adapters.memory.deliveries import InMemoryDeliveries
from services.notification.adapters.memory.endpoints import InMemoryEndpoints
from services.notification.adapters.memory.invoices import InMemoryInvoices
from services.notification.adapters.memory.notifications import InMemoryNotifications
from services.notification.adapters.memory.plans import InMemoryPlans
from services.notification.adapters.memory.receipts import InMemoryReceipts
from services.notification.adapters.memory.reminders import InMemoryReminders
from services.notification.adapters.memory.state import State
from services.notification.adapters.memory.subscriptions import InMemorySubscriptions
from services.notification.adapters.nats.events import DELIVERY_HEADER
from services.notification.adapters.postgres.statistics import merge_counts
from services.notification.adapters.postgres.stores import PostgresStores, StoreOptions
from services.notification.adapters.postgres.tenants import migrate_tenants, schema_of
from services.notification.application.claimed_delivery import Claimed, Completion
from services.notification.application.places import open_room
from services.notification.application.ports.channel_plans import PlanStore
from services.notification.application.ports.deliveries import DeliveryQueue
from services.notification.application.ports.endpoints import EndpointStore
from services.notification.application.ports.invoices import DebtDecisions, InvoiceErasures, InvoiceStore
from services.notification.application.ports.notifications import Enqueued, NotificationStore
from services.notification.application.ports.receipts import ReceiptStore
from services.notification.application.ports.webhooks import SubscriptionStore
from services.notification.application.reminders.ports import ReminderQueue, ReminderStore
from services.notification.application.statistics import NotificationCounts
from services.notification.domain.channel_plan import NOBODY, Plan, Route, Step, legs_from, lost
from services.notification.domain.delivery import Decision, Failure, FailureKind
from services.notification.domain.invoice import InvoiceState, StateChange
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName, Draft, Notification, Type
from services.notification.domain.rate_limit import RateLimit
from services.notification.domain.webhook import Subscription
from tests.support.notification import MIGRATIONS, TENANTS, ManualClock
from tests.support.postgres import PostgresServer
from tocsin.events.v1 import invoices_pb2, notifications_pb2

LIMIT = RateLimit(3, timedelta(minutes=1))
LEASE = timedelta(seconds=30)
BUSY = Failure(kind=FailureKind.TRANSIENT, code="HTTP_503", message="busy")
SENT = Decision(sent=True, reached=True)
GIVEN_UP = Decision(sent=False, failure=BUSY)
_OWN = ("notifications", "notification_counts", "endpoints", "idempotency_keys", "channel_plans", "receipts")
_SHARED = (
    "reminders",
    "reminder_occurrences",
    "deliveries",
    "rate_slots",
    "webhook_subscriptions",
    "invoices",
    "cancelled_debt_files",
    "invoice_changes",
    "dead_letters",
    "inbox",
    "outbox",
)


GONE = Decision(sent=False, failure=Failure(kind=FailureKind.PERMANENT, code="GONE", message="no"), gone=True)
CONSOLE = Route((Step(ChannelName.CONSOLE),), legs_from((Step(ChannelName.CONSOLE),), 0, {}))
"""To the console, which was asked for."""


def again(seconds: float = 2, *, reached: bool = False) -> Decision:
    """To be tried again."""
    return Decision(sent=False, wait=timedelta(seconds=seconds), failure=BUSY, reached=reached)


def draft(
    title: str = "Fire", *, user: str = "ada", tenant: str = "test", key: str = "", body: str = "", urgent: bool = False
) -> Draft:
    """A notification to be sent."""
    return Draft(tenant=tenant, user=user, type=Type.ALERT, title=title, body=body, idempotency_key=key, urgent=urgent)


@dataclass
class Rig(ABC):
    """The stores that belong together."""

    clock: ManualClock
    notifications: NotificationStore
    queue: DeliveryQueue
    endpoints: EndpointStore
    subscriptions: SubscriptionStore
    invoices: InvoiceStore
    decisions: DebtDecisions
    erasures: InvoiceErasures
    counts: NotificationCounts
    reminders: ReminderStore
    reminder_queue: ReminderQueue
    plans: PlanStore
    receipts: ReceiptStore

    @abstractmethod
    async def merge_counts(self) -> None:
        """Sums up what has been counted."""

    @abstractmethod
    async def told(self) -> list[tuple[str, str, int]]:
        """The status changes that left: notification, status, version."""

    @abstractmethod
    async def told_invoices(self) -> list[StateChange]:
        """The changes of invoices that left, by debt and version."""

    @abstractmethod
    async def letters(self) -> list[tuple[str, list[str]]]:
        """The dead letters that left: what they are about, and the codes of the attempts."""

    def advance(self, seconds: float) -> None:
        """Moves the clock."""
        self.clock.time += timedelta(seconds=seconds)

    async def route(self, draft: Draft, channel: ChannelName = ChannelName.CONSOLE, *plan: Step) -> Route:
        """By one channel, or by a plan; to nobody where the user has no address."""
        contacts = await self.endpoints.contacts([(draft.tenant, draft.user)])
        known = contacts.get((draft.tenant, draft.user), NOBODY)
        steps = plan or (Step(channel),)
        return Route(steps, legs) if (legs := legs_from(steps, 0, known.addresses)) else lost(steps)

    async def enqueue(
        self, *drafts: Draft, channel: ChannelName = ChannelName.CONSOLE, plan: Plan = ()
    ) -> list[Notification]:
        """Accepts new notifications in one call."""
        outcomes = await self.notifications.enqueue([(one, await self.route(one, channel, *plan)) for one in drafts])
        assert all(isinstance(outcome, Enqueued) and not outcome.existing for outcome in outcomes), outcomes
        return [outcome.notification for outcome in outcomes if isinstance(outcome, Enqueued)]

    async def claim(self, limit: int = 100, *lanes: Lane) -> list[Claimed]:
        """What can be claimed now, of all lanes or some."""
        claimed: list[Claimed] = []
        for lane in lanes or Lane:
            claimed += (await self.queue.claim(open_room(lane, limit - len(claimed)))).claimed
        return claimed

    async def next_due(self) -> timedelta | None:
        """In how long the next one is due, where there is nothing to be claimed."""
        claims = [await self.queue.claim(open_room(lane, 9)) for lane in Lane]
        assert not any(one.claimed for one in claims)
        return min((one.next_due for one in claims if one.next_due is not None), default=None)

    async def complete(self, decision: Decision, *claimed: Claimed) -> Sequence[Notification | None]:
        """The same decision for all."""
        return await self.queue.complete([Completion(one, decision) for one in claimed])

    async def subscribe(self, *types: str) -> Subscription:
        """A new subscription."""
        self._number = getattr(self, "_number", 0) + 1
        made = Subscription(
            id=f"01a20270-b1bf-701a-bb2a-{self._number:012d}",
            url=f"https://example.org/{self._number}",
            event_types=types,
            created_at=self.clock.time,
            secret="whsec_s",
        )
        return await self.subscriptions.add(made, nothing)


async def nothing() -> None:
    """Prepares nothing."""


class MemoryRig(Rig):
    """On one state."""

    def __init__(self, disable_after: timedelta) -> None:
        clock = ManualClock()
        self.state = State(now=lambda: clock.time, limit=LIMIT, lease=LEASE, disable_after=disable_after)
        self.kept = InMemoryInvoices(lambda: clock.time, lease=LEASE)
        notifications = InMemoryNotifications(self.state)
        reminders = InMemoryReminders(self.state, lease=LEASE)
        super().__init__(
            clock=clock,
            notifications=notifications,
            counts=notifications,
            queue=InMemoryDeliveries(self.state),
            endpoints=InMemoryEndpoints(self.state),
            subscriptions=InMemorySubscriptions(self.state),
            invoices=self.kept,
            decisions=self.kept,
            erasures=self.kept,
            reminders=reminders,
            reminder_queue=reminders,
            plans=InMemoryPlans(self.state),
            receipts=InMemoryReceipts(self.state, patience=LEASE),
        )

    async def merge_counts(self) -> None:
        """Nothing is summed up here."""

    async def told(self) -> list[tuple[str, str, int]]:
        """See Rig."""
        return [(one.id, one.status, one.version) for one in self.state.told]

    async def told_invoices(self) -> list[StateChange]:
        """See Rig."""
        return sorted(self.kept.told, key=lambda one: (one.debt, one.version))

    async def letters(self) -> list[tuple[str, list[str]]]:
        """See Rig."""
        left = [*self.state.letters, *self.kept.letters]
        return [(letter.about, [attempt.code for attempt in letter.history]) for letter in left]


class PostgresRig(Rig):
    """On one database, which must be empty."""

    def __init__(self, database: Database, disable_after: timedelta) -> None:
        clock = ManualClock()
        options = StoreOptions(
            limit=LIMIT, lease=LEASE, disable_after=disable_after, invoice_lease=LEASE, reminder_lease=LEASE
        )
        stores = PostgresStores(database, clock, Outbox(source="tocsin/tests"), options)
        self.database, self._invoice_changes = database, stores.invoice_changes
        super().__init__(
            clock=clock,
            notifications=stores.notifications,
            queue=stores.notifications,
            endpoints=stores.endpoints,
            subscriptions=stores.subscriptions,
            invoices=stores.invoices,
            decisions=stores.debt_decisions,
            erasures=stores.invoice_erasures,
            counts=stores.counts,
            reminders=stores.reminders,
            reminder_queue=stores.reminder_queue,
            plans=stores.plans,
            receipts=stores.receipts,
        )

    async def merge_counts(self) -> None:
        """See Rig."""
        await merge_counts(self.database, TENANTS)

    async def told(self) -> list[tuple[str, str, int]]:
        """See Rig."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT payload, headers::text AS headers FROM outbox WHERE bundled ORDER BY id"
            )
        encoded = [one for row in rows for one in unpack(row["payload"], row["headers"])]
        events = [notifications_pb2.NotificationStatusChanged.FromString(one.payload) for one in encoded]
        return [(event.notification, event.status, event.version) for event in events]

    async def told_invoices(self) -> list[StateChange]:
        """See Rig."""
        while await self._invoice_changes.tell():
            pass
        async with self.database.connection() as connection:
            found = await connection.fetch("SELECT payload FROM outbox WHERE subject = $1", INVOICES_CHANGED_SUBJECT)
        told = [
            StateChange(
                debt=one.debt,
                debt_file=event.debt_file,
                version=one.version,
                state=InvoiceState(one.state),
                doubtful=one.doubtful,
                code=one.code,
            )
            for event in (invoices_pb2.InvoicesChanged.FromString(row["payload"]) for row in found)
            for one in event.changes
        ]
        return sorted(told, key=lambda one: (one.debt, one.version))

    async def letters(self) -> list[tuple[str, list[str]]]:
        """See Rig."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT headers->>$1 AS about, headers->>'Tocsin-Dead-History' AS history FROM outbox "
                "WHERE NOT bundled AND headers ? $1 ORDER BY id",
                DELIVERY_HEADER,
            )
        return [(row["about"], [code for _, code, _ in json.loads(row["history"])]) for row in rows]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_dsn(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """One database for all tests here; each finds it empty."""
    async with postgres_server.database({"notification": MIGRATIONS}) as dsn:
        await migrate_tenants(dsn, TENANTS)
        yield dsn


@pytest.fixture
async def database(shared_dsn: str) -> AsyncIterator[Database]:
    """The shared database, emptied."""
    tables = [*_SHARED, *(f'"{schema_of(tenant)}".{table}' for tenant in TENANTS for table in _OWN)]
    async with open_database(shared_dsn, schema="notification", application_name="tests") as database:
        async with database.connection() as connection:
            await connection.execute("; ".join(f"DELETE FROM {table}" for table in tables))
            await connection.execute("DELETE FROM dead_letter_alerts; INSERT INTO dead_letter_alerts DEFAULT VALUES")
        yield database


OpenRig = Callable[..., Rig]


@pytest.fixture(params=["memory", "postgres"])
def open_rig(request: pytest.FixtureRequest) -> OpenRig:
    """`open_rig(disable_after=...)`: empty stores on one adapter; once for a test."""
    database: Database | None = None if request.param == "memory" else request.getfixturevalue("database")

    def make(disable_after: timedelta = timedelta(days=5)) -> Rig:
        return MemoryRig(disable_after) if database is None else PostgresRig(database, disable_after)

    return make


@pytest.fixture
def rig(open_rig: OpenRig) -> Rig:
    """Empty stores on one adapter."""
    return open_rig()
