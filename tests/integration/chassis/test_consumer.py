import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from prometheus_client import REGISTRY

from services.chassis.errors import Unavailable
from services.chassis.nats import (
    ConsumerOptions,
    DeadLetter,
    Delivery,
    NatsConnection,
    Permanent,
    Publisher,
    RetryAfter,
    RetryPolicy,
    TopologyOptions,
    consumer_lag,
    ensure_streams,
    open_nats,
)
from services.chassis.nats.topology import ALERTS
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.messaging import event, running_consumer
from tests.support.nats import NatsServer

FAST = RetryPolicy(max_attempts=3, base=timedelta(milliseconds=20), cap=timedelta(milliseconds=50))


def options(**more: object) -> ConsumerOptions:
    values: dict[str, object] = {"service": "tests", "name": "reader", "stream": ALERTS, "retry": FAST}
    return ConsumerOptions(**(values | more))  # pyright: ignore[reportArgumentType]


async def unsettled(connection: NatsConnection, durable: str = "tests_reader") -> int:
    info = await connection.js.consumer_info(ALERTS, durable)
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


async def the_dead_letter(letters: DeadLetters) -> DeadLetter | None:
    found = await letters.list()
    return found[0] if found else None


async def test_what_is_published_is_handled_once_and_acknowledged(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    seen: Counter[str] = Counter()

    async def handle(delivery: Delivery) -> None:
        seen[delivery.decode(StringValue).value] += 1

    await publisher.publish_many([event(str(n)) for n in range(500)])
    async with running_consumer(nats_connection, options(), handle):
        await eventually(lambda: len(seen) == 500)
        await publisher.publish(event("late"))
        await eventually(lambda: seen["late"] == 1)
    assert set(seen.values()) == {1}
    assert await unsettled(nats_connection) == 0


async def test_what_waits_at_the_consumer_is_told(
    nats_connection: NatsConnection, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_lag, "EVERY_SECONDS", 0.02)
    gate = asyncio.Event()

    async def handle(_: Delivery) -> None:
        await gate.wait()

    def told() -> float | None:
        return REGISTRY.get_sample_value("tocsin_consumer_waiting_messages", {"consumer": "tests/reader"})

    await publisher.publish_many([event(str(n)) for n in range(5)])
    async with running_consumer(nats_connection, options(max_in_flight=1), handle):
        await eventually(lambda: told() == 4)
        gate.set()
        await eventually(lambda: told() == 0)


async def test_no_more_than_max_in_flight_run_at_once(nats_connection: NatsConnection, publisher: Publisher) -> None:
    running = highest = 0
    gate = asyncio.Event()

    async def handle(_: Delivery) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await gate.wait()
        running -= 1

    await publisher.publish_many([event(str(n)) for n in range(20)])
    async with running_consumer(nats_connection, options(max_in_flight=4), handle):
        await eventually(lambda: running == 4)
        gate.set()
        await eventually(lambda: unsettled_is_zero(nats_connection))
    assert highest == 4


async def unsettled_is_zero(connection: NatsConnection) -> bool:
    return await unsettled(connection) == 0


async def test_a_failure_is_retried_until_it_succeeds(nats_connection: NatsConnection, publisher: Publisher) -> None:
    attempts: list[int] = []

    async def handle(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) < 3:
            raise RuntimeError("not yet")

    await publisher.publish(event("flaky"))
    async with running_consumer(nats_connection, options(), handle):
        await eventually(lambda: unsettled_is_zero_after(nats_connection, attempts))
    assert attempts == [1, 2, 3]


async def unsettled_is_zero_after(connection: NatsConnection, attempts: list[int]) -> bool:
    return bool(attempts) and await unsettled(connection) == 0


async def test_after_the_last_attempt_it_is_a_dead_letter_with_its_history(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async def handle(delivery: Delivery) -> None:
        raise RuntimeError(f"attempt {delivery.attempt} broke")

    letters = DeadLetters(nats_connection, publisher)
    stored = await publisher.publish(event("doomed", event_id="e-1"))
    async with running_consumer(nats_connection, options(), handle):
        letter = await eventually(lambda: the_dead_letter(letters))
    assert (letter.service, letter.consumer, letter.attempts) == ("tests", "reader", 3)
    assert (letter.original_stream, letter.original_sequence) == (ALERTS, stored.sequence)
    assert letter.original_subject == event("doomed").subject
    assert (letter.reason, letter.error_type) == ("attempt 3 broke", "RuntimeError")
    assert [failure.reason for failure in letter.history] == [f"attempt {n} broke" for n in (1, 2, 3)]
    assert letter.first_seen <= letter.history[0].at <= letter.failed_at
    assert letter.headers["ce-id"] == "e-1"
    assert StringValue.FromString(letter.payload).value == "doomed"
    assert await letters.get(letter.sequence) == letter
    assert await unsettled(nats_connection) == 0


async def test_a_permanent_failure_is_a_dead_letter_at_once(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async def handle(delivery: Delivery) -> None:
        delivery.decode(Int32Value)

    letters = DeadLetters(nats_connection, publisher)
    await publisher.publish(event("of another type"))
    async with running_consumer(nats_connection, options(), handle):
        letter = await eventually(lambda: the_dead_letter(letters))
    assert letter.attempts == 1
    assert letter.reason == "expected a google.protobuf.Int32Value, got a google.protobuf.StringValue"


async def test_a_dead_letter_sent_back_reaches_only_the_consumer_that_failed(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    broken = True
    done: list[Delivery] = []
    others: list[Delivery] = []

    async def handle(delivery: Delivery) -> None:
        if broken:
            raise Permanent("broken")
        done.append(delivery)

    async def handle_too(delivery: Delivery) -> None:
        others.append(delivery)

    letters = DeadLetters(nats_connection, publisher)
    await publisher.publish(event("x", event_id="e-1"))
    async with (
        running_consumer(nats_connection, options(), handle),
        running_consumer(nats_connection, options(name="other"), handle_too),
    ):
        letter = await eventually(lambda: the_dead_letter(letters))
        broken = False
        await letters.retry(letter.sequence)
        await eventually(lambda: done)
        await publisher.publish(event("y"))
        await eventually(lambda: len(others) == 2)
    assert (done[0].id, done[0].attempt) == ("e-1", 1)
    assert [delivery.decode(StringValue).value for delivery in others] == ["x", "y"]
    assert await letters.list() == []


async def test_dead_letters_are_listed_in_pages_and_archived(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async def handle(delivery: Delivery) -> None:
        raise Permanent(delivery.decode(StringValue).value)

    letters = DeadLetters(nats_connection, publisher)
    for n in range(5):
        await publisher.publish(event(str(n)))
    async with running_consumer(nats_connection, options(max_in_flight=1), handle):
        await eventually(lambda: has_count(letters, 5))
    first = await letters.list(service="tests", limit=2)
    rest = await letters.list(service="tests", after=first[-1].sequence)
    assert [letter.reason for letter in (*first, *rest)] == ["0", "1", "2", "3", "4"]
    assert await letters.list(service="nobody") == []
    await letters.archive(first[0].sequence)
    await letters.archive(first[0].sequence)
    assert len(await letters.list()) == 4


async def has_count(letters: DeadLetters, count: int) -> bool:
    return len(await letters.list()) == count


async def test_retry_after_waits_as_long_as_it_says(nats_connection: NatsConnection, publisher: Publisher) -> None:
    times: list[float] = []

    async def handle(_: Delivery) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise RetryAfter(timedelta(milliseconds=400))

    await publisher.publish(event("x"))
    async with running_consumer(nats_connection, options(), handle):
        await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.4


async def test_our_own_outage_never_makes_a_dead_letter(nats_connection: NatsConnection, publisher: Publisher) -> None:
    attempts = 0

    async def handle(_: Delivery) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= FAST.max_attempts * 2:
            raise Unavailable("the database is down")

    await publisher.publish(event("x"))
    async with running_consumer(nats_connection, options(), handle):
        await eventually(lambda: attempts > FAST.max_attempts * 2)
    assert await DeadLetters(nats_connection, publisher).list() == []


async def test_a_handler_slower_than_ack_wait_is_not_disturbed(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    starts = 0
    finish = asyncio.Event()

    async def handle(_: Delivery) -> None:
        nonlocal starts
        starts += 1
        await finish.wait()

    await publisher.publish(event("slow"))
    async with running_consumer(nats_connection, options(ack_wait=timedelta(milliseconds=300)), handle):
        await eventually(lambda: starts == 1)
        began = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() - began > 1.2)
        finish.set()
        await eventually(lambda: unsettled_is_zero(nats_connection))
    assert starts == 1


async def test_a_stop_finishes_what_runs_and_hands_back_the_rest(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    started: list[str] = []
    finished: list[str] = []

    async def handle(delivery: Delivery) -> None:
        name = delivery.decode(StringValue).value
        started.append(name)
        if name == "quick":
            await stopping.wait()
            finished.append(name)
        else:
            await asyncio.Event().wait()

    stopping = asyncio.Event()
    await publisher.publish_many([event("quick"), event("endless")])
    slow = options(stop_budget=timedelta(milliseconds=300), ack_wait=timedelta(minutes=5))
    async with running_consumer(nats_connection, slow, handle) as stop:
        await eventually(lambda: len(started) == 2)
        stop.set()
        stopping.set()
    assert finished == ["quick"]

    again: list[str] = []

    async def handle_again(delivery: Delivery) -> None:
        again.append(delivery.decode(StringValue).value)

    async with running_consumer(nats_connection, slow, handle_again):
        await eventually(lambda: again)
    assert again == ["endless"]


async def test_a_killed_server_loses_nothing_and_silences_nobody(nats_servers: Callable[[], NatsServer]) -> None:
    server = nats_servers()
    seen: Counter[str] = Counter()

    async def handle(delivery: Delivery) -> None:
        seen[delivery.decode(StringValue).value] += 1

    async with open_nats(server.url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions())
        publisher = Publisher(connection, source="tocsin/tests", timeout=timedelta(seconds=20))
        async with running_consumer(connection, options(ack_wait=timedelta(seconds=2)), handle):
            await publisher.publish(event("before"))
            await eventually(lambda: seen["before"])
            for turn in (0, 1):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(publisher.publish_many([event(f"{turn}-{n}") for n in range(2000)]))
                    await eventually(lambda turn=turn: seen[f"{turn}-0"])
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
                expected = 1 + 2000 * (turn + 1)
                await eventually(lambda expected=expected: len(seen) == expected, timeout=20)
            # A consumer whose server was restarted while nothing flowed must still hear what comes next.
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await publisher.publish(event("after"))
            await eventually(lambda: seen["after"])


async def test_a_deleted_consumer_is_made_again(nats_connection: NatsConnection, publisher: Publisher) -> None:
    seen: list[str] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.decode(StringValue).value)

    async with running_consumer(nats_connection, options(), handle):
        await publisher.publish(event("one"))
        await eventually(lambda: "one" in seen)
        await nats_connection.js.delete_consumer(ALERTS, "tests_reader")
        await publisher.publish(event("two"))
        await eventually(lambda: "two" in seen)


async def test_publishing_without_a_server_is_unavailable_after_the_timeout(
    nats_servers: Callable[[], NatsServer],
) -> None:
    server = nats_servers()
    async with open_nats(server.url, name="tests") as connection:
        publisher = Publisher(connection, source="tocsin/tests", timeout=timedelta(milliseconds=300))
        with pytest.raises(Unavailable, match="no stream takes this subject"):
            await publisher.publish(event("x"))
        await ensure_streams(connection, TopologyOptions())
        await asyncio.to_thread(server.kill)
        with pytest.raises(Unavailable):
            await publisher.publish(event("x"))


async def test_closing_ends_well_when_a_task_of_the_client_is_cancelled_that_waits_for_the_same_socket(
    nats_servers: Callable[[], NatsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_nats(nats_servers().url, name="tests") as connection:
        transport = connection.nc._transport
        assert transport is not None

        async def cancelled_with_another() -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(transport, "wait_closed", cancelled_with_another)
    assert connection.nc.is_closed


async def test_closing_ends_an_attempt_to_reconnect_that_misses_its_cancellation(
    nats_servers: Callable[[], NatsServer],
) -> None:
    server = nats_servers()
    swallowed = asyncio.Event()

    async def refused() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        swallowed.set()
        await asyncio.Event().wait()

    async with open_nats(server.url, name="tests") as connection:
        await asyncio.to_thread(server.kill)
        await eventually(lambda: connection.nc.is_reconnecting)
        real = connection.nc._reconnection_task  # pyright: ignore[reportPrivateUsage]
        while real is not None and not real.done():
            real.cancel()
            await asyncio.wait([real], timeout=0.05)
        attempt = asyncio.create_task(refused())
        connection.nc._reconnection_task = attempt  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)  # it has begun
    assert swallowed.is_set()
    assert attempt.cancelled()


async def test_what_was_taken_over_another_connection_is_not_acknowledged_over_this_one(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    taken, go_on, seen = asyncio.Event(), asyncio.Event(), list[int]()

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.attempt)
        taken.set()
        await go_on.wait()

    await publisher.publish(event("x"))
    async with running_consumer(nats_connection, options(ack_wait=timedelta(seconds=1)), handle):
        await taken.wait()
        await nats_connection.nc.force_reconnect()
        await eventually(lambda: nats_connection.reconnects == 1)
        go_on.set()
        # Its place in the stream may be another message's by now: it comes again, and is acknowledged then.
        await eventually(lambda: max(seen) >= 2)
        await eventually(lambda: unsettled_is_zero(nats_connection))
