"""Answers what other parts of the mesh ask over NATS: one of the replicas does, one question after another."""

from collections.abc import Awaitable, Callable

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.chassis.errors import DomainError
from services.chassis.handler_stage import stage_of
from services.chassis.nats.connection import NatsConnection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_WAITING = 1000
"""Questions at the most; whoever asks gives up soon anyway."""


class Answers:
    """Answers while it is started. `answer` gets a message and returns one; where it raises DecodeError or a
    DomainError, whoever asks hears nothing."""

    def __init__(
        self,
        connection: NatsConnection,
        subject: str,
        handler: str,
        answer: Callable[[bytes], Awaitable[bytes]],
    ) -> None:
        """`handler`: `service/name`."""
        self._connection, self._subject, self._find = connection, subject, answer
        self._stage = stage_of(handler)
        self._queue = handler.partition("/")[0]
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """It outlives reconnects."""
        subject = self._connection.names.subject(self._subject)
        self._subscription = await self._connection.nc.subscribe(
            subject, queue=self._queue, cb=self._answer, pending_msgs_limit=_WAITING
        )

    async def stop(self) -> None:
        """Leaves the questions to others."""
        subscription, self._subscription = self._subscription, None
        if subscription is None or self._connection.nc.is_closed:
            return
        try:
            await subscription.unsubscribe()
        except nats.errors.Error as error:
            log.debug("nats.answers_unsubscribe_failed", subject=self._subject, error=repr(error))

    async def _answer(self, message: Msg) -> None:
        try:
            await self._stage.run(1, self._find_and_tell(message))
        except (DecodeError, DomainError, nats.errors.Error) as error:
            log.warning("nats.unanswered", subject=self._subject, error=repr(error))

    async def _find_and_tell(self, message: Msg) -> None:
        await message.respond(await self._find(message.data))
