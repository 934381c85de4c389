"""Deletes what has served its time, in bounded steps: inbox marks, rate slots, keys, finished deliveries."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from services.chassis.postgres import Connection, Database, prune
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
    """Deletes all that has served its time; each step is a transaction of its own."""
    async with database.connection() as connection:
        now = await clock.now(connection)
        marks = await _in_steps(lambda: prune(connection, limit=_STEP))
        slots = await _in_steps(lambda: rate_limit.prune(connection, now - rate_limit.PRUNE_AFTER, _STEP))
        deliveries = await _in_steps(lambda: _delete(connection, _DELIVERIES, now - DELIVERIES_LAST))
        for tenant in tenants:
            statement = in_tenant(_KEYS, tenant)
            await _in_steps(lambda statement=statement: _delete(connection, statement, now - KEYS_LAST))
    log.debug("retention.done", inbox_marks=marks, rate_slots=slots, deliveries=deliveries)


async def _delete(connection: Connection, statement: str, before: datetime) -> int:
    return int((await connection.execute(statement, before, _STEP)).split()[-1])


async def _in_steps(step: Callable[[], Awaitable[int]]) -> int:
    """Takes the step until nothing is left for it; how many it deleted."""
    total = 0
    while (deleted := await step()) == _STEP:
        total += deleted
    return total + deleted
