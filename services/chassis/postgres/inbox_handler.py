"""A handler whose effect in PostgreSQL happens once, however often the message is delivered."""

from collections.abc import Awaitable, Callable

from services.chassis.nats.delivery import Delivery
from services.chassis.postgres.inbox import first_time
from services.chassis.postgres.pool import Connection, Database

TransactionalHandler = Callable[[Connection, Delivery], Awaitable[None]]


class InboxHandler:
    """Marks the inbox and calls the handler in one transaction; the consumer acknowledges after the commit.

    A message seen before is acknowledged without calling the handler. Events that follow from the effect
    go to the outbox on the same connection.
    """

    def __init__(self, database: Database, consumer: str, handler: TransactionalHandler) -> None:
        self._database = database
        self._consumer = consumer
        self._handler = handler

    async def __call__(self, delivery: Delivery) -> None:
        async with self._database.transaction() as connection:
            if await first_time(connection, self._consumer, delivery.id):
                await self._handler(connection, delivery)
