"""Batches of messages for one handler: order, isolation of what is bad, redelivery, stop."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from google.protobuf.wrappers_pb2 import StringValue

from services.chassis.errors import Unavailable
from services.chassis.nats import (
    BatchConsumer,
    BatchHandler,
    ConsumerOptions,
    Delivery,
    NatsConnection,
    Outcomes,
    Permanent,
    Publisher,
    RetryAfter,
    RetryPolicy,
)
from services.chassis.nats.topology import ALERTS
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.messaging import event

FAST = RetryPolicy(max_attempts=3, base=timedelta(milliseconds=20), cap=timedelta(milliseconds=50))


@asynccontextmanager
async def running(connection: NatsConnection, handler: BatchHandler, **more: object) -> AsyncGenerator[asyncio.Event]:
    values: dict[str, object] = {"service": "tests", "name": "reader", "stream": ALERTS, "retry": FAST}
    options = ConsumerOptions(**(values | more))  # pyright: ignore[reportArgumentType]
    consumer = BatchConsumer(connection, options, handler, publisher=Publisher(connection, source="tocsin/tests"))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run(stop))
        try:
            yield stop
        finally:
            stop.set()


def value(delivery: Delivery) -> str:
    return delivery.decode(StringValue).value


async def settled(connection: NatsConnection) -> bool:
    info = await connection.js.consumer_info(ALERTS, "tests_reader")
    return not info.num_pending and not info.num_ack_pending


async def test_what_has_gathered_is_handled_together_in_order(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    batches: list[list[str]] = []

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        batches.append([value(delivery) for delivery in deliveries])
        return [None] * len(deliveries)

    for n in range(100):
        await publisher.publish(event(f"{n:03}"))
    async with running(nats_connection, handle, max_in_flight=40):
        await eventually(lambda: sum(map(len, batches)) == 100)
        await eventually(lambda: settled(nats_connection))
    assert [one for batch in batches for one in batch] == [f"{n:03}" for n in range(100)]
    assert max(map(len, batches)) <= 40
    assert len(batches) < 50


async def test_each_message_of_a_batch_has_its_own_outcome(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    seen: list[tuple[str, int]] = []

    def judged(delivery: Delivery) -> Exception | None:
        name = value(delivery)
        seen.append((name, delivery.attempt))
        if name == "hopeless":
            return Permanent("hopeless")
        return RetryAfter(timedelta(milliseconds=50)) if name == "later" and delivery.attempt == 1 else None

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        return [judged(delivery) for delivery in deliveries]

    await publisher.publish_many([event("good"), event("hopeless"), event("later")])
    async with running(nats_connection, handle):
        await eventually(lambda: ("later", 2) in seen)
        await eventually(lambda: settled(nats_connection))
    assert sorted(seen) == [("good", 1), ("hopeless", 1), ("later", 1), ("later", 2)]
    (letter,) = await DeadLetters(nats_connection, publisher).list()
    assert (letter.consumer, letter.reason, letter.attempts) == ("reader", "hopeless", 1)


async def test_a_message_that_spoils_its_batch_harms_nobody(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    done: list[str] = []

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        names = [value(delivery) for delivery in deliveries]
        if "bad" in names:
            raise RuntimeError("the whole transaction is lost")
        done.extend(names)
        return [None] * len(names)

    names = ["a", "b", "bad", "c"]
    for name in names:
        await publisher.publish(event(name))
    letters = DeadLetters(nats_connection, publisher)
    async with running(nats_connection, handle):
        await eventually(letters.list)
        await eventually(lambda: settled(nats_connection))
    assert done == ["a", "b", "c"]
    (letter,) = await letters.list()
    assert (letter.attempts, letter.error_type) == (FAST.max_attempts, "RuntimeError")


async def test_our_own_outage_postpones_a_batch_and_makes_no_dead_letter(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    calls = 0
    done: set[str] = set()

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        nonlocal calls
        calls += 1
        if calls <= FAST.max_attempts * 4:
            raise Unavailable("the database is down")
        done.update(value(delivery) for delivery in deliveries)
        return [None] * len(deliveries)

    await publisher.publish_many([event(str(n)) for n in range(3)])
    async with running(nats_connection, handle):
        await eventually(lambda: done == {"0", "1", "2"})
        await eventually(lambda: settled(nats_connection))
    assert await DeadLetters(nats_connection, publisher).list() == []


async def test_a_batch_slower_than_ack_wait_is_not_disturbed(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    attempts: list[int] = []

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        attempts.extend(delivery.attempt for delivery in deliveries)
        began = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() - began > 1.2)
        return [None] * len(deliveries)

    await publisher.publish_many([event("a"), event("b")])
    async with running(nats_connection, handle, ack_wait=timedelta(milliseconds=300)):
        await eventually(lambda: len(attempts) == 2)
        await eventually(lambda: settled(nats_connection))
    assert attempts == [1, 1]


async def test_a_stop_hands_back_a_batch_that_does_not_end(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    begun = asyncio.Event()

    async def endless(_: Sequence[Delivery]) -> Outcomes:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    again: list[str] = []

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        again.extend(value(delivery) for delivery in deliveries)
        return [None] * len(deliveries)

    await publisher.publish_many([event("a"), event("b")])
    patient = {"ack_wait": timedelta(minutes=5)}
    async with running(nats_connection, endless, stop_budget=timedelta(milliseconds=100), **patient):
        await begun.wait()
    async with running(nats_connection, handle, **patient):
        await eventually(lambda: sorted(again) == ["a", "b"])


async def test_a_dead_letter_sent_back_to_another_consumer_is_left_to_it(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    broken = True
    seen: list[str] = []
    other: list[str] = []

    async def handle(deliveries: Sequence[Delivery]) -> Outcomes:
        seen.extend(value(delivery) for delivery in deliveries)
        return [Permanent("broken") if broken else None for _ in deliveries]

    async def handle_too(deliveries: Sequence[Delivery]) -> Outcomes:
        other.extend(value(delivery) for delivery in deliveries)
        return [None] * len(deliveries)

    letters = DeadLetters(nats_connection, publisher)
    await publisher.publish(event("x"))
    async with running(nats_connection, handle), running(nats_connection, handle_too, name="other"):
        (letter,) = await eventually(letters.list)
        broken = False
        await letters.retry(letter.sequence)
        await eventually(lambda: seen == ["x", "x"])
        await publisher.publish(event("y"))
        await eventually(lambda: other == ["x", "y"])
