"""Tells what waits at a consumer, as a metric: one question to the server each quarter of a minute."""

import asyncio
from typing import NoReturn

import nats.errors
import structlog

from services.chassis.nats import metrics
from services.chassis.nats.connection import NatsConnection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EVERY_SECONDS = 15.0


async def tell_lag(connection: NatsConnection, stream: str, durable: str, *, label: str) -> NoReturn:
    """Keeps `tocsin_consumer_waiting_messages` of a consumer, until it is cancelled. `stream` is named as in the code.

    A task of its own, since a server that does not answer may take seconds. Then the last figure stays:
    `tocsin_nats_connected` tells of that.
    """
    waiting = metrics.WAITING.labels(consumer=label)
    try:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                info = await connection.js.consumer_info(connection.names.stream(stream), durable)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.debug("nats.lag_unknown", consumer=label, error=repr(error))
            else:
                waiting.set(info.num_pending or 0)
    finally:
        waiting.set(0)  # whoever reads it from now on tells it
