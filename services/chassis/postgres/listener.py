"""Hears NOTIFY on a session of its own, and survives the loss of it. What is heard is a hint: what happened while
nobody listened is unknown, so that each begins with a look for oneself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, NoReturn

import asyncpg

from services.chassis.errors import DomainError
from services.chassis.postgres.errors import CONNECTION_LOST
from services.chassis.postgres.pool import PoolOptions, open_session
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)

_PAUSE: Final = 0.5
_CHECK: Final = 10.0
_OPTIONS: Final = PoolOptions(statement_timeout=timedelta(seconds=5))
_FAILURES: Final = (*CONNECTION_LOST, asyncpg.PostgresError, TimeoutError, DomainError)


async def listen(
    dsn: str, schema: str, name: str, wake: Mapping[str, Callable[[str | None], None]], *, lost: str
) -> NoReturn:
    """Calls `wake[channel]` with the payload of each notification, and each of them with None after every (re)connect.
    For ever. `name`: of the session, as the server shows it; `lost`: what is logged when it is lost."""
    while True:
        try:
            await _session(dsn, schema, name, wake)
        except _FAILURES as error:
            log.warning(lost, error=repr(error))
        await asyncio.sleep(_PAUSE)


async def _session(dsn: str, schema: str, name: str, wake: Mapping[str, Callable[[str | None], None]]) -> None:
    closed = asyncio.Event()

    def heard(_connection: object, _pid: int, channel: str, payload: object) -> None:
        wake[channel](str(payload))

    def ended(_connection: object) -> None:
        closed.set()

    connection = await open_session(dsn, _OPTIONS.session_settings(schema, name))
    try:
        connection.add_termination_listener(ended)
        for channel in wake:
            await connection.add_listener(channel, heard)
        for call in wake.values():
            call(None)
        while not closed.is_set():
            try:
                async with asyncio.timeout(_CHECK):
                    await closed.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a dead peer is noticed by asking
    finally:
        with suppress(*CONNECTION_LOST, TimeoutError):
            await connection.close(timeout=2)


async def reload_on_change(
    dsn: str,
    schema: str,
    name: str,
    channel: str,
    reload: Callable[[], Awaitable[None]],
    *,
    settle: timedelta,
    lost: str,
) -> NoReturn:
    """Calls `reload` after the notifications of the channel, once for all that come within `settle`, and after every
    (re)connect. For ever; where it fails, again after a while."""
    changed = asyncio.Event()

    def tell(_payload: str | None) -> None:
        changed.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen(dsn, schema, name, {channel: tell}, lost=lost), name=name)
        while True:
            await changed.wait()
            await asyncio.sleep(settle.total_seconds())
            changed.clear()
            try:
                await reload()
            except _FAILURES as error:
                log.warning(lost, error=repr(error))
                await asyncio.sleep(_PAUSE)
                changed.set()
