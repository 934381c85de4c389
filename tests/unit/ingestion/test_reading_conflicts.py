"""A second value for a taken event time is answered as what it is, over every way in; nothing is said where nobody
knows."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import numpy as np
import pytest

from services.chassis.auth import principal
from services.ingestion.adapters.memory.stores import MemoryLane
from services.ingestion.application.readings import CreateReading, CreateReadings
from services.ingestion.domain.catalogue import RepeatPolicy
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.reading import RawReading
from services.ingestion.domain.reading_columns import Piece
from services.ingestion.domain.recent_readings import Conflict, CountingValue, RecentReadings
from services.ingestion.domain.series import Series, SeriesKey
from tests.support.ingestion import NOW_US, TYPES, kit, series

LAST = replace(TYPES[0], repeat_policy=RepeatPolicy.LAST_WINS)
AT = NOW_US - 1_000_000


def raw(value: float, at: int = AT, device: str = "d1", sensor_type: str = "temperature") -> RawReading:
    return RawReading("b1", "r1", sensor_type, device, value, "", at)


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    principal.enter(principal.Principal("me", frozenset({"*"}), frozenset({"*"})))
    yield
    principal.enter(None)


def told(conflict: Conflict | None) -> tuple[bool, float, float] | None:
    return None if conflict is None else (conflict.wins, conflict.counting, conflict.other)


async def test_one_after_another() -> None:
    async with kit() as made:
        answers = [await made.readings.create(CreateReading(raw(value))) for value in (290.0, 300.0, 290.0, 310.0)]
        assert [told(one.conflict) for one in answers] == [None, (False, 290, 290), None, (False, 290, 290)]
        # All of them are handed on: who processes them lists what is ignored.
        assert [value for _, _, value in made.lane.rows()] == [290, 300, 290, 310]
        other = await made.readings.create(CreateReading(raw(300.0, AT + 1)))
        assert other.conflict is None


async def test_the_last_one_wins_where_the_sensor_type_says_so() -> None:
    async with kit(types=(LAST, *TYPES[1:])) as made:
        answers = [await made.readings.create(CreateReading(raw(value))) for value in (290.0, 300.0, 300.0, 310.0)]
        assert [told(one.conflict) for one in answers] == [None, (True, 300, 290), None, (True, 310, 300)]


@pytest.mark.parametrize("last_wins", [False, True])
async def test_nothing_untrue_is_told_of_readings_that_somebody_has_amended(last_wins: bool) -> None:
    async with kit(types=(LAST if last_wins else TYPES[0], *TYPES[1:])) as made:
        key = SeriesKey("b1", "r1", "temperature", "d1")

        async def send(value: float) -> tuple[bool, float, float] | None:
            return told((await made.readings.create(CreateReading(raw(value)))).conflict)

        assert await send(100.0) is None
        assert made.counting.asked == 0
        made.counting.known[key, AT] = CountingValue(True, 106.0, amended=True)
        # It counts, and so it is no conflict; the first one is.
        assert await send(106.0) is None
        assert await send(100.0) == (False, 106, 106)
        assert await send(106.0) is None
        assert made.counting.asked == 2
        # Voided: no value counts, which no answer has a word for.
        made.counting.known[key, AT] = CountingValue(True, None, amended=True)
        assert await send(100.0) is None
        made.counting.silent = True
        assert await send(101.0) is None


async def test_a_first_value_that_this_process_has_not_seen_is_told() -> None:
    async with kit() as made:
        key = SeriesKey("b1", "r1", "temperature", "d1")
        made.counting.known[key, AT] = CountingValue(True, 100.0)
        assert (await made.readings.create(CreateReading(raw(106.0)))).conflict is None
        # What counts is the first of all values, not the first that came this way.
        assert (await made.readings.create(CreateReading(raw(100.0)))).conflict is None
        again = await made.readings.create(CreateReading(raw(106.0)))
        assert told(again.conflict) == (False, 100, 100)


async def test_what_wins_may_be_stored_already() -> None:
    async with kit(types=(LAST, *TYPES[1:])) as made:
        key = SeriesKey("b1", "r1", "temperature", "d1")
        await made.readings.create(CreateReading(raw(290.0)))
        made.counting.known[key, AT] = CountingValue(True, 300.0)
        assert told((await made.readings.create(CreateReading(raw(300.0)))).conflict) == (True, 300, 290)
        made.counting.known[key, AT] = CountingValue(True, 299.0)
        assert told((await made.readings.create(CreateReading(raw(310.0)))).conflict) == (True, 310, 299)


async def test_a_changed_catalogue_forgets_no_values() -> None:
    async with kit() as made:
        await made.readings.create(CreateReading(raw(290.0)))
        await made.readings.create_many(CreateReadings([raw(float(280 + n), AT + 1 + n) for n in range(100)]))
        await made.directory.reload()
        one = await made.readings.create(CreateReading(raw(300.0)))
        assert told(one.conflict) == (False, 290, 290)
        made.catalogue.sensor_types["temperature"] = LAST
        await made.directory.reload()
        many = await made.readings.create_many(CreateReadings([raw(200.0, AT + 1 + n) for n in range(100)]))
        assert [(found.counting, found.other) for found in many.conflicts] == [(200, 280 + n) for n in range(100)]


async def test_at_the_same_time() -> None:
    async with kit() as made:
        answers = await asyncio.gather(
            *(made.readings.create(CreateReading(raw(float(value), device=f"d{value % 5}"))) for value in range(20))
        )
        assert [told(one.conflict) for one in answers[:5]] == [None] * 5
        assert [told(one.conflict) for one in answers[5:]] == [(False, value % 5, value % 5) for value in range(5, 20)]


async def test_within_a_batch_and_by_key() -> None:
    async with kit() as made:
        await made.readings.create(CreateReading(raw(290.0)))
        batch = [raw(1.0, AT + 5), raw(-4.0), raw(300.0), raw(2.0, AT + 5), raw(1.0, AT + 5), raw(290.0)]
        found = await made.readings.create_many(CreateReadings(batch))
        assert (found.accepted, found.ignored, [item.index for item in found.rejections]) == (3, 2, [1])
        assert [(one.row, one.counting) for one in found.conflicts] == [(2, 290.0), (3, 1.0)]
        keyed = await made.readings.create_many(CreateReadings([raw(7.0), raw(8.0, AT + 9)], "key"))
        assert (keyed.accepted, keyed.ignored, [one.row for one in keyed.conflicts]) == (1, 1, [0])
        single = await made.readings.create(CreateReading(raw(9.0), "other"))
        assert told(single.conflict) == (False, 290, 290)


async def test_in_an_import() -> None:
    async def lines() -> AsyncIterator[RawReading]:
        for number in range(2500):
            yield raw(float(number), AT - 4000 + number % 2000)

    async with kit() as made:
        found = await made.readings.import_all(lines())
        assert (found.accepted, found.ignored, found.rejected) == (2000, 500, 0)
        assert [(one.row, one.counting) for one in found.conflicts] == [(2000 + at, float(at)) for at in range(500)]


async def test_in_columns() -> None:
    async with kit() as made:
        keys = [(SeriesKey("b1", "r1", "temperature", device), unit) for device, unit in (("d1", "K"), ("d2", "C"))]
        index = np.array([0, 1, 0, 1, 0, 1] * 100, np.uint32)
        times = AT - 10_000 + np.arange(600, dtype=np.int64)
        value = np.arange(600, dtype=np.float64)
        table, _ = await made.readings.table(keys, index, times, value)
        first = await (await made.readings.start_columns(table, index, times, value)).outcome()
        assert (first.accepted, first.conflicts) == (600, ())
        value[[7, 300]] += 0.5
        again = await (await made.readings.start_columns(table, index, times, value)).outcome()
        assert (again.accepted, again.ignored) == (598, 2)
        assert [(one.row, one.counting) for one in again.conflicts] == [(7, 7 + 273.15), (300, 300.0)]


async def test_what_could_not_be_stored_is_not_known() -> None:
    async with kit() as made:
        made.lane.refuse = bool
        with pytest.raises(StreamUnavailable):
            await made.readings.create(CreateReading(raw(290.0)))
        made.lane.refuse = MemoryLane().refuse
        assert (await made.readings.create(CreateReading(raw(300.0)))).conflict is None


def test_columns_are_judged_as_rows_are() -> None:
    chance = random.Random(2)
    many = [series(f"d{n}", 1, LAST if n % 3 == 0 else TYPES[0]) for n in range(6)]
    memory = RecentReadings(most=10**6)
    counting: dict[tuple[Series, int], float] = {}
    everybody = tuple(many)
    for _ in range(120):
        size = chance.choice([1, 3, 70, 200])
        rows = [(chance.randrange(6), chance.randrange(400), float(chance.randrange(3))) for _ in range(size)]
        if chance.random() < 0.5:
            rows.sort()
        index, times, value = (list(column) for column in zip(*rows, strict=True))
        # Mostly the very same series as before, as the batches of a stream have.
        used = list(range(6)) if chance.random() < 0.6 else sorted(set(index))
        piece = Piece(
            0,
            everybody if len(used) == 6 else tuple(many[at] for at in used),
            np.array([used.index(at) for at in index], np.uint32),
            np.array(times, np.int64),
            np.array(value, np.float64),
        )
        expected: list[tuple[int, float, float, bool]] = []
        for row, (at, time, came) in enumerate(rows):
            known = counting.setdefault((many[at], time), came)
            if known != came:
                wins = many[at].type.last_wins
                expected.append((row, came, known, wins))
                counting[many[at], time] = came if wins else known
        found = [(one.row, one.value, one.other, one.wins) for one in memory.take(piece)]
        assert sorted(found) == sorted(expected)


def test_the_memory_is_bounded() -> None:
    memory = RecentReadings(most=100)
    one = series("d1", 1)

    def take(first: int, count: int) -> list[Conflict]:
        times = np.arange(first, first + count, dtype=np.int64)
        return memory.take(Piece(0, (one,), np.zeros(count, np.uint32), times, np.full(count, float(count))))

    for place in range(50):
        assert not take(place * 50, 50)
    assert take(2499, 1)
    assert not take(0, 1)
    assert len(memory._old.values) + len(memory._new.values) <= 400  # pyright: ignore[reportPrivateUsage]


def test_a_value_that_is_stored_already_is_no_conflict_of_its_own() -> None:
    suspect = Conflict(row=0, series=series(), event_time_us=AT, value=290.5, other=280.0, wins=False)
    # Equal, and another object: values come from columns and from answers.
    assert RecentReadings().settle([suspect], [CountingValue(True, float("290.5"))]) == []
    assert RecentReadings().settle([suspect], [CountingValue(True, 291.0)]) == [suspect._replace(other=291.0)]
