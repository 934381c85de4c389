"""The mailbox of emptied containers: whoever consumes the priority lane puts them in, the owner of their partition
takes them out with its next transaction. It is woken at once."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg
import structlog

from services.aggregation.adapters.nats.reading_batch import FUTURE, Malformed, parse_descriptor
from services.aggregation.domain.series import partition_of
from services.chassis.nats import Delivery, Permanent
from services.chassis.postgres import Connection, PoolOptions, open_session
from services.chassis.postgres.errors import CONNECTION_LOST
from tocsin.events.v1.readings_pb2 import ContainerEmptied

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

CHANNEL = "aggregation_emptied"
_PAUSE = 0.5
_CHECK = 10.0


class PriorityMailbox:
    """A handler for an `InboxHandler`: the mark and the entry commit together."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    async def put(self, connection: Connection, delivery: Delivery) -> None:
        """Stores it and wakes the owner. Raises Permanent."""
        event = delivery.decode(ContainerEmptied)
        raw = event.series.SerializeToString()
        try:
            descriptor = parse_descriptor(raw)
        except Malformed as error:
            raise Permanent(str(error)) from error
        time_us = event.event_time.ToMicroseconds()
        if not 0 < time_us <= time.time_ns() // 1000 + FUTURE:
            raise Permanent("the event time is missing or in the future")
        partition = partition_of(descriptor.key, self._partitions)
        await connection.execute(
            "INSERT INTO emptied (partition, descriptor, time_us, forced) VALUES ($1, $2, $3, $4)",
            partition,
            raw,
            time_us,
            event.forced,
        )
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(partition))


async def listen_for_mail(dsn: str, schema: str, wake: Callable[[int | None], None]) -> None:
    """Calls `wake` with the partition of each new entry, and with None after each (re)connect. For ever."""
    while True:
        try:
            await _session(dsn, schema, wake)
        except (*CONNECTION_LOST, asyncpg.PostgresError, TimeoutError) as error:
            log.warning("aggregation.mailbox_listener_lost", error=repr(error))
        await asyncio.sleep(_PAUSE)


async def _session(dsn: str, schema: str, wake: Callable[[int | None], None]) -> None:
    closed = asyncio.Event()

    def told(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        wake(int(str(payload)))

    def ended(_connection: object) -> None:
        closed.set()

    settings = PoolOptions(statement_timeout=timedelta(seconds=5)).session_settings(
        schema, "tocsin-aggregation-mailbox"
    )
    connection = await open_session(dsn, settings)
    try:
        connection.add_termination_listener(ended)
        await connection.add_listener(CHANNEL, told)
        wake(None)
        while not closed.is_set():
            try:
                async with asyncio.timeout(_CHECK):
                    await closed.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a dead peer is noticed by asking
    finally:
        with suppress(*CONNECTION_LOST, TimeoutError):
            await connection.close(timeout=2)
