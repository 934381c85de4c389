"""Two meshes in one account of a NATS server, one of them with a prefix: each sees what is its own, and only that."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from services.aggregation.adapters.nats.reading_lane import stream_of_readings
from services.aggregation.adapters.nats.window_feed import FeedWindow, WindowFeed
from services.aggregation.application.queries.live_watch import ClosedWindow
from services.chassis.nats import (
    BatchOptions,
    ConsumerOptions,
    Delivery,
    Encoded,
    Event,
    NatsConnection,
    Permanent,
    Publisher,
    TopologyOptions,
    encode,
    ensure_streams,
    open_batch_reader,
    open_nats,
)
from services.chassis.nats.broker_checks import durable_write
from services.chassis.nats.topology import (
    ALERT_REPORTED_SUBJECT,
    ALERTS,
    DEAD_LETTERS,
    READINGS,
    VIDEOS,
    WINDOWS,
    readings_subject,
    window_closed_subject,
)
from services.cli.runtime.lag import read_lag_by_client
from services.cli.runtime.settings import STREAMS
from services.notification.adapters.nats.documents import JetStreamDocuments
from services.notification.adapters.nats.public_feed import PublicFeed
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.messaging import event, running_consumer
from tocsin.events.v1.windows_pb2 import WindowClosed

Meshes = tuple[NatsConnection, NatsConnection]


@pytest.fixture
async def meshes(nats_url: str) -> AsyncIterator[Meshes]:
    async with (
        open_nats(nats_url, name="one") as one,
        open_nats(nats_url, name="other", prefix="stage") as other,
    ):
        for connection in (one, other):
            assert await ensure_streams(connection, TopologyOptions()) == list(STREAMS)
        yield one, other


def _publisher(connection: NatsConnection) -> Publisher:
    return Publisher(connection, source="tocsin/tests")


async def _messages(connection: NatsConnection, stream: str) -> int:
    return (await connection.js.stream_info(connection.names.stream(stream))).state.messages


async def test_each_has_its_streams(meshes: Meshes) -> None:
    one, other = meshes
    names = {info.config.name for info in await one.js.streams_info()}
    assert names == {*STREAMS, *(f"STAGE_{name}" for name in STREAMS)}
    for connection in meshes:
        assert await ensure_streams(connection, TopologyOptions()) == []
        lag = await read_lag_by_client(connection.nc, connection.names)
        assert {stream.name for stream in lag} == {connection.names.stream(name) for name in STREAMS}
    await durable_write(other, "tests")
    assert (await _messages(one, "HEALTH"), await _messages(other, "HEALTH")) == (0, 1)
    await ensure_streams(other, TopologyOptions(max_bytes={VIDEOS: 1 << 24}))
    sizes = [(await one.js.stream_info(name)).config.max_bytes for name in (VIDEOS, "STAGE_VIDEOS")]
    assert sizes == [256 << 20, 1 << 24]


async def test_consumers_dead_letters_and_their_way_back(meshes: Meshes) -> None:
    seen: list[list[tuple[str, str, str]]] = [[], []]
    broken = [True]

    def handler(number: int) -> Any:
        async def handle(delivery: Delivery) -> None:
            seen[number].append((delivery.decode(StringValue).value, delivery.subject, delivery.stream))
            if broken[0] and number:
                raise Permanent("broken")

        return handle

    options = ConsumerOptions(service="tests", name="reader", stream=ALERTS, subjects=(ALERT_REPORTED_SUBJECT,))
    async with AsyncExitStack() as stack:
        for number, connection in enumerate(meshes):
            await stack.enter_async_context(running_consumer(connection, options, handler(number)))
            published = await _publisher(connection).publish(event(f"alert {number}"))
            assert (published.stream, published.sequence) == (ALERTS, 1)
        for number in (0, 1):
            await eventually(lambda number=number: len(seen[number]) == 1)
            assert seen[number] == [(f"alert {number}", ALERT_REPORTED_SUBJECT, ALERTS)]
        one, other = (DeadLetters(connection, _publisher(connection)) for connection in meshes)
        await eventually(lambda: _messages(meshes[1], DEAD_LETTERS))
        (letter,) = await other.list()
        assert (letter.original_subject, letter.original_stream) == (ALERT_REPORTED_SUBJECT, ALERTS)
        assert await one.list() == []
        broken[0] = False
        await other.retry(letter.sequence)
        await eventually(lambda: len(seen[1]) == 2)
        assert await other.list() == []
        assert len(seen[0]) == 1


async def test_batch_readers_follow_their_own_partition(meshes: Meshes) -> None:
    options = BatchOptions(service="tests", name="p", stream=READINGS, subject=readings_subject(3))
    for number, connection in enumerate(meshes):
        for value in range(3 + number):
            reading = Event(readings_subject(3), StringValue(value=f"{number}-{value}"), id=str(value))
            assert (await _publisher(connection).publish(reading)).stream == READINGS
    for number, connection in enumerate(meshes):
        publisher = _publisher(connection)
        async with open_batch_reader(connection, options, publisher=publisher) as reader:
            got: list[Delivery] = []
            while len(got) < 3 + number:
                got += await reader.fetch(10, timedelta(seconds=5))
            assert [each.decode(StringValue).value for each in got] == [f"{number}-{v}" for v in range(3 + number)]
            assert {(each.subject, each.stream) for each in got} == {(readings_subject(3), READINGS)}
            await reader.dead_letter(got[0], reason="tests")
            await reader.ack(got[1:])
            await eventually(reader.drained)
        assert (await stream_of_readings(connection)).last == 3 + number
        assert [letter.original_stream for letter in await DeadLetters(connection, publisher).list()] == [READINGS]


async def test_windows_written_as_one_reach_the_live_feed_of_their_mesh(meshes: Meshes) -> None:
    heard: list[list[str]] = [[], []]

    def hear(number: int) -> Any:
        def on_window(window: ClosedWindow) -> None:
            assert isinstance(window, FeedWindow)
            heard[number].append(window.room)

        return on_window

    feeds = [WindowFeed(connection) for connection in meshes]
    for number, feed in enumerate(feeds):
        await feed.start(hear(number))
    for number, connection in enumerate(meshes):
        done = await _publisher(connection).publish_in_order(_windows(f"room-{number}", 5))
        assert done == (5, None)
        assert await _messages(connection, WINDOWS) == 5
    await eventually(lambda: heard == [["room-0"] * 5, ["room-1"] * 5])
    for feed in feeds:
        await feed.stop()


def _windows(room: str, count: int) -> Sequence[Encoded]:
    subject = window_closed_subject("b", room, "co2")
    return [encode(Event(subject, WindowClosed(building="b", room=room)), source="tests") for _ in range(count)]


async def test_buckets_and_webhooks_consumers(meshes: Meshes) -> None:
    stores = [JetStreamDocuments(connection, bucket="PAPERS", ttl=timedelta(hours=1)) for connection in meshes]
    await asyncio.gather(*(store.put("invoice", b"of %d" % number) for number, store in enumerate(stores)))
    assert [await store.get("invoice") for store in stores] == [b"of 0", b"of 1"]

    unused: Any = None
    feed = PublicFeed(meshes[1], _publisher(meshes[1]), unused, unused)
    await feed.begin(["tocsin.events.v1.VideoProbed"])
    (made,) = await meshes[1].js.consumers_info("STAGE_VIDEOS")
    assert made.config.filter_subjects == ["stage.tocsin.videos.v1.probed"]
    assert await meshes[0].js.consumers_info(VIDEOS) == []
