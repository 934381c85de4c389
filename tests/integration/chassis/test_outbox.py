import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from types import NoneType
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue
from prometheus_client import REGISTRY

from services.chassis.errors import InvalidArgument, Unavailable
from services.chassis.nats import (
    Bundle,
    ConsumerOptions,
    Delivery,
    Encoded,
    Event,
    NatsConnection,
    Publisher,
    TopologyOptions,
    encode,
    ensure_streams,
    open_nats,
)
from services.chassis.nats.publisher import MAX_TOGETHER
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT, ALERTS, VIDEO_PROBED_SUBJECT, VIDEOS, WINDOWS
from services.chassis.postgres import (
    Connection,
    Database,
    InboxHandler,
    Outbox,
    OutboxRelay,
    migrate,
    open_database,
    relayed,
)
from tests.conftest import SCHEMA
from tests.support.dead_letter_stream import DeadLetters
from tests.support.eventually import eventually
from tests.support.messaging import event, running_consumer
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer

outbox = Outbox(source="tocsin/tests")


@asynccontextmanager
async def running_relay(dsn: str, publisher: Publisher, **more: Any) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(dsn, schema=SCHEMA, publisher=publisher, **more)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run(stop))
        try:
            yield relay
        finally:
            stop.set()


async def stored(connection: NatsConnection, stream: str = ALERTS) -> list[str]:
    """The values in the stream, in its order."""
    count = (await connection.js.stream_info(stream)).state.last_seq
    messages = [await connection.js.get_msg(stream, n) for n in range(1, count + 1)]
    return [StringValue.FromString(message.data or b"").value for message in messages]


async def waiting(database: Database) -> int:
    async with database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM outbox")


