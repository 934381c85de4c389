"""Hears of catalogue changes that other replicas make."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg

from services.chassis.errors import DomainError
from services.chassis.postgres import PoolOptions, open_session
from services.chassis.postgres.errors import CONNECTION_LOST
from services.chassis.telemetry.logs import get_logger

CHANNEL = "ingestion_catalogue"
_PAUSE = 0.5
# Changes come in bursts (an import of devices); reading the catalogue once for all of them is enough.
_SETTLE = 0.05
_CHECK = 10.0

log = get_logger(__name__)


async def listen(dsn: str, schema: str, reload: Callable[[], Awaitable[None]]) -> None:
    """Calls `reload` after each change, and after each reconnect (what happened meanwhile is unknown). For ever."""
    while True:
        try:
            await _session(dsn, schema, reload)
        except (*CONNECTION_LOST, asyncpg.PostgresError, TimeoutError, DomainError) as error:
            log.warning("catalogue.listener_lost", error=repr(error))
        await asyncio.sleep(_PAUSE)


async def _session(dsn: str, schema: str, reload: Callable[[], Awaitable[None]]) -> None:
    changed = asyncio.Event()

    def tell(*_: object) -> None:
        changed.set()

    options = PoolOptions(statement_timeout=timedelta(seconds=5))
    settings = options.session_settings(schema, "tocsin-ingestion-catalogue")
    connection = await open_session(dsn, settings)
    try:
        connection.add_termination_listener(tell)
        await connection.add_listener(CHANNEL, tell)
        while not connection.is_closed():
            await reload()
            await _until(changed, connection)
    finally:
        with suppress(*CONNECTION_LOST, TimeoutError):
            await connection.close(timeout=2)


async def _until(changed: asyncio.Event, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    while not changed.is_set():
        try:
            async with asyncio.timeout(_CHECK):
                await changed.wait()
        except TimeoutError:
            await connection.execute("SELECT 1")  # a dead peer is noticed by asking
    await asyncio.sleep(_SETTLE)
    changed.clear()
