"""What no handler can read is put aside once, with what is known of it, and what comes behind it goes on."""

import asyncio
from datetime import timedelta

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from services.chassis.errors import FailedPrecondition, InvalidArgument
from services.chassis.nats import (
    ConsumerOptions,
    DeadLetter,
    Delivery,
    Encoded,
    NatsConnection,
    Publisher,
    RetryPolicy,
)
from services.chassis.nats.dead_letters import MAX_MESSAGE
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT, ALERTS
from services.chassis.postgres.outbox import MAX_EVENT_BYTES
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.messaging import event, running_consumer
from tests.support.nats import send_raw

# Retries would take minutes: what is put aside in these tests is put aside at once.
PATIENT = RetryPolicy(max_attempts=8, base=timedelta(seconds=60), cap=timedelta(seconds=60))
OPTIONS = ConsumerOptions(service="tests", name="reader", stream=ALERTS, retry=PATIENT, max_ack_pending=100)


class SqlDataError(Exception):
    sqlstate = "22021"


async def letters_of(connection: NatsConnection, publisher: Publisher, count: int) -> list[DeadLetter]:
    letters = DeadLetters(connection, publisher)

    async def there() -> list[DeadLetter] | None:
        found = await letters.list(limit=count + 10)
        return list(found) if len(found) >= count else None

    found = await eventually(there)
    assert len(found) == count
    return found


async def read(delivery: Delivery) -> None:
    delivery.decode(StringValue)


@pytest.mark.parametrize(
    "error",
    [InvalidArgument("no"), ValueError("no"), UnicodeError("no"), SqlDataError("no")],
    ids=lambda e: type(e).__name__,
)
async def test_content_that_is_wrong_is_not_tried_again(
    nats_connection: NatsConnection, publisher: Publisher, error: Exception
) -> None:
    async def handle(_: Delivery) -> None:
        raise error

    await publisher.publish(event("x"))
    async with running_consumer(nats_connection, OPTIONS, handle):
        (letter,) = await letters_of(nats_connection, publisher, 1)
    assert (letter.reason, letter.error_type, letter.attempts) == ("no", type(error).__name__, 1)


async def test_headers_that_cannot_be_sent_on_do_not_keep_a_message_from_the_dead_letters(
    nats_connection: NatsConnection, publisher: Publisher, nats_url: str
) -> None:
    blocks = [
        b"NATS/1.0\r\nbad name@: 1\r\ngood: 2\r\nce-id: \xff\xfe\r\n(x): y\r\n\r\n",
        b"NATS/1.0\r\nce-id: %s\r\n\r\n" % (b"i" * 5000),
        b"x",
        b"NATS/1.0 \xff\r\n\r\n",
    ]
    commands = [
        b"HPUB %s %d %d\r\n%s\xff\xff\r\n" % (ALERT_REPORTED_SUBJECT.encode(), len(block), len(block) + 2, block)
        for block in blocks
    ]
    await send_raw(nats_url, b"".join(commands))
    async with running_consumer(nats_connection, OPTIONS, read):
        found = await letters_of(nats_connection, publisher, len(blocks))
    assert all(letter.payload == b"\xff\xff" for letter in found)
    assert all(letter.reason == "not a well-formed google.protobuf.StringValue" for letter in found)
    assert found[0].headers["good"] == "2"


@pytest.mark.parametrize("size", [MAX_EVENT_BYTES, MAX_MESSAGE - 200])
async def test_a_message_as_large_as_the_broker_takes_is_put_aside_too(
    nats_connection: NatsConnection, publisher: Publisher, size: int
) -> None:
    async def handle(_: Delivery) -> None:
        raise ValueError("ä" * 10_000)

    payload = b"x" * size
    await publisher.publish_encoded(Encoded(ALERT_REPORTED_SUBJECT, payload, {"ce-id": "large"}))
    async with running_consumer(nats_connection, OPTIONS, handle):
        (letter,) = await letters_of(nats_connection, publisher, 1)
    assert letter.cut == (size > MAX_EVENT_BYTES)
    assert payload.startswith(letter.payload)
    assert len(letter.payload) == size or letter.cut
    letters = DeadLetters(nats_connection, publisher)
    if letter.cut:
        with pytest.raises(FailedPrecondition):
            await letters.retry(letter.sequence)
    else:
        await letters.retry(letter.sequence)


async def test_a_flood_of_garbage_holds_nobody_up(
    nats_connection: NatsConnection, publisher: Publisher, nats_url: str
) -> None:
    handled = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        assert delivery.decode(StringValue).value == "good"
        handled.set()

    # More than may be under way at a time, on a subject that is no UTF-8.
    garbage = b"PUB tocsin.alerts.v1.\xff\xfe 2\r\n\xff\xff\r\n" * 300
    await send_raw(nats_url, garbage)
    async with running_consumer(nats_connection, OPTIONS, handle):
        await publisher.publish(event("good"))
        async with asyncio.timeout(10):
            await handled.wait()
        found = await letters_of(nats_connection, publisher, 300)
    assert {letter.original_subject for letter in found} == {"tocsin.alerts.v1.\\xff\\xfe"}
    assert nats_connection.reconnects == 0


async def test_what_fails_while_it_is_put_aside_harms_no_other_message(
    nats_connection: NatsConnection, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def handle(delivery: Delivery) -> None:
        seen.append(delivery.decode(StringValue).value)
        if seen[-1] == "poison":
            raise ValueError("no")

    async def broken(*_: object) -> None:
        monkeypatch.undo()
        raise TypeError("a defect")

    monkeypatch.setattr(Publisher, "publish_encoded", broken)
    options = ConsumerOptions(
        service="tests", name="reader", stream=ALERTS, retry=PATIENT, ack_wait=timedelta(milliseconds=300)
    )
    async with running_consumer(nats_connection, options, handle):
        await nats_connection.js.publish(ALERT_REPORTED_SUBJECT, StringValue(value="poison").SerializeToString())
        await eventually(lambda: seen.count("poison") >= 2)
        await publisher.publish(event("good"))
        await eventually(lambda: "good" in seen)
        await letters_of(nats_connection, publisher, 1)