async def test_only_what_was_committed_is_published_and_in_order(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async with running_relay(chassis_dsn, publisher):
        with pytest.raises(RuntimeError, match="rolled back"):
            async with chassis_database.transaction() as connection:
                await outbox.add(connection, event("never"))
                raise RuntimeError("rolled back")
        for n in range(20):
            async with chassis_database.transaction() as connection:
                await outbox.add(connection, event(f"{n}-a", key="k"), event(f"{n}-b", key="k"))
        await eventually(lambda: is_empty(chassis_database))
    assert await stored(nats_connection) == [f"{n}-{part}" for n in range(20) for part in "ab"]


async def is_empty(database: Database) -> bool:
    return await waiting(database) == 0


def told(metric: str) -> float:
    return REGISTRY.get_sample_value(metric, {"schema": SCHEMA}) or 0.0


@pytest.mark.chaos
async def test_what_waits_is_told_by_the_relay_that_works(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    """As long as no stream takes the events."""

    async def add(*values: str) -> None:
        events = [Event("tocsin.nowhere.v1.x", StringValue(value=value), id=value) for value in values]
        async with chassis_database.transaction() as connection:
            await outbox.add(connection, *events)

    await add("a", "b")
    async with running_relay(chassis_dsn, publisher, measure_every=timedelta(0)):
        await eventually(lambda: told("tocsin_outbox_waiting_rows") == 2)
        first = told("tocsin_outbox_oldest_seconds")
        await eventually(lambda: told("tocsin_outbox_oldest_seconds") > first > 0)
        await add("c")
        await eventually(lambda: told("tocsin_outbox_waiting_rows") == 3)
    assert told("tocsin_outbox_waiting_rows") == told("tocsin_outbox_oldest_seconds") == 0
    assert await waiting(chassis_database) == 3


async def test_whoever_asks_is_told_when_the_broker_has_it(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async with chassis_database.transaction() as connection:
        rows = await outbox.add(connection, event("a"), event("b"))
    assert len(rows) == 2
    # Nobody relays yet: the wait has an end.
    assert not await relayed(chassis_database, rows, within=timedelta(milliseconds=50))
    async with running_relay(chassis_dsn, publisher):
        assert await relayed(chassis_database, rows, within=timedelta(seconds=20))
        assert await stored(nats_connection) == ["a", "b"]
    assert await relayed(chassis_database, [], within=timedelta(0))


async def test_a_commit_wakes_the_relay(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    # With a poll this far apart only NOTIFY can be the one that wakes.
    relay = OutboxRelay(chassis_dsn, schema=SCHEMA, publisher=publisher, poll=timedelta(hours=1))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run(stop))
        for n in range(5):
            async with chassis_database.transaction() as connection:
                await outbox.add(connection, event(str(n)))
            await eventually(lambda: is_empty(chassis_database), timeout=5)
        stop.set()
    assert await stored(nats_connection) == list("01234")


async def test_an_event_published_but_not_yet_deleted_is_not_doubled(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async with chassis_database.transaction() as connection:
        await outbox.add(connection, event("x"))
    # The process died between the acknowledgement and the delete.
    await publisher.publish(event("x"))
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database))
    assert await stored(nats_connection) == ["x"]


async def test_two_relays_keep_the_order_and_the_second_takes_over(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async def add(first: int) -> None:
        for n in range(first, first + 100):
            async with chassis_database.transaction() as connection:
                await outbox.add(connection, event(f"{n:04}", key="one"))

    async with running_relay(chassis_dsn, publisher, batch=7):
        async with running_relay(chassis_dsn, publisher, batch=7):
            await add(0)
            async with chassis_database.connection() as connection:
                # Whichever works now loses its connection in the middle of it.
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                )
            await add(100)
        await add(200)
        await eventually(lambda: is_empty(chassis_database))
    assert await stored(nats_connection) == [f"{n:04}" for n in range(300)]


async def test_a_relay_that_stands_by_asks_seldom_however_often_it_is_poked(
    chassis_dsn: str, chassis_database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def pause(events: Sequence[asyncio.Event], time: timedelta) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0) if any(event.is_set() for event in events) else await events[0].wait()

    stop = asyncio.Event()
    async with running_relay(chassis_dsn, publisher):
        async with chassis_database.transaction() as connection:
            await outbox.add(connection, event("first"))
        await eventually(lambda: is_empty(chassis_database))  # that one works
        waiting = OutboxRelay(chassis_dsn, schema=SCHEMA, publisher=publisher)
        monkeypatch.setattr(waiting, "_pause", pause)
        waiting.poke()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(waiting.run(stop))
            for n in range(20):
                waiting.poke()
                async with chassis_database.transaction() as connection:
                    await outbox.add(connection, event(f"{n}"))
            await eventually(lambda: is_empty(chassis_database))
            stop.set()
    assert asked == 1


async def test_thousands_of_events_leave_in_a_second_or_so(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    async with chassis_database.transaction() as connection:
        await outbox.add_many(connection, [event(str(n)) for n in range(10_000)])
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database), timeout=20)
    assert (await nats_connection.js.stream_info(ALERTS)).state.messages == 10_000


async def test_an_event_too_big_for_the_broker_is_refused_before_it_is_stored(chassis_database: Database) -> None:
    with pytest.raises(InvalidArgument):
        async with chassis_database.transaction() as connection:
            await outbox.add(connection, event("x" * 2_000_000, event_id="big"))
    assert await is_empty(chassis_database)


@pytest.mark.chaos
async def test_killed_servers_on_both_sides_lose_and_double_no_effect(
    postgres_servers: Callable[[], PostgresServer], nats_servers: Callable[[], NatsServer]
) -> None:
    postgres, nats = postgres_servers(), nats_servers()
    dsn = postgres.dsn()
    await migrate(dsn, SCHEMA, None)

    async def effect(connection: Connection, delivery: Delivery) -> None:
        await connection.execute("INSERT INTO effects VALUES ($1)", delivery.decode(StringValue).value)

    async with (
        open_database(dsn, schema=SCHEMA, application_name="tests") as database,
        open_nats(nats.url, name="tests") as connection,
    ):
        await ensure_streams(connection, TopologyOptions())
        async with database.connection() as session:
            # No unique key: a doubled effect shall show.
            await session.execute("CREATE TABLE effects (value text NOT NULL)")

        async def effects() -> list[str]:
            async with database.connection() as session:
                return [row["value"] for row in await session.fetch("SELECT value FROM effects ORDER BY value")]

        publisher = Publisher(connection, source="tocsin/tests", timeout=timedelta(seconds=2))
        handler = InboxHandler(database, "tests/reader", effect)
        options = ConsumerOptions(service="tests", name="reader", stream=ALERTS, ack_wait=timedelta(seconds=2))
        async with running_relay(dsn, publisher, batch=50), running_consumer(connection, options, handler):
            async with database.transaction() as session:
                await outbox.add_many(session, [event(f"{n:04}") for n in range(2000)])
            await eventually(effects)
            await asyncio.to_thread(nats.kill)
            await asyncio.to_thread(postgres.crash)
            await asyncio.to_thread(postgres.start)
            await asyncio.to_thread(nats.start)

            async def all_done() -> bool:
                try:
                    return len(await effects()) >= 2000 and await is_empty(database)
                except Exception as error:
                    raise AssertionError("the database is not back") from error

            await eventually(all_done, timeout=40)
        assert await effects() == [f"{n:04}" for n in range(2000)]


def bundle(subject: str, names: Iterable[str]) -> Bundle:
    texts = list(names)
    return Bundle(
        StringValue.DESCRIPTOR.full_name,
        [subject] * len(texts),
        [f"id-{text}" for text in texts],
        ["2026-11-22T10:00:00Z"] * len(texts),
        [StringValue(value=text).SerializeToString() for text in texts],
    )


@pytest.mark.parametrize("subject", ["tocsin.windows.v1.closed.b.r.t", ALERT_REPORTED_SUBJECT])
async def test_bundles_leave_in_order_whether_the_stream_takes_batches_or_not(
    subject: str, chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    stream = WINDOWS if "windows" in subject else ALERTS
    numbers = [f"{n:04}" for n in range(1300)]
    # One of them was published before: its bundle cannot be one write, and it must not be doubled.
    await publisher.publish_encoded(Encoded(subject, StringValue(value="0700").SerializeToString(), own("id-0700")))
    for first, last in ((0, 1), (1, 3), (3, 640), (640, 1300)):
        async with chassis_database.transaction() as connection:
            await outbox.add_bundles(connection, [bundle(subject, numbers[first:last]), bundle(subject, [])])
    assert await waiting(chassis_database) == 1 + 1 + 2 + 2
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database), timeout=20)
    found = await stored(nats_connection, stream)
    assert found == ["0700", *(number for number in numbers if number != "0700")]
    message = await nats_connection.js.get_msg(stream, 2)
    headers = {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-Batch")}
    assert headers == {
        "Nats-Msg-Id": "id-0000",
        "ce-id": "id-0000",
        "ce-specversion": "1.0",
        "ce-type": "google.protobuf.StringValue",
        "ce-source": "tocsin/tests",
        "ce-time": "2026-11-22T10:00:00Z",
        "content-type": "application/protobuf",
    }


def own(event_id: str) -> dict[str, str]:
    return {"Nats-Msg-Id": event_id}


async def test_events_of_several_types_leave_in_order_in_few_rows(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    subjects = ("tocsin.videos.v1.probed", "tocsin.videos.v1.failed")
    events = [
        Event(subjects[n % 2], Int32Value(value=n) if n % 2 else StringValue(value=f"{n:03}"), id=f"e-{n}")
        for n in range(700)
    ]
    async with chassis_database.transaction() as connection:
        await outbox.add_encoded_in_order(connection, list(map(outbox.encode, events)))
        await outbox.add_encoded_in_order(connection, [])
    assert await waiting(chassis_database) == 2
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database), timeout=20)
    for place in (1, 2, 500, 501, 700):
        expected_event = events[place - 1]
        message = await nats_connection.js.get_msg(VIDEOS, place)
        assert (message.subject, message.data) == (expected_event.subject, expected_event.message.SerializeToString())
        expected = dict(encode(expected_event, source="tocsin/tests").headers)
        assert {name: text for name, text in (message.headers or {}).items() if name in expected} == expected


