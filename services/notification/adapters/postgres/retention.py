"""Deletes what has served its time: notifications by weeks; inbox marks, rate slots, keys and finished deliveries in
bounded steps."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta

from services.chassis.postgres import Connection, Database, prune
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.postgres import dead_letters, rate_limit, weeks
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.notification import KEYS_LAST

log = get_logger(__name__)

DELIVERIES_LAST = timedelta(days=8)
"""Longer than any stream of public events keeps its messages: until then their keys keep repeats out."""
_STEP = 5000
_REMEMBER = """
    INSERT INTO retentions (tenant, keep) SELECT * FROM unnest($1::text[], $2::interval[])
    ON CONFLICT (tenant) DO UPDATE SET keep = excluded.keep
"""
_KEYS = """
    DELETE FROM TENANT.idempotency_keys WHERE key IN (
        SELECT key FROM TENANT.idempotency_keys WHERE created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
_DELIVERIES = """
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE state <> 'OPEN' AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
_RECEIPTS = """
    DELETE FROM TENANT.receipts WHERE id IN (
        SELECT id FROM TENANT.receipts WHERE received_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
_OCCURRENCES = """
    DELETE FROM reminder_occurrences WHERE (tenant, reminder, at) IN (
        SELECT tenant, reminder, at FROM reminder_occurrences
        WHERE tenant = $3 AND at < $1 AND decision NOT IN ('PENDING', 'HELD') LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""


async def prepare_weeks(database: Database, clock: Clock, tenants: Iterable[str]) -> None:
    """Makes the tables for the notifications of the next time."""
    for tenant in tenants:
        async with database.transaction() as connection:
            if made := await weeks.add_weeks(connection, tenant, await clock.now(connection)):
                log.info("retention.weeks_added", tenant=tenant, tables=made)


async def remember_retentions(database: Database, keep: Mapping[str, timedelta]) -> None:
    """Leaves for how long each tenant's notifications are kept to those who write beside the service."""
    tenants = sorted(keep)
    async with database.transaction() as connection:
        await connection.execute(_REMEMBER, tenants, [keep[tenant] for tenant in tenants])
        await connection.execute("DELETE FROM retentions WHERE tenant <> ALL($1::text[])", tenants)


async def prune_all(database: Database, clock: Clock, keep: Mapping[str, timedelta], *, letters: timedelta) -> None:
    """Deletes all that has served its time; each step is a transaction of its own. `keep`: for how long the
    notifications of each tenant are kept; `letters`: for how long dead letters that were retried or archived are."""
    await prepare_weeks(database, clock, keep)
    async with database.connection() as connection:
        now = await clock.now(connection)
        marks = await _in_steps(lambda: prune(connection, limit=_STEP))
        slots = await _in_steps(lambda: rate_limit.prune(connection, now - rate_limit.PRUNE_AFTER, _STEP))
        deliveries = await _in_steps(lambda: _delete(connection, _DELIVERIES, now - DELIVERIES_LAST))
        closed = await _in_steps(lambda: dead_letters.expire(connection, now - letters, _STEP))
        for tenant in keep:
            statement = in_tenant(_KEYS, tenant)
            await _in_steps(lambda statement=statement: _delete(connection, statement, now - KEYS_LAST))
    for tenant, time in keep.items():
        await _expire(database, tenant, now, time)
    log.debug("retention.done", inbox_marks=marks, rate_slots=slots, deliveries=deliveries, dead_letters=closed)


async def _expire(database: Database, tenant: str, now: datetime, keep: timedelta) -> None:
    dropped = await weeks.drop_weeks(database, tenant, now, keep)
    async with database.connection() as connection:
        others = await _in_steps(lambda: weeks.delete_others(connection, tenant, now - keep, _STEP))
        receipts = await _in_steps(lambda: _delete(connection, in_tenant(_RECEIPTS, tenant), now - keep))
        occurrences = await _in_steps(lambda: _delete(connection, _OCCURRENCES, now - keep, tenant))
    if dropped or others or receipts or occurrences:
        log.info(
            "retention.expired",
            tenant=tenant,
            weeks=dropped,
            others=others,
            receipts=receipts,
            occurrences=occurrences,
        )


async def _delete(connection: Connection, statement: str, before: datetime, *more: str) -> int:
    return int((await connection.execute(statement, before, _STEP, *more)).split()[-1])


async def _in_steps(step: Callable[[], Awaitable[int]]) -> int:
    """Takes the step until nothing is left for it; how many it deleted."""
    total = 0
    while (deleted := await step()) == _STEP:
        total += deleted
    return total + deleted
