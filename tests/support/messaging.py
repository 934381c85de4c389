"""Events to send, and a consumer that runs beside the test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from google.protobuf.wrappers_pb2 import StringValue

from services.chassis.nats import Consumer, ConsumerOptions, Event, Handler, NatsConnection, Publisher
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT


def event(value: str, *, event_id: str | None = None, key: str | None = None) -> Event:
    """An event that some stream of the topology takes; its id is its value unless given."""
    return Event(ALERT_REPORTED_SUBJECT, StringValue(value=value), id=event_id or value, key=key)


@asynccontextmanager
async def running_consumer(
    connection: NatsConnection, options: ConsumerOptions, handler: Handler
) -> AsyncGenerator[asyncio.Event]:
    """Runs a consumer during the block and stops it in order after it."""
    stop = asyncio.Event()
    consumer = Consumer(connection, options, handler, publisher=Publisher(connection, source="tocsin/tests"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run(stop))
        try:
            yield stop
        finally:
            stop.set()