async def test_large_events_are_not_heaped_in_one_row(chassis_database: Database) -> None:
    events = [Event("s", StringValue(value="x" * 600_000), id=f"e-{n}") for n in range(3)]
    async with chassis_database.transaction() as connection:
        await outbox.add_encoded_in_order(connection, list(map(outbox.encode, events)))
    assert await waiting(chassis_database) == 3
    with pytest.raises(InvalidArgument):
        async with chassis_database.transaction() as connection:
            await outbox.add_encoded_in_order(
                connection, [outbox.encode(Event("s", StringValue(value="x" * 2_000_000)))]
            )
    assert await waiting(chassis_database) == 3


@pytest.mark.parametrize("count", [3, 40])
async def test_what_is_refused_among_events_side_by_side_keeps_nobody_else(
    count: int, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    subject = "tocsin.windows.v1.closed.b.r.t"
    messages = [Encoded(subject, b"", own(str(n))) for n in range(count)]
    assert await publisher.publish_side_by_side(messages) == [None] * count
    messages = [Encoded(subject, b"", own(f"again-{n}")) for n in range(count)]
    messages.insert(1, Encoded("a subject with blanks", b"", own("x")))
    outcomes = await publisher.publish_side_by_side(messages)
    assert [type(outcome) for outcome in outcomes] == [NoneType, InvalidArgument, *[NoneType] * (count - 1)]
    assert (await nats_connection.js.stream_info(WINDOWS)).state.messages == 2 * count


async def test_a_bundle_is_one_write(nats_connection: NatsConnection, publisher: Publisher) -> None:
    subject = "tocsin.windows.v1.closed.b.r.t"
    messages = [Encoded(subject, b"", own(str(n))) for n in range(MAX_TOGETHER + 2)]
    assert await publisher.publish_in_order(messages) == (MAX_TOGETHER + 2, None)
    info = await nats_connection.js.stream_info(WINDOWS)
    assert info.state.messages == MAX_TOGETHER + 2
    last = await nats_connection.js.get_msg(WINDOWS, MAX_TOGETHER)
    assert (last.headers or {})["Nats-Batch-Commit"] == "1"
    # Everything again: each is known, none is stored twice.
    assert await publisher.publish_in_order(messages) == (MAX_TOGETHER + 2, None)
    assert (await nats_connection.js.stream_info(WINDOWS)).state.messages == MAX_TOGETHER + 2


async def test_what_stops_an_order_of_events_is_told(publisher: Publisher) -> None:
    messages = [Encoded("tocsin.windows.v1.closed.b.r.t", b"", own(str(n))) for n in range(3)]
    messages.insert(2, Encoded("nobody.takes.this", b"", own("x")))
    impatient = Publisher(publisher._connection, source="tests", timeout=timedelta(milliseconds=200))  # pyright: ignore
    done, error = await impatient.publish_in_order(messages)
    assert done == 2
    assert isinstance(error, Unavailable)


async def test_an_event_in_a_bundle_too_big_for_the_broker_is_refused_before_it_is_stored(
    chassis_database: Database,
) -> None:
    with pytest.raises(InvalidArgument):
        async with chassis_database.transaction() as connection:
            await outbox.add_bundles(connection, [bundle("s", ["x" * 2_000_000])])
    assert await is_empty(chassis_database)


@pytest.mark.parametrize("bundled", [False, True])
@pytest.mark.parametrize("key", [None, "k"])
async def test_an_event_that_can_never_be_published_is_a_dead_letter_and_what_is_behind_it_goes_on(
    chassis_dsn: str,
    chassis_database: Database,
    nats_connection: NatsConnection,
    publisher: Publisher,
    bundled: bool,
    key: str | None,
) -> None:
    subjects = [f"{ALERT_REPORTED_SUBJECT}.{number}" for number in range(4)]
    subjects[1] = "tocsin.alerts.v1.a b"
    values = [StringValue(value=str(number)) for number in range(4)]
    async with chassis_database.transaction() as connection:
        if bundled:
            ids = [f"e{number}" for number in range(4)]
            payloads = [value.SerializeToString() for value in values]
            times = ["2026-01-01T00:00:00Z"] * 4
            await outbox.add_bundles(
                connection, [Bundle(StringValue.DESCRIPTOR.full_name, subjects, ids, times, payloads)]
            )
        else:
            await outbox.add(connection, *(Event(*pair, key=key) for pair in zip(subjects, values, strict=True)))
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: waiting_is(chassis_database, 0))
    assert await stored(nats_connection) == ["0", "2", "3"]
    (letter,) = await DeadLetters(nats_connection, publisher).list()
    assert (letter.consumer, letter.original_subject) == ("outbox", "tocsin.alerts.v1.a b")


