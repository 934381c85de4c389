"""Windows as they are listed: those that hold readings, and those that the readings around them make known; each as
the average of the same span says it, and in sum the whole, however rarely a meter sends."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.adapters.memory.history import InMemoryHistory, InMemorySnapshot
from services.aggregation.application.queries.averages import Averages, GetRoomAverage
from services.aggregation.application.queries.lists import Lists, RoomRange, WindowItem
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.fold import Folded
from tests.support.aggregation.oracle import consumption
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.reference import Counting, first_wins, meter_steps

pytestmark = pytest.mark.thorough

RULES = Rules(lateness=400 * DAY, announced=())
MOST = 700
"""Windows of one list of a property."""


def listed(bench: Bench, step: int, size: int = 1000, **more: Any) -> list[WindowItem]:
    """All pages."""
    lists = Lists(InMemoryHistory(bench.store), bench.rules)

    async def pages() -> list[WindowItem]:
        found, token = list[WindowItem](), ""
        while True:
            query = RoomRange("b1", "r1", "temperature", page_size=size, page_token=token, **more)
            page = await lists.windows(query, step)
            assert len(page.items) <= size
            found += page.items
            token = page.next_token
            if not token:
                return found
            assert len(page.items) == size

    return asyncio.run(pages())


def average(bench: Bench, start: int, end: int) -> Any:
    averages = Averages(InMemoryHistory(bench.store), bench.rules, lambda: end + DAY)
    query = GetRoomAverage(building="b1", room="r1", sensor_type="temperature", window=end - start, at=end)
    return asyncio.run(averages.get(query)).statistics


def same(one: WindowItem, other: Any) -> None:
    mine = one.statistics
    for name in ("count", "min", "max", "first", "last", "covered", "longest_gap"):
        assert getattr(mine, name) == getattr(other, name), name
    for name in ("mean", "time_weighted_mean", "received_ratio", "covered_ratio", "consumption"):
        got, expected = getattr(mine, name), getattr(other, name)
        assert got == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-6)), name


def known(kept: dict[int, Any], max_gap: int, step: int) -> set[int]:
    """Starts of the windows of which something is known, told by the definition."""
    found = {time - time % step for time in kept}
    for before, after in pairwise(sorted(kept)):
        if after - before <= max_gap:
            found.update(range(before - before % step, after, step))
    return found


rule_sets = st.builds(
    CounterRules, st.sampled_from(Policy), st.just(1000.0), st.sampled_from([0.0, 720.0]), st.booleans()
)
values = st.one_of(st.integers(0, 30), st.just(0), st.sampled_from([-50, 200, 970])).map(float)
# In intervals: jitter, losses, just known, just too long, and outages.
gaps = st.sampled_from([0.3, 1, 1, 1, 0.9, 2, 2.5, 3, 3.01, 7, 40])
meters = st.lists(st.tuples(gaps, values), min_size=1, max_size=30)


def sent(found: list[tuple[float, float]], kind: Kind, interval: int) -> list[Arrival]:
    """Readings of a meter that glitches, starts anew, and goes on: over 31 days at the most, since what is still open
    is judged by no older ones."""
    at, total, arrivals = T0 + 7 * SECOND, 100.0, list[Arrival]()
    for gap, value in found:
        at += int(gap * interval)
        if at > T0 + 31 * DAY and arrivals:
            break
        total = total + value if 0 < value <= 30 else total
        odd = value <= 0 or value > 30
        arrivals.append((0, at, value if odd or kind != Kind.COUNTER else total))
        if value == 200:
            total = 0.0
    return arrivals


@settings(max_examples=24)
@given(
    kind=st.sampled_from([Kind.COUNTER, Kind.COUNTER, Kind.GAUGE, Kind.LEVEL]),
    rules=rule_sets,
    found=meters,
    interval=st.sampled_from([7 * SECOND, MINUTE, 150 * SECOND, 20 * MINUTE, 6 * HOUR, DAY]),
    declared=st.booleans(),
    size=st.integers(1, 9),
    page=st.sampled_from([1, 7, 64, 100, 1000]),
    quiet=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_known_window_is_listed_once_and_they_sum_to_the_whole(
    kind: Kind,
    rules: CounterRules,
    found: list[tuple[float, float]],
    interval: int,
    declared: bool,
    size: int,
    page: int,
    quiet: bool,
    seed: int,
) -> None:
    order = Random(seed)
    arrivals = sent(found, kind, interval)
    late = sorted(arrivals, key=lambda arrival: arrival[1] + order.choice([0, 0, 0, 2 * interval, 9 * interval]))
    bench = Bench(RULES, [descriptor(0, kind, interval if declared else 0)._replace(counting=rules)])
    for first in range(0, len(late), size):
        bench.feed(late[first : first + size])
    if quiet:
        bench.fall_quiet()
    kept = first_wins([(time, value) for _, time, value in arrivals])
    max_gap = bench.store.info(1).max_gap
    names = {Policy.HOLD_THEN_RESET: "HOLD"}
    name = names.get(rules.policy, rules.policy.name)
    steps, _ = meter_steps(sorted(kept.items()), Counting(name, int(rules.register), int(rules.cap), *rules[3:]))
    for step in (BASE, *RULES.steps):
        expected = known(kept, max_gap, step)
        if len(expected) > MOST:
            continue
        forward = listed(bench, step, page, oldest_first=True)
        assert [item.start for item in forward] == sorted(expected)
        assert listed(bench, step, page) == forward[::-1]
        for item in order.sample(forward, min(len(forward), 8)):
            same(item, average(bench, item.start, item.start + step))
            holds = any(item.start <= time < item.start + step for time in kept)
            assert (item.statistics.count > 0) == holds == (item.revision > 0)
        if kind != Kind.COUNTER:
            assert {item.statistics.consumption for item in forward} == {None}
            continue
        used = [item.statistics.consumption for item in forward]
        for item, amount in zip(forward, used, strict=True):
            exact = float(consumption(steps, max_gap, item.start, item.start + step))
            assert amount == pytest.approx(exact, abs=1e-6)
        whole = sum(float(amount) for _, _, amount in steps)
        assert sum(cast(list[float], used)) == pytest.approx(whole, abs=1e-6)


def fed(arrivals: Sequence[Arrival], kind: Kind, interval: int, count: int = 1) -> Bench:
    bench = Bench(RULES, [descriptor(number, kind, interval) for number in range(count)])
    for arrival in arrivals:
        bench.feed([arrival])
    return bench


def test_a_meter_that_sends_every_150_seconds() -> None:
    bench = fed([(0, T0 + at * 150 * SECOND, 30.0 * (at + 1)) for at in range(5)], Kind.COUNTER, 150 * SECOND)
    found = listed(bench, MINUTE, oldest_first=True)
    # The newest reading opens the eleventh minute.
    assert [item.start for item in found] == [T0 + at * MINUTE for at in range(11)]
    assert [item.statistics.count for item in found] == [1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1]
    assert [item.statistics.consumption for item in found] == pytest.approx([12.0] * 10 + [0.0])
    empty = found[1].statistics
    assert (empty.min, empty.max, empty.first, empty.last, empty.mean) == (None,) * 5
    assert empty.time_weighted_mean == pytest.approx(48.0)
    assert (empty.covered_ratio, empty.received_ratio, empty.longest_gap) == (1.0, 0.0, MINUTE)
    assert [item.revision for item in found] == [1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1]


def test_a_window_without_readings_is_open_until_readings_would_have_closed_it() -> None:
    bench = fed([(0, T0 + at * 150 * SECOND, 1.0) for at in range(3)], Kind.GAUGE, 150 * SECOND)
    # The newest one, at the start of the sixth minute, is within the grace: more may come in any order.
    assert {item.start - T0: item.provisional for item in listed(bench, MINUTE)} == {
        0 * MINUTE: False,
        1 * MINUTE: False,
        2 * MINUTE: False,
        3 * MINUTE: False,
        4 * MINUTE: True,
        5 * MINUTE: True,
    }
    bench.feed([(0, T0 + 301 * SECOND, 1.0), (0, T0 + 303 * SECOND, 1.0)])
    assert {item.start - T0: item.provisional for item in listed(bench, MINUTE)}[4 * MINUTE] is False
    assert [item.provisional for item in listed(bench, BASE)][:3] == [True, False, False]


def test_a_late_reading_makes_it_a_stored_window() -> None:
    bench = fed([(0, T0 + at * 150 * SECOND, 1.0) for at in range(4)], Kind.GAUGE, 150 * SECOND)
    assert [item.revision for item in listed(bench, MINUTE, oldest_first=True)][1] == 0
    bench.feed([(0, T0 + 90 * SECOND, 5.0)])
    found = listed(bench, MINUTE, oldest_first=True)[1]
    assert (found.revision, found.statistics.count, found.statistics.mean) == (1, 1, 5.0)


def test_nothing_is_listed_where_nothing_is_known() -> None:
    """Before the first reading, over a gap that is too long, after the newest reading."""
    times = [T0, T0 + 10 * MINUTE, T0 + 40 * MINUTE + SECOND, T0 + 50 * MINUTE]
    for kind in (Kind.GAUGE, Kind.LEVEL, Kind.COUNTER):
        bench = fed([(0, at, 1.0) for at in times], kind, 10 * MINUTE)
        found = [item.start - T0 for item in listed(bench, MINUTE, oldest_first=True)]
        assert found == [at * MINUTE for at in [*range(11), *range(40, 51)]]
        bounded = listed(bench, MINUTE, 3, start=T0 + 9 * MINUTE, end=T0 + 42 * MINUTE, oldest_first=True)
        assert [(item.start - T0) // MINUTE for item in bounded] == [9, 10, 40, 41]
        inside = listed(bench, MINUTE, 2, start=T0 + 2 * MINUTE + SECOND, end=T0 + 5 * MINUTE + SECOND)
        assert [(item.start - T0) // MINUTE for item in inside] == [5, 4, 3]


def test_the_devices_of_a_room_are_listed_each_for_itself() -> None:
    arrivals = [(0, T0, 1.0), (0, T0 + 3 * MINUTE, 1.0), (1, T0 + 2 * MINUTE, 9.0), (1, T0 + 4 * MINUTE, 9.0)]
    bench = fed(arrivals, Kind.LEVEL, 3 * MINUTE, 2)
    expected = [(0, "d0"), (1, "d0"), (2, "d0"), (2, "d1"), (3, "d0"), (3, "d1"), (4, "d1")]
    for size in (1, 2, 3, 1000):
        found = listed(bench, MINUTE, size, oldest_first=True)
        assert [((item.start - T0) // MINUTE, item.series.device) for item in found] == expected
        assert listed(bench, MINUTE, size) == found[::-1]
    assert {item.series.device for item in listed(bench, MINUTE, device="d1")} == {"d1"}


class _Counted(InMemoryHistory):
    """Tells how much was read of it."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.store)
        self._bench = bench
        self.stretches: list[int] = []
        self.looked = 0

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[InMemorySnapshot]:
        yield _CountedSnapshot(self._bench, self)


