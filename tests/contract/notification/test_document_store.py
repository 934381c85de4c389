"""`DocumentStore`: the same suite on the ones in memory, on a JetStream object store and on an S3 one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.nats import NatsConnection, open_nats
from services.chassis.object_storage import open_bucket
from services.notification.adapters.memory.documents import InMemoryDocuments
from services.notification.adapters.nats.documents import JetStreamDocuments
from services.notification.adapters.s3.documents import S3Documents
from services.notification.application.ports.invoices import DocumentStore
from tests.support.eventually import eventually
from tests.support.notification import ManualClock

BUCKET = "CONTRACT"
TTL = timedelta(milliseconds=300)


@dataclass
class Shelf:
    """A store, and how its time passes."""

    store: DocumentStore
    clock: ManualClock
    nats: NatsConnection | None = None
    s3: S3Documents | None = None

    async def outlive(self) -> None:
        """Returns when everything has expired."""
        self.clock.time += TTL
        if self.s3 is not None:
            self.clock.time += timedelta(seconds=3)  # times of objects are told to the second
            assert await self.s3.remove_expired() == 1
            assert await self.s3.remove_expired() == 0
        if (connection := self.nats) is not None:

            async def empty() -> bool:
                return (await connection.js.stream_info(f"OBJ_{BUCKET}")).state.messages == 0

            await eventually(empty)


@pytest.fixture(params=["memory", "nats", "s3"])
async def shelf(request: pytest.FixtureRequest, nats_url: str) -> AsyncIterator[Shelf]:
    clock = ManualClock()
    if request.param == "s3":
        clock.time = datetime.now(UTC)
        async with open_bucket(request.getfixturevalue("s3_bucket"), agent="tests") as bucket:
            kept = S3Documents(bucket, ttl=TTL, now=lambda: clock.time)
            yield Shelf(kept, clock, s3=kept)
        return
    if request.param == "memory":
        yield Shelf(InMemoryDocuments(lambda: clock.time, ttl=TTL), clock)
        return
    async with open_nats(nats_url, name="tests") as connection:
        yield Shelf(JetStreamDocuments(connection, bucket=BUCKET, ttl=TTL), clock, connection)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.3", bytes(range(256)) * 1200], ids=["empty", "small", "chunks"])
async def test_what_was_put_is_got_until_it_expires(shelf: Shelf, content: bytes) -> None:
    assert await shelf.store.get("o") is None
    await shelf.store.put("o", content)
    assert await shelf.store.get("o") == content
    assert await shelf.store.get("p") is None
    await shelf.outlive()
    assert await shelf.store.get("o") is None


async def test_a_name_has_what_was_put_last(shelf: Shelf) -> None:
    await shelf.store.put("o", b"one")
    await shelf.store.put("o", b"two")
    assert await shelf.store.get("o") == b"two"


async def test_a_bucket_keeps_what_it_holds_for_as_long_as_is_wanted_now(nats_url: str) -> None:
    async with open_nats(nats_url, name="tests") as connection:
        before = JetStreamDocuments(connection, bucket="TIMES", ttl=timedelta(hours=1))
        await before.put("o", b"content")
        after = JetStreamDocuments(connection, bucket="TIMES", ttl=timedelta(days=2))
        await after.open()
        found = await connection.js.stream_info("OBJ_TIMES")
        assert found.config.max_age == timedelta(days=2).total_seconds()
        assert await after.get("o") == b"content"


async def test_what_is_put_again_is_replaced(shelf: Shelf) -> None:
    await shelf.store.put("o", bytes(range(256)) * 1200)
    await shelf.store.put("o", bytes(256 * 1200))
    assert await shelf.store.get("o") == bytes(256 * 1200)
    if shelf.nats is not None:
        # Nothing is left of what was there before: two chunks, and what is said of them.
        assert (await shelf.nats.js.stream_info(f"OBJ_{BUCKET}")).state.bytes < 2 * 256 * 1200