async def test_rows_of_many_callers_leave_as_one_write_and_in_order_of_their_keys(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    names = [f"{n:03}" for n in range(60)]
    subjects = [VIDEO_PROBED_SUBJECT if n % 12 == 11 else ALERT_REPORTED_SUBJECT for n in range(60)]
    for name, subject in zip(names, subjects, strict=True):
        async with chassis_database.transaction() as connection:
            key = f"key {int(name) % 6}" if int(name) % 2 else None
            await outbox.add(connection, Event(subject, StringValue(value=name), id=name, key=key))
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database))
    alerts, videos = await stored(nats_connection), await stored(nats_connection, VIDEOS)
    assert sorted(alerts + videos) == names
    # Those of key 5 change streams at 011, 023, ...: what came before each of them was stored before it.
    for key in (1, 3, 5):
        assert [name for name in alerts if int(name) % 6 == key] == sorted(n for n in alerts if int(n) % 6 == key)
    assert videos == sorted(videos)
    first = await nats_connection.js.get_msg(ALERTS, 1)
    probed = await nats_connection.js.get_msg(VIDEOS, 1)
    before = [await nats_connection.js.get_msg(ALERTS, n + 1) for n, name in enumerate(alerts) if name == "005"]
    assert first.time is not None
    assert probed.time is not None
    assert before[0].time is not None
    assert before[0].time < probed.time


