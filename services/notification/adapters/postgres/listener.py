"""Hears NOTIFY on a connection of its own, and survives the loss of it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial

import asyncpg

from services.chassis.postgres import PoolOptions, open_session
from services.chassis.postgres.errors import CONNECTION_LOST
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)
_PAUSE_AFTER_FAILURE = 0.5
_CHECK_EVERY = timedelta(seconds=30)


class Listener:
    """Calls `wake[channel]` for each notification. They are hints only: whoever is woken polls as well."""

    def __init__(self, dsn: str, schema: str, wake: Mapping[str, Callable[[], None]]) -> None:
        self._dsn = dsn
        self._schema = schema
        self._wake = wake

    async def run(self, stop: asyncio.Event) -> None:
        """Listens until `stop` is set."""
        while not stop.is_set():
            try:
                await self._session(stop)
            except (*CONNECTION_LOST, asyncpg.PostgresError, TimeoutError) as error:
                log.warning("listener.lost", error=repr(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _PAUSE_AFTER_FAILURE)

    async def _session(self, stop: asyncio.Event) -> None:
        settings = PoolOptions().session_settings(self._schema, f"tocsin-{self._schema}-listener")
        connection = await open_session(self._dsn, settings)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(partial(_set, lost))
            for channel in self._wake:
                await connection.add_listener(channel, self._heard)
            for wake in self._wake.values():
                wake()  # something may have happened while nobody listened
            while not stop.is_set() and not lost.is_set():
                waits = [asyncio.ensure_future(event.wait()) for event in (stop, lost)]
                try:
                    await asyncio.wait(waits, timeout=_CHECK_EVERY.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()
                    await asyncio.gather(*waits, return_exceptions=True)
                if not stop.is_set() and not lost.is_set():
                    await connection.execute("SELECT 1")
        finally:
            with suppress(*CONNECTION_LOST, TimeoutError):
                await connection.close(timeout=2)

    def _heard(self, _connection: object, _pid: int, channel: str, _payload: object) -> None:
        self._wake[channel]()


def _set(event: asyncio.Event, _connection: object) -> None:
    event.set()
