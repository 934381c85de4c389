"""`DeadLetterStore` on the stream of dead letters, which all services share."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import nats.errors

from services.chassis import nats as chassis
from services.chassis.errors import NotFound, Unavailable
from services.chassis.nats.topology import DEAD_LETTERS
from services.notification.adapters.nats.events import TENANT_HEADER
from services.notification.domain.dead_letter import DeadLetter, FailedAttempt
from services.notification.domain.errors import DeadLetterNotFound

_FIRST_WINDOW = 200


class StreamDeadLetters:
    """The port `DeadLetterStore`."""

    def __init__(self, connection: chassis.NatsConnection, publisher: chassis.Publisher) -> None:
        self._connection = connection
        self._letters = chassis.DeadLetters(connection, publisher)

    async def page(self, *, service: str, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """See DeadLetterStore. The stream is read forwards only: windows of growing size are looked at from its end."""
        first, last = await self._bounds()
        end = last + 1 if before is None else min(before, last + 1)
        found: list[DeadLetter] = []
        window = _FIRST_WINDOW
        while len(found) < limit and end > first:
            start = max(end - window, first)
            letters = await self._letters.list(service=service or "*", after=start - 1, limit=end - start)
            found += [_letter(letter) for letter in reversed(letters) if letter.sequence < end]
            end = start
            window *= 4
        return found[:limit]

    async def get(self, sequence: int) -> DeadLetter:
        """See DeadLetterStore."""
        async with _known(sequence):
            return _letter(await self._letters.get(sequence))

    async def retry(self, sequence: int) -> None:
        """See DeadLetterStore."""
        async with _known(sequence):
            await self._letters.retry(sequence)

    async def archive(self, sequence: int) -> None:
        """See DeadLetterStore."""
        await self._letters.archive(sequence)

    async def _bounds(self) -> tuple[int, int]:
        try:
            info = await self._connection.js.stream_info(self._connection.names.stream(DEAD_LETTERS))
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error
        return max(info.state.first_seq, 1), info.state.last_seq


@asynccontextmanager
async def _known(sequence: int) -> AsyncGenerator[None]:
    try:
        yield
    except NotFound as error:
        raise DeadLetterNotFound(metadata={"id": str(sequence)}) from error


def _letter(found: chassis.DeadLetter) -> DeadLetter:
    return DeadLetter(
        sequence=found.sequence,
        service=found.service,
        consumer=found.consumer,
        subject=found.original_subject,
        type=found.headers.get("ce-type", ""),
        tenant=found.headers.get(TENANT_HEADER, ""),
        reason=found.reason,
        attempts=found.attempts,
        history=tuple(FailedAttempt(at=one.at, error_type=one.error_type, reason=one.reason) for one in found.history),
        first_seen=found.first_seen,
        dead_at=found.failed_at,
        payload=found.payload,
    )
