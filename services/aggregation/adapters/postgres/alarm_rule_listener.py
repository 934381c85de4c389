"""Hears of changes of alarm rules, whichever replica makes them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg
import structlog

from services.aggregation.adapters.postgres.alarm_rule_store import CHANNEL
from services.chassis.errors import DomainError
from services.chassis.postgres import PoolOptions, open_session
from services.chassis.postgres.errors import CONNECTION_LOST

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PAUSE = 0.5
_SETTLE = 0.02
"""Changes come in bursts: reading the rules once for all of them is enough."""
_CHECK = 10.0


async def listen_for_rules(dsn: str, schema: str, reload: Callable[[], Awaitable[None]]) -> None:
    """Calls `reload` after each change, and after each (re)connect: what happened before is unknown. For ever."""
    while True:
        try:
            await _session(dsn, schema, reload)
        except (*CONNECTION_LOST, asyncpg.PostgresError, TimeoutError, DomainError) as error:
            log.warning("aggregation.alarm_rules_listener_lost", error=repr(error))
        await asyncio.sleep(_PAUSE)


async def _session(dsn: str, schema: str, reload: Callable[[], Awaitable[None]]) -> None:
    changed = asyncio.Event()

    def tell(*_: object) -> None:
        changed.set()

    options = PoolOptions(statement_timeout=timedelta(seconds=5))
    settings = options.session_settings(schema, "tocsin-aggregation-alarm-rules")
    connection = await open_session(dsn, settings)
    try:
        connection.add_termination_listener(tell)
        await connection.add_listener(CHANNEL, tell)
        while not connection.is_closed():
            changed.clear()
            await reload()
            while not changed.is_set():
                try:
                    async with asyncio.timeout(_CHECK):
                        await changed.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1")  # a dead peer is noticed by asking
            await asyncio.sleep(_SETTLE)
    finally:
        with suppress(*CONNECTION_LOST, TimeoutError):
            await connection.close(timeout=2)
