"""Deletes what has served its time, in bounded steps: inbox marks, rate slots, keys, finished deliveries."""

from collections.abc import Iterable
from datetime import timedelta

from services.chassis.postgres import Database, prune
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.postgres import rate_limit
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.notification import KEYS_LAST

log = get_logger(__name__)

DELIVERIES_LAST = timedelta(days=8)
"""Longer than any stream of public events keeps its messages: until then their keys keep repeats out."""
_STEP = 5000
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


async def prune_all(database: Database, clock: Clock, tenants: Iterable[str]) -> None:
    """One step of each."""
    async with database.connection() as connection:
        now = await clock.now(connection)
        marks = await prune(connection)
        await rate_limit.prune(connection, now - rate_limit.PRUNE_AFTER)
        deliveries = await connection.execute(_DELIVERIES, now - DELIVERIES_LAST, _STEP)
        for tenant in tenants:
            await connection.execute(in_tenant(_KEYS, tenant), now - KEYS_LAST, _STEP)
    log.debug("upkeep.done", inbox_marks=marks, deliveries=deliveries)
