import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial

import pytest

from services.chassis.auth import principal
from services.chassis.errors import NotFound
from services.chassis.value_limits import UnitUnknown, ValueOutOfRange
from services.ingestion.application.ordered_pipeline import answer_in_order
from services.ingestion.application.readings import CreateReading, CreateReadings
from services.ingestion.domain.catalogue import Kind, SensorType
from services.ingestion.domain.counter_rules import CounterPolicy, CounterRules
from services.ingestion.domain.errors import (
    EventTimeOutOfRange,
    IdempotencyConflict,
    InvalidField,
    SensorTypeUnknown,
    StreamUnavailable,
)
from services.ingestion.domain.reading import RawReading
from services.ingestion.domain.series import SeriesKey
from tests.support.ingestion import NOW_US, kit

DAY = 86_400_000_000


def raw(**changes: object) -> RawReading:
    fields: dict[str, object] = {
        "building": "b1",
        "room": "r1",
        "sensor_type": "temperature",
        "device": "",
        "value": 21.5,
        "unit": "C",
        "event_time_us": NOW_US - 1_000_000,
    }
    return RawReading(**fields | changes)  # pyright: ignore[reportArgumentType]


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    principal.enter(principal.Principal("me", frozenset({"*"}), frozenset({"*"})))
    yield
    principal.enter(None)


async def test_a_reading_is_stored_in_the_canonical_unit() -> None:
    async with kit() as made:
        created = await made.readings.create(CreateReading(raw(device="d1")))
        assert created.reading.value == pytest.approx(294.65)
        assert made.lane.rows() == [("d1", NOW_US - 1_000_000, created.reading.value)]
        assert set(made.catalogue.rooms) == {("b1", "r1")}
        assert set(made.catalogue.devices) == {"d1"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"value": -300.0}, ValueOutOfRange),
        ({"value": None}, InvalidField),
        ({"value": float("nan")}, InvalidField),
        ({"value": float("inf")}, InvalidField),
        ({"value": 1e308, "sensor_type": "energy", "unit": "MWh"}, ValueOutOfRange),
        ({"unit": "kWh"}, UnitUnknown),
        ({"sensor_type": "noise"}, SensorTypeUnknown),
        ({"event_time_us": NOW_US + 301_000_000}, EventTimeOutOfRange),
        ({"event_time_us": NOW_US - 401 * DAY}, EventTimeOutOfRange),
        ({"event_time_us": -(2**62)}, EventTimeOutOfRange),
        ({"building": "b.1"}, InvalidField),
        ({"room": ""}, InvalidField),
        ({"device": "a>"}, InvalidField),
    ],
)
async def test_a_refused_reading_leaves_nothing(changes: dict[str, object], error: type[Exception]) -> None:
    async with kit() as made:
        with pytest.raises(error):
            await made.readings.create(CreateReading(raw(**changes), "key"))
        assert made.lane.stored == {}
        accepted = await made.readings.create_many(CreateReadings([raw(**changes), raw()]))
        assert accepted.accepted == 1
        assert [found.index for found in accepted.rejections] == [0]
        assert len(made.lane.rows()) == 1


async def test_what_a_register_cannot_show_is_refused() -> None:
    rolling = CounterRules(CounterPolicy.ROLLOVER, 1000.0)
    async with kit(types=[SensorType("energy", Kind.COUNTER, "Wh", 0.0, 5000.0, None, rolling)]) as made:
        own = CounterRules(CounterPolicy.ROLLOVER, 10.0)
        await made.catalogue.register([SeriesKey("b1", "r1", "energy", "small")])
        await made.catalogue.update_device("small", lambda device: replace(device, counter_rules=own))
        await made.directory.reload()
        ask = partial(raw, sensor_type="energy", unit="")
        for device, size in (("new", 1000.0), ("", 1000.0), ("small", 10.0)):
            for _ in range(2):  # one that is not known yet, and one that is
                with pytest.raises(ValueOutOfRange) as refusal:
                    await made.readings.create(CreateReading(ask(device=device, value=size + 0.5)))
                (violation,) = refusal.value.violations
                assert (violation.field, violation.reason) == ("value", "VALUE_OUT_OF_RANGE")
                assert f"not above {size:g} Wh (registerSize), is {size + 0.5} Wh" in violation.description
                assert refusal.value.metadata["max"] == f"{size:g}"
                await made.readings.create(CreateReading(ask(device=device, value=size)))
        items = [ask(device="new", value=1.001, unit="kWh"), ask(device="new", value=1.0, unit="kWh")]
        outcome = await made.readings.create_many(CreateReadings(items))
        assert (outcome.accepted, [found.index for found in outcome.rejections]) == (1, [0])


async def test_rules_of_a_register_hold_until_they_are_taken_back() -> None:
    rolling = CounterRules(CounterPolicy.ROLLOVER, 1000.0)
    async with kit(types=[SensorType("energy", Kind.COUNTER, "Wh", 0.0, 600.0, None, rolling)]) as made:
        high = CreateReading(raw(sensor_type="energy", unit="", value=800.0))
        with pytest.raises(ValueOutOfRange, match=r"not above 600 Wh, is 800 Wh"):
            await made.readings.create(high)  # the lower of both limits
        made.catalogue.sensor_types["energy"] = SensorType("energy", Kind.COUNTER, "Wh")
        await made.directory.reload()
        await made.readings.create(high)