async def test_many_single_rows_are_one_write(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    names = [f"{n:03}" for n in range(100)]
    async with chassis_database.transaction() as connection:
        await outbox.add(connection, *(event(name, key=f"key {int(name) % 7}") for name in names))
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database))
    assert await stored(nats_connection) == names
    last = await nats_connection.js.get_msg(ALERTS, 100)
    assert (last.headers or {})["Nats-Batch-Sequence"] == "100"


async def test_one_of_many_single_rows_that_cannot_be_published_is_in_nobody_s_way(
    chassis_dsn: str, chassis_database: Database, nats_connection: NatsConnection, publisher: Publisher
) -> None:
    names = [f"{n:03}" for n in range(40)]
    subjects = ["tocsin.alerts.v1.a b" if name == "020" else ALERT_REPORTED_SUBJECT for name in names]
    events = [Event(subject, StringValue(value=name)) for subject, name in zip(subjects, names, strict=True)]
    async with chassis_database.transaction() as connection:
        await outbox.add(connection, *events)
    async with running_relay(chassis_dsn, publisher):
        await eventually(lambda: is_empty(chassis_database))
    assert sorted(await stored(nats_connection)) == [name for name in names if name != "020"]
    (letter,) = await DeadLetters(nats_connection, publisher).list()
    assert letter.original_subject == "tocsin.alerts.v1.a b"


async def waiting_is(database: Database, count: int) -> bool:
    return await waiting(database) == count
