"""The mailbox of emptied containers: whoever consumes the priority lane puts them in, the owner of their partition
takes them out with its next transaction. It is woken at once."""

import time
from collections.abc import Callable
from typing import NoReturn

from services.aggregation.adapters.nats.reading_batch import FUTURE, Malformed, parse_descriptor
from services.aggregation.domain.series import partition_of
from services.chassis.nats import Delivery, Permanent
from services.chassis.postgres import Connection
from services.chassis.postgres.listener import listen
from tocsin.events.v1.readings_pb2 import ContainerEmptied

CHANNEL = "aggregation_emptied"


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


async def listen_for_mail(dsn: str, schema: str, wake: Callable[[int | None], None]) -> NoReturn:
    """Calls `wake` with the partition of each new entry, and with None after each (re)connect. For ever."""

    def heard(partition: str | None) -> None:
        wake(None if partition is None else int(partition))

    await listen(dsn, schema, "tocsin-aggregation-mailbox", {CHANNEL: heard}, lost="aggregation.mailbox_listener_lost")