async def test_good_items_are_kept_whatever_their_neighbours() -> None:
    async with kit() as made:
        items = [raw(event_time_us=None), raw(value=-300.0), raw(event_time_us=None), raw(sensor_type="noise")]
        outcome = await made.readings.create_many(CreateReadings(items))
        assert outcome.accepted == 2
        assert [(r.index, r.reason, r.field) for r in outcome.rejections] == [
            (1, "VALUE_OUT_OF_RANGE", "value"),
            (3, "SENSOR_TYPE_UNKNOWN", "sensorType"),
        ]
        assert sorted(at for _, at, _ in made.lane.rows()) == [NOW_US, NOW_US + 2], "one event time each"


async def test_a_closed_catalogue_refuses_the_unknown() -> None:
    async with kit(auto_register=False) as made:
        with pytest.raises(NotFound) as refusal:
            await made.readings.create(CreateReading(raw()))
        assert refusal.value.metadata == {"id": "b1", "kind": "building"}
        outcome = await made.readings.create_many(CreateReadings([raw()]))
        assert [(r.reason, r.field) for r in outcome.rejections] == [("NOT_FOUND", "building")]
        assert made.catalogue.buildings == {}


async def test_a_changed_sensor_type_is_seen_after_a_reload() -> None:
    async with kit() as made:
        await made.readings.create(CreateReading(raw()))
        made.catalogue.sensor_types["temperature"] = SensorType("temperature", Kind.GAUGE, "K", 300.0)
        await made.directory.reload()
        with pytest.raises(ValueOutOfRange):
            await made.readings.create(CreateReading(raw()))


async def test_a_key_counts_once_and_keeps_the_first_time() -> None:
    async with kit() as made:
        made.tick_us = 3
        command = CreateReading(raw(event_time_us=None), "key-1")
        first = await made.readings.create(command)
        made.now_us += 5_000_000
        second = await made.readings.create(command)
        assert (first.duplicate, second.duplicate) == (False, True)
        assert second.reading.event_time_us == first.reading.event_time_us
        assert made.lane.rows() == [("", first.reading.event_time_us, first.reading.value)]
        with pytest.raises(IdempotencyConflict):
            await made.readings.create(CreateReading(raw(value=22.0), "key-1"))
        with pytest.raises(IdempotencyConflict):
            await made.readings.create_many(CreateReadings([raw(), raw()], "key-1"))
        principal.enter(principal.Principal("somebody else", frozenset(), frozenset()))
        other = await made.readings.create(CreateReading(raw(value=22.0), "key-1"))
        assert not other.duplicate


async def test_a_key_whose_effect_is_not_known_is_published_again_under_the_same_id() -> None:
    async with kit() as made:
        made.lane.refuse = lambda _: True
        command = CreateReadings([raw(event_time_us=None), raw(event_time_us=None)], "key-1")
        with pytest.raises(StreamUnavailable):
            await made.readings.create_many(command)
        made.lane.refuse = lambda _: False
        made.now_us += 60_000_000
        outcome = await made.readings.create_many(command)
        assert (outcome.accepted, outcome.duplicate) == (2, True)
        assert sorted(at for _, at, _ in made.lane.rows()) == [NOW_US, NOW_US + 1]
        again = await made.readings.create_many(command)
        assert (again.accepted, again.duplicate) == (2, True)
        assert len(made.lane.rows()) == 2


async def _endless(items: list[RawReading]) -> AsyncIterator[RawReading]:
    for item in items:
        yield item


async def test_an_import_counts_everything_and_lists_the_first_rejections() -> None:
    async with kit() as made:
        items = [raw(event_time_us=NOW_US - n, value=-300.0 if n % 2 else 20.0) for n in range(4500)]
        outcome = await made.readings.import_all(_endless(items))
        assert (outcome.accepted, outcome.rejected, len(outcome.rejections)) == (2250, 2250, 1000)
        assert [found.index for found in outcome.rejections][:3] == [1, 3, 5]
        assert len(made.lane.rows()) == 2250
        made.lane.refuse = lambda _: True
        with pytest.raises(StreamUnavailable):
            await made.readings.import_all(_endless(items))


async def test_answers_come_in_order_and_reading_ahead_is_bounded() -> None:
    begun: list[int] = []
    futures: list[asyncio.Future[int]] = []

    async def questions() -> AsyncIterator[int]:
        for n in range(100):
            yield n

    async def begin(n: int) -> "asyncio.Future[int]":
        begun.append(n)
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    answers = answer_in_order(questions(), begin, limit=4)
    first = asyncio.ensure_future(anext(answers))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(begun) <= 7
    for n, future in reversed(list(enumerate(futures))):
        future.set_result(n)
    assert await first == 0
    assert [await anext(answers) for _ in range(3)] == [1, 2, 3]
    await answers.aclose()
    assert all(future.done() for future in futures)


async def take(answers: AsyncIterator[int], into: list[int]) -> None:
    async for answer in answers:
        into += [answer]


async def test_a_failure_ends_a_stream_after_the_answers_before_it() -> None:
    async def questions() -> AsyncIterator[int]:
        for n in range(10):
            yield n

    async def begin(n: int) -> "asyncio.Future[int]":
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if n == 3:
            raise StreamUnavailable
        future.set_result(n)
        return future

    seen: list[int] = []
    with pytest.raises(StreamUnavailable):
        await take(answer_in_order(questions(), begin, limit=16), seen)
    assert seen == [0, 1, 2]
