"""Publishing for the lanes, with an answer soon when there is nobody to publish to."""

import asyncio
import time
from datetime import timedelta

from services.chassis.errors import Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.envelope import Encoded
from services.chassis.nats.publisher import Published, Publisher
from services.ingestion.domain.errors import StreamUnavailable

_POLL = 0.02


class Broker:
    """Publishes for the lanes, and answers soon when there is nobody to publish to.

    What is sent without a connection would wait in the client, and might be stored after the caller was told that it
    was not; so it is held back here until a connection stands. Callers wait for that until the broker has been away
    for `patience`; those that come later are refused at once.
    """

    def __init__(self, connection: NatsConnection, publisher: Publisher, *, patience: timedelta) -> None:
        self._connection = connection
        self._publisher = publisher
        self._patience = patience.total_seconds()
        self._away_since: float | None = None
        self.source = publisher.source

    async def publish(self, message: Encoded) -> Published:
        """Returns once the message is durable. Raises StreamUnavailable."""
        await self._connected()
        try:
            return await self._publisher.publish_encoded(message)
        except Unavailable as error:
            raise StreamUnavailable(error.message) from error

    async def _connected(self) -> None:
        while not self._connection.healthy:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since >= self._patience:
                raise StreamUnavailable("the message broker is away")
            await asyncio.sleep(_POLL)
        self._away_since = None
