"""The stream of dead letters as tests read it, where no notification service takes them out of it."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services.chassis.errors import FailedPrecondition, NotFound, Unavailable
from services.chassis.nats import DeadLetter, Encoded, NatsConnection, Publisher
from services.chassis.nats.dead_letters import parse_dead_letter, sent_back
from services.chassis.nats.publisher import Published
from services.chassis.nats.topology import DEAD_LETTERS, dead_letter_subject


class DeadLetters:
    """Reads the dead letters and sends them back or away."""

    def __init__(self, connection: NatsConnection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher
        self._stream = connection.names.stream(DEAD_LETTERS)

    async def get(self, sequence: int) -> DeadLetter:
        """Raises `NotFound` when there is none (any more)."""
        try:
            raw = await self._connection.js.get_msg(self._stream, sequence)
        except nats.js.errors.NotFoundError as error:
            raise NotFound(f"there is no dead letter {sequence}") from error
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error
        return parse_dead_letter(sequence, raw.headers or {}, raw.data or b"")

    async def list(
        self, *, service: str = "*", consumer: str = "*", after: int = 0, limit: int = 50
    ) -> Sequence[DeadLetter]:
        """Up to `limit` dead letters with a sequence greater than `after`, oldest first."""
        return [letter async for letter in self._scan(dead_letter_subject(service, consumer), after, limit)]

    async def retry(self, sequence: int) -> Published:
        """Publishes it anew on its original subject, with attempts counted from 1, then removes it here.

        Only the consumer that failed handles it. Raises `NotFound`, `FailedPrecondition` or `Unavailable`; after
        `Unavailable` it may have been published, and retrying again is harmless.
        """
        letter = await self.get(sequence)
        if letter.cut:
            raise FailedPrecondition(f"dead letter {sequence} was too large to be kept whole; it can only be archived")
        original = Encoded(subject=letter.original_subject, payload=letter.payload, headers=letter.headers)
        back = sent_back(original, to=f"{letter.service}/{letter.consumer}", occasion=f"{sequence}:{uuid4()}")
        published = await self._publisher.publish_encoded(back)
        await self.archive(sequence)
        return published

    async def archive(self, sequence: int) -> None:
        """Removes it for good; nothing happens when it is gone already."""
        try:
            await self._connection.js.delete_msg(self._stream, sequence)
        except nats.js.errors.APIError as error:
            # The server says the same for a message that is gone and for a failure.
            if await self._exists(sequence):
                raise Unavailable(f"the dead letter could not be removed: {error.description}") from error
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error

    async def _exists(self, sequence: int) -> bool:
        try:
            await self.get(sequence)
        except NotFound:
            return False
        return True

    async def _scan(self, subject: str, after: int, limit: int) -> AsyncIterator[DeadLetter]:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=30,
            mem_storage=True,
        )
        js = self._connection.js
        try:
            subscription = await js.pull_subscribe(
                self._connection.names.subject(subject), stream=self._stream, config=config
            )
            info = await subscription.consumer_info()
            try:
                count = min(limit, info.num_pending or 0)
                while count > 0:
                    for message in await subscription.fetch(count, timeout=5):
                        count -= 1
                        yield parse_dead_letter(message.metadata.sequence.stream, message.headers or {}, message.data)
            finally:
                await subscription.unsubscribe()
                await js.delete_consumer(self._stream, info.name)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error