class _CountedSnapshot(InMemorySnapshot):
    def __init__(self, bench: Bench, counted: _Counted) -> None:
        super().__init__(bench.store)
        self._counted = counted

    async def pieces(self, infos: Sequence[SeriesInfo], start: int, end: int, level: int) -> Folded:
        self._counted.stretches.append(end - start)
        return await super().pieces(infos, start, end, level)

    async def next_known(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        self._counted.looked += 1
        return await super().next_known(infos, bound, after=after)


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize(("size", "most"), [(10, 64), (1000, 512)])
def test_a_page_costs_what_it_shows(oldest_first: bool, size: int, most: int) -> None:
    """A meter that sends once a day: four thousand minutes are known between readings that may be three days apart."""
    days = [0, 1, 2, 5, 300, 301]
    bench = fed([(0, T0 + day * DAY, float(day)) for day in days], Kind.COUNTER, DAY)
    token = ""
    for _ in range(3):
        history = _Counted(bench)
        query = RoomRange("b1", "r1", "temperature", page_size=size, page_token=token, oldest_first=oldest_first)
        page = asyncio.run(Lists(history, bench.rules).windows(query, MINUTE))
        assert len(page.items) == size
        assert sum(history.stretches) <= (size + 2 * most + 30) * MINUTE
        assert history.looked <= len(history.stretches) + 1
        token = page.next_token
    # Nobody knows 295 days: one look, however long.
    history = _Counted(bench)
    query = RoomRange("b1", "r1", "temperature", start=T0 + 6 * DAY, end=T0 + 300 * DAY, oldest_first=oldest_first)
    assert not asyncio.run(Lists(history, bench.rules).windows(query, MINUTE)).items
    assert (history.looked, len(history.stretches)) <= (2, 1)
