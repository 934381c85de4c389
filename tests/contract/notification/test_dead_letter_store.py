"""`DeadLetterStore`: the same suite on the one in memory and the one on the stream of dead letters."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from services.chassis.nats import Encoded, Failure, NatsConnection, Publisher, compose_dead_letter
from services.chassis.nats.dead_letters import ONLY_CONSUMER
from services.chassis.nats.topology import NOTIFICATIONS
from services.notification.adapters.memory.dead_letters import InMemoryDeadLetters
from services.notification.adapters.nats.dead_letters import StreamDeadLetters
from services.notification.adapters.nats.events import RETRY_SUBJECT, TENANT_HEADER
from services.notification.application.ports import DeadLetterStore
from services.notification.domain.dead_letter import DeadLetter
from services.notification.domain.errors import DeadLetterNotFound
from tests.support.dead_letters import LETTER


class Box(ABC):
    """A store, how letters come into it, and what was sent back from it."""

    store: DeadLetterStore

    @abstractmethod
    async def add(self, letter: DeadLetter) -> None:
        """Keeps another one."""

    @abstractmethod
    async def returned(self) -> list[tuple[str, str, bytes]]:
        """Subject, consumer that it is for, payload."""

    async def sequences(self, service: str = "", before: int | None = None, limit: int = 10) -> list[int]:
        """A page."""
        return [one.sequence for one in await self.store.page(service=service, before=before, limit=limit)]


class MemoryBox(Box):
    def __init__(self) -> None:
        self.store = self.kept = InMemoryDeadLetters()

    async def add(self, letter: DeadLetter) -> None:
        self.kept.add(letter)

    async def returned(self) -> list[tuple[str, str, bytes]]:
        return [(one.subject, f"{one.service}/{one.consumer}", one.payload) for one in self.kept.returned]


@dataclass
class StreamBox(Box):
    connection: NatsConnection
    publisher: Publisher

    def __post_init__(self) -> None:
        self.store = StreamDeadLetters(self.connection, self.publisher)
        self._number = 0

    async def add(self, letter: DeadLetter) -> None:
        self._number += 1
        headers = {"ce-type": letter.type, TENANT_HEADER: letter.tenant}
        history = [Failure(at=one.at, error_type=one.error_type, reason=one.reason) for one in letter.history]
        message = compose_dead_letter(
            Encoded(subject=letter.subject, payload=letter.payload, headers=headers),
            service=letter.service,
            consumer=letter.consumer,
            history=history,
            attempts=letter.attempts,
            first_seen=letter.first_seen,
            identity=str(self._number),
        )
        await self.publisher.publish_encoded(message)

    async def returned(self) -> list[tuple[str, str, bytes]]:
        state = (await self.connection.js.stream_info(NOTIFICATIONS)).state
        found = [
            await self.connection.js.get_msg(NOTIFICATIONS, sequence)
            for sequence in range(max(state.first_seq, 1), state.last_seq + 1)
        ]
        return [(one.subject or "", (one.headers or {})[ONLY_CONSUMER], one.data or b"") for one in found]


@pytest.fixture(params=["memory", "nats"])
def box(request: pytest.FixtureRequest) -> Box:
    if request.param == "memory":
        return MemoryBox()
    return StreamBox(request.getfixturevalue("nats_connection"), request.getfixturevalue("publisher"))


async def test_a_letter_is_kept_as_it_was_given_up(box: Box) -> None:
    await box.add(LETTER)
    assert await box.store.get(1) == LETTER
    assert list(await box.store.page(service="", before=None, limit=10)) == [LETTER]


async def test_pages_are_newest_first_and_of_one_service(box: Box) -> None:
    assert await box.sequences() == []
    for number in range(6):
        await box.add(replace(LETTER, service="media_probe" if number % 2 else "notification"))
    assert await box.sequences() == [6, 5, 4, 3, 2, 1]
    assert await box.sequences(limit=4) == [6, 5, 4, 3]
    assert await box.sequences(before=3) == [2, 1]
    assert await box.sequences(before=1) == []
    assert await box.sequences(before=100) == [6, 5, 4, 3, 2, 1]
    assert await box.sequences("media_probe", limit=2) == [6, 4]
    assert await box.sequences("media_probe", before=4) == [2]
    assert await box.sequences("ingestion") == []


async def test_a_letter_goes_back_once_to_the_consumer_that_gave_it_up(box: Box) -> None:
    await box.add(LETTER)
    await box.add(LETTER)
    await box.store.retry(1)
    assert await box.returned() == [(RETRY_SUBJECT, "notification/deliveries", b"\x00payload")]
    assert await box.sequences() == [2]
    with pytest.raises(DeadLetterNotFound):
        await box.store.retry(1)
    assert len(await box.returned()) == 1


async def test_a_letter_that_was_put_away_is_gone_for_good(box: Box) -> None:
    await box.add(LETTER)
    await box.add(LETTER)
    await box.store.archive(2)
    await box.store.archive(2)
    assert await box.sequences() == [1]
    await box.add(LETTER)
    assert await box.sequences() == [3, 1], "a sequence is never used again"


@pytest.mark.parametrize("ask", ["get", "retry"])
async def test_an_unknown_letter_is_named(box: Box, ask: str) -> None:
    await box.add(LETTER)
    call: Callable[[int], Awaitable[object]] = getattr(box.store, ask)
    with pytest.raises(DeadLetterNotFound) as refusal:
        await call(7)
    assert refusal.value.metadata == {"id": "7"}
