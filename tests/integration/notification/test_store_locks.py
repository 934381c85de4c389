"""The stores of several replicas on one database: who waits for whom, and what a failure leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.chassis.postgres import Database, Outbox, open_database
from services.notification.adapters.postgres.clock import DatabaseClock
from services.notification.adapters.postgres.retention import prune_all
from services.notification.adapters.postgres.stores import PostgresStores, StoreOptions
from services.notification.adapters.postgres.tenants import migrate_tenants
from services.notification.application.claimed_delivery import Completion
from services.notification.application.places import open_room
from services.notification.application.ports.webhooks import PublicEvent
from services.notification.domain.channel_plan import Route, Step, legs_from
from services.notification.domain.delivery import Decision, Failure, FailureKind
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName, Draft, Type
from services.notification.domain.rate_limit import RateLimit
from services.notification.domain.webhook import Subscription
from tests.support.eventually import eventually
from tests.support.notification import TENANTS

PROBED = "tocsin.events.v1.VideoProbed"
FIRST, SECOND = (f"01a20270-b1bf-701a-bb2a-{number:012d}" for number in (1, 2))
BUSY = Failure(kind=FailureKind.TRANSIENT, code="HTTP_503", message="busy")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """With the schemas of tenants, and no service."""
    await migrate_tenants(dsn, TENANTS)
    async with open_database(dsn, schema="notification", application_name="tests") as opened:
        yield opened


@pytest.fixture
def stores(database: Database) -> PostgresStores:
    """Those of one replica."""
    lease = timedelta(seconds=30)
    options = StoreOptions(limit=RateLimit(), lease=lease, disable_after=timedelta(days=5), invoice_lease=lease)
    return PostgresStores(database, DatabaseClock(), Outbox(source="tocsin/tests"), options)


async def value(database: Database, statement: str) -> Any:
    async with database.connection() as connection:
        return await connection.fetchval(statement)


async def nothing() -> None:
    """Prepares nothing."""


async def test_subscriptions_are_locked_in_the_order_of_their_ids(database: Database, stores: PostgresStores) -> None:
    now = await value(database, "SELECT clock_timestamp()")
    for id_ in (FIRST, SECOND):
        made = Subscription(
            id=id_, url=f"https://example.org/{id_}", event_types=(PROBED,), created_at=now, secret="whsec_s"
        )
        await stores.subscriptions.add(made, nothing)
    event = PublicEvent(id="e", type=PROBED, body="{}", published_at=now + timedelta(seconds=1))
    await stores.subscriptions.fan_out([event])
    claimed = sorted(
        (await stores.notifications.claim(open_room(Lane.EVENT, 9))).claimed, key=lambda one: one.reference
    )
    completions = [
        Completion(claimed[0], Decision(sent=False, wait=timedelta(hours=1), failure=BUSY)),
        Completion(claimed[1], Decision(sent=False, wait=timedelta(hours=1), failure=BUSY, gone=True)),
    ]
    lock = "SELECT FROM webhook_subscriptions WHERE id = $1 FOR UPDATE NOWAIT"
    async with database.transaction() as connection:
        await connection.execute(lock, FIRST)
        completing = asyncio.create_task(stores.notifications.complete(completions))
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        await eventually(lambda: value(database, waiting), what="it waits for the first")
        await connection.execute(lock, SECOND)
    await completing
    assert [(await stores.subscriptions.get(id_)).enabled for id_ in (FIRST, SECOND)] == [True, False]


async def test_what_cannot_be_loaded_is_not_claimed(database: Database, stores: PostgresStores) -> None:
    draft = Draft(tenant="test", user="ada", type=Type.ALERT, title="Fire")
    point, _, _ = await stores.endpoints.register("test", "ada", ChannelName.FCM, "t1", "")
    plan = (Step(ChannelName.FCM),)
    route = Route(plan, legs_from(plan, 0, {ChannelName.FCM: [point]}))
    await stores.notifications.enqueue([(draft, route)])
    room = open_room(Lane.FCM, 9)
    await value(database, 'ALTER TABLE "notification_test".endpoints RENAME TO elsewhere')
    with pytest.raises(asyncpg.UndefinedTableError):
        await stores.notifications.claim(room)
    await value(database, 'ALTER TABLE "notification_test".elsewhere RENAME TO endpoints')
    assert await value(database, "SELECT count(*) FROM deliveries WHERE lease IS NOT NULL OR claims > 0") == 0
    assert await value(database, "SELECT count(*) FROM rate_slots") == 0
    [claimed] = (await stores.notifications.claim(room)).claimed
    assert claimed.claims == 1


async def test_all_that_has_served_its_time_is_deleted_however_much_it_is(database: Database) -> None:
    await value(
        database,
        """
        INSERT INTO rate_slots (delivery, notification, lease, tenant, recipient, at)
        SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'test', 'ada', now() - interval '1 hour'
        FROM generate_series(1, 12000)
        """,
    )
    await value(
        database,
        """
        INSERT INTO rate_slots (delivery, notification, lease, tenant, recipient, at)
        SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'test', 'ada', at
        FROM unnest(ARRAY['infinity', now()]) AS at
        """,
    )
    await prune_all(database, DatabaseClock(), dict.fromkeys(TENANTS, timedelta(days=90)), letters=timedelta(days=90))
    assert await value(database, "SELECT count(*) FROM rate_slots") == 2
