import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from services.chassis.errors import Unavailable
from services.chassis.nats import (
    BatchOptions,
    BatchReader,
    ConsumerLost,
    Delivery,
    Event,
    NatsConnection,
    Publisher,
    TopologyOptions,
    ensure_streams,
    open_batch_reader,
    open_nats,
)
from services.chassis.nats.batch_reader import StreamShortened
from services.chassis.nats.topology import READINGS, readings_subject, stream_specs
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.nats import NatsServer

OPTIONS = BatchOptions(service="tests", name="partition_3", stream=READINGS, subject=readings_subject(3))
WAIT = timedelta(seconds=5)


def reading(value: str, partition: int = 3) -> Event:
    return Event(readings_subject(partition), StringValue(value=value), id=f"{partition}-{value}")


def values(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.decode(StringValue).value for delivery in deliveries]


async def publish(publisher: Publisher, numbers: range, partition: int = 3) -> None:
    for n in numbers:
        await publisher.publish(reading(str(n), partition))


async def fetch_exactly(reader: BatchReader, count: int) -> list[Delivery]:
    got: list[Delivery] = []
    while len(got) < count:
        more = await reader.fetch(count - len(got), WAIT)
        assert more, f"only {len(got)} of {count} came"
        got.extend(more)
    return got


async def test_batches_come_in_order_and_only_from_their_partition(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    await publish(publisher, range(50))
    await publish(publisher, range(5), partition=4)
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        first = await fetch_exactly(reader, 20)
        await reader.ack(first)
        rest = await fetch_exactly(reader, 30)
        await reader.ack(rest)
        assert await reader.fetch(10, timedelta(milliseconds=100)) == []
    assert values([*first, *rest]) == [str(n) for n in range(50)]
    await eventually(lambda: left_in_queue(nats_connection, 5))


async def left_in_queue(connection: NatsConnection, count: int) -> bool:
    return (await connection.js.stream_info(READINGS)).state.messages == count


async def test_the_next_reader_gets_what_was_not_acknowledged_first_and_in_order(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    await publish(publisher, range(10))
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        taken = await fetch_exactly(reader, 6)
        await reader.ack(taken[:2])
    await publish(publisher, range(10, 12))
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        assert values(await fetch_exactly(reader, 10)) == [str(n) for n in range(2, 12)]


async def test_whoever_is_taken_over_is_told(nats_connection: NatsConnection, publisher: Publisher) -> None:
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as old:
        assert await old.fetch(1, timedelta(milliseconds=50)) == []
        async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as new:

            async def told() -> bool:
                try:
                    await old.fetch(1, timedelta(milliseconds=50))
                except ConsumerLost:
                    return True
                return False

            await eventually(told)
            await publish(publisher, range(3))
            assert values(await fetch_exactly(new, 3)) == ["0", "1", "2"]


async def test_a_poisonous_message_goes_to_the_dead_letters_and_the_rest_goes_on(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    await publish(publisher, range(3))
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        first, poison, last = await fetch_exactly(reader, 3)
        await reader.dead_letter(poison, reason="cannot be read")
        await reader.ack([first, last])
        await eventually(lambda: left_in_queue(nats_connection, 0))
    (letter,) = await DeadLetters(nats_connection, publisher).list()
    assert (letter.reason, letter.consumer) == ("cannot be read", "partition_3")


async def test_what_is_held_for_long_is_not_delivered_again(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    options = BatchOptions(
        service="tests",
        name="partition_3",
        stream=READINGS,
        subject=readings_subject(3),
        ack_wait=timedelta(milliseconds=300),
    )
    await publish(publisher, range(2))
    async with open_batch_reader(nats_connection, options, publisher=publisher) as reader:
        held = await fetch_exactly(reader, 2)
        assert await reader.fetch(2, timedelta(seconds=1)) == []
        await reader.ack(held)


async def test_after_a_killed_server_everything_unacknowledged_comes_again_in_order(
    nats_servers: Callable[[], NatsServer],
) -> None:
    server = nats_servers()
    async with open_nats(server.url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions())
        publisher = Publisher(connection, source="tocsin/tests", timeout=timedelta(seconds=10))
        await publish(publisher, range(10))
        async with open_batch_reader(connection, OPTIONS, publisher=publisher) as reader:
            await reader.ack(await fetch_exactly(reader, 4))
            await fetch_exactly(reader, 3)
            await connection.nc.flush()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await publish(publisher, range(10, 12))
            applied: list[str] = []

            async def caught_up() -> bool:
                try:
                    batch = await reader.fetch(100, timedelta(milliseconds=200))
                except Unavailable:
                    return False
                applied.extend(values(batch))
                await reader.ack(batch)
                return "11" in applied

            await eventually(caught_up)
        # A server killed between an acknowledgement and its write gives that message again, never out of order.
        assert applied[-8:] == [str(n) for n in range(4, 12)]
        assert applied == sorted(applied, key=int)


async def test_the_topology_is_made_once_and_follows_its_declaration(nats_connection: NatsConnection) -> None:
    assert await ensure_streams(nats_connection, TopologyOptions()) == []
    larger = TopologyOptions(max_bytes={READINGS: 3_000_000_000}, partitions=16)
    assert await ensure_streams(nats_connection, larger) == [READINGS]
    config = (await nats_connection.js.stream_info(READINGS)).config
    assert (config.max_bytes, len(config.subjects or [])) == (3_000_000_000, 16)
    names = {info.config.name for info in await nats_connection.js.streams_info()}
    assert names == {spec.name for spec in stream_specs(larger)}


async def test_a_full_stream_pushes_back(nats_url: str) -> None:
    async with open_nats(nats_url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions(max_bytes={READINGS: 4096}))
        publisher = Publisher(connection, source="tocsin/tests", timeout=timedelta(milliseconds=300))
        stored = 0
        with pytest.raises(Unavailable, match="maximum bytes"):
            while True:
                await publisher.publish(reading(str(stored)))
                stored += 1
        assert stored > 0
        assert (await connection.js.stream_info(READINGS)).state.messages == stored


async def arrived(reader: BatchReader, count: int) -> None:
    """Until so many messages lie with the reader, sent but not fetched."""
    await eventually(lambda: len(reader._source._buffer) == count)


async def test_messages_that_were_sent_to_a_pull_that_fell_silent_come_before_later_ones(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        assert await reader.fetch(10, timedelta(milliseconds=50)) == []
        await publish(publisher, range(3))
        await arrived(reader, 3)
        # A pause of the process: what was sent lies in a socket that is given up for its silence.
        reader._source._buffer.clear()
        reader._source._last_sign = -60.0
        await publish(publisher, range(3, 6))
        got: list[Delivery] = []

        async def all_of_them() -> bool:
            got.extend(await reader.fetch(10, timedelta(milliseconds=200)))
            return len(got) >= 6

        await eventually(all_of_them)
        assert values(got) == [str(n) for n in range(6)]
        await reader.ack(got)
    await eventually(lambda: left_in_queue(nats_connection, 0))


async def test_nothing_is_handed_out_past_a_message_that_got_lost_on_its_way(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        assert await reader.fetch(10, timedelta(milliseconds=50)) == []
        await publish(publisher, range(4))
        await arrived(reader, 4)
        del reader._source._buffer[1]
        assert await reader.fetch(10, WAIT) == []
        assert values(await fetch_exactly(reader, 4)) == ["0", "1", "2", "3"]


async def test_a_pull_of_somebody_else_is_noticed(nats_connection: NatsConnection, publisher: Publisher) -> None:
    async with open_batch_reader(nats_connection, OPTIONS, publisher=publisher) as reader:
        thief = await nats_connection.js.pull_subscribe_bind(OPTIONS.durable, READINGS)
        await publish(publisher, range(1))
        assert len(await thief.fetch(1)) == 1
        await publish(publisher, range(1, 3))
        assert values(await fetch_all(reader, 3)) == ["0", "1", "2"]
        await thief.unsubscribe()


async def fetch_all(reader: BatchReader, count: int) -> list[Delivery]:
    """As `fetch_exactly`, over renewals."""
    got: list[Delivery] = []

    async def enough() -> bool:
        got.extend(await reader.fetch(count, timedelta(milliseconds=200)))
        return len(got) >= count

    await eventually(enough)
    return got


async def test_a_stream_that_comes_back_shorter_is_told(nats_servers: Callable[[], NatsServer]) -> None:
    server = nats_servers()
    async with open_nats(server.url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions())
        publisher = Publisher(connection, source="tocsin/tests", timeout=timedelta(seconds=10))
        async with open_batch_reader(connection, OPTIONS, publisher=publisher) as reader:
            await publish(publisher, range(20))
            await reader.ack((await fetch_all(reader, 20))[:10])
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.cut_stream, READINGS)
            await asyncio.to_thread(server.start)

            async def told() -> bool:
                try:
                    await reader.fetch(1, timedelta(milliseconds=100))
                except StreamShortened:
                    return True
                except Unavailable:
                    return False
                return False

            await eventually(told)
