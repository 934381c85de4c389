"""Counters, shares, settings, live streams, and what a loss of 5 % does to a mean."""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.application.watching import ClosedWindow, Wanted, Watchers
from services.aggregation.domain.counter import increases
from services.aggregation.domain.errors import TooManyWatchers, WatcherTooSlow
from services.aggregation.domain.fold import Folded, Profile, fold_readings, merge
from services.aggregation.domain.history import spans
from services.aggregation.domain.meter import no_meters
from services.aggregation.domain.policy import DEFAULT_RULES, counting
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.sharing import fair_share
from services.aggregation.domain.summary import DAY, HOUR, MINUTE, SECOND, Kind
from services.aggregation.settings import AggregationSettings
from services.chassis.errors import Unavailable
from services.chassis.settings import Refused, read
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.reference import first_wins, window


def consumed(*values: float) -> tuple[float, list[str]]:
    """Total consumption of a counter that reports these values, and its corrections."""
    times = np.arange(len(values), dtype=np.int64) * MINUTE + T0
    alone = np.zeros(len(values), np.int64)
    found = increases(np.array([2]), counting([DEFAULT_RULES]), no_meters(1), alone, times, np.array(values))
    assert found is not None
    return float(found.amount.sum()), [correction.kind for correction in found.corrections]


@pytest.mark.parametrize(
    ("values", "total", "corrections"),
    [
        ((100, 101, 103), 3, []),
        # One sample drops to zero: the whole meter reading is never booked.
        ((12000, 0, 12001), 1, ["GLITCH"]),
        ((12000, 0, 5, 12001), 1, ["GLITCH", "GLITCH"]),
        ((100, 99.9, 100.1), 0.1, ["GLITCH"]),
        # Three agree on the new level: it was reset, and what grew since then counts.
        ((12000, 5, 6, 8, 9), 4, ["RESET"]),
        ((12000, 0, 0, 0), 0, ["RESET"]),
        # Suspects that contradict each other confirm nothing.
        ((100, 50, 40, 60, 101), 1, ["GLITCH", "GLITCH", "GLITCH"]),
        ((100,), 0, []),
        ((100, 100, 100), 0, []),
    ],
)
def test_counters(values: tuple[float, ...], total: float, corrections: list[str]) -> None:
    assert consumed(*values) == (pytest.approx(total), corrections)


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=30))
def test_consumption_is_never_negative_and_never_more_than_what_grew(values: list[float]) -> None:
    total, _ = consumed(*values)
    assert 0 <= total <= sum(max(b - a, 0) for a, b in pairwise(values))


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(-50, 50)), min_size=1, max_size=40, unique_by=lambda r: r[0]),
    st.sampled_from([Kind.GAUGE, Kind.LEVEL]),
    st.sets(st.integers(0, 39)),
    st.sets(st.integers(0, 39)),
)
def test_summaries_merge_in_any_grouping(
    readings: list[tuple[int, int]], kind: Kind, first_cuts: set[int], second_cuts: set[int]
) -> None:
    readings.sort()
    time = np.array([at for at, _ in readings], np.int64) * SECOND
    value = np.array([number for _, number in readings], np.float64)
    profile = Profile(np.array([int(kind)]), np.array([60 * SECOND]))
    single = fold_readings(profile, np.zeros(len(time), np.int64), time, value, 1)

    def grouped(parts: Folded, cuts: set[int]) -> Folded:
        """Neighbours merged between the cuts."""
        labels = np.cumsum([place in cuts for place in range(len(parts.series))])
        return merge(profile, Folded(parts.series, labels.astype(np.int64), parts.rows))

    def whole(parts: Folded) -> tuple[float, ...]:
        merged = merge(profile, Folded(parts.series, np.zeros(len(parts.series), np.int64), parts.rows))
        return tuple(merged.rows[0].item())

    direct = whole(single)
    assert whole(grouped(grouped(single, first_cuts), second_cuts)) == pytest.approx(direct)
    assert whole(grouped(single, second_cuts)) == pytest.approx(direct)


@pytest.mark.parametrize("seed", range(5))
def test_losing_five_percent_hardly_moves_the_time_weighted_mean(seed: int) -> None:
    """A daily swing of 5 K, a reading every 5 s: the mean of 15 minutes moves by less than 1 mK; all is covered."""
    chance = random.Random(seed)
    start = T0 + 3 * HOUR

    def signal(at: int) -> float:
        return 295.0 + 5.0 * math.sin(2 * math.pi * at / DAY)

    sent: list[Arrival] = [(0, at, signal(at)) for at in range(start - MINUTE, start + 17 * MINUTE, 5 * SECOND)]
    bench = Bench(Rules(), [descriptor(0)])
    bench.feed([arrival for arrival in sent if chance.random() >= 0.05])
    info = bench.store.info(1)
    end = start + 15 * MINUTE
    parts = bench.store.pieces([info], start, end, 3)
    found = spans([info], parts, start, end, end - start)[0].statistics
    truth = sum(signal(start + at * SECOND) for at in range(900)) / 900
    assert found.time_weighted_mean == pytest.approx(truth, abs=1e-3)
    assert found.covered_ratio == 1.0
    assert found.received_ratio is not None
    assert 0.85 < found.received_ratio < 1.0


def test_a_gap_is_unknown_time_and_a_value_is_carried_through_empty_windows() -> None:
    bench = Bench(Rules(), [descriptor(0, interval=MINUTE)])
    bench.feed([(0, T0, 10.0), (0, T0 + 2 * MINUTE, 30.0), (0, T0 + 30 * MINUTE, 50.0)])
    info = bench.store.info(1)

    def between(start: int, end: int) -> Any:
        parts = bench.store.pieces([info], start, end, 3)
        return spans([info], parts, start, end, end - start)[0].statistics

    middle = between(T0 + 30 * SECOND, T0 + 60 * SECOND)
    assert (middle.count, middle.covered_ratio) == (0, 1.0)
    assert middle.time_weighted_mean == pytest.approx(17.5)
    assert not between(T0 + 10 * MINUTE, T0 + 20 * MINUTE).known
    whole = between(T0, T0 + 40 * MINUTE)
    assert whole.covered == 2 * MINUTE
    assert whole.time_weighted_mean == pytest.approx(20.0)
    assert whole.longest_gap == 28 * MINUTE


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60), st.sets(st.integers(1, 59)))
def test_intervals_are_estimated_from_the_median_of_the_last_eight(steps: list[int], cuts: set[int]) -> None:
    bench = Bench(Rules(), [descriptor(0, interval=0)])
    times = [T0 + sum(steps[:place]) * SECOND for place in range(len(steps) + 1)]
    edges = [0, *sorted(cut for cut in cuts if cut < len(times)), len(times)]
    expected = 0
    seen = 0
    for first, last in pairwise(edges):
        bench.feed([(0, at, 1.0) for at in times[first:last]])
        state = bench.processor.engine.states.rows[0]
        settled = [at for at in times[:last] if at <= times[last - 1] - bench.rules.grace]
        intervals = sorted(b - a for a, b in pairwise(settled[-9:]))
        if len(settled) > seen and len(intervals) >= 4:
            median = intervals[(len(intervals) - 1) // 2]
            if expected * 2 > median * 3 or median * 2 > expected * 3:
                expected = median
        seen = len(settled)
        assert state["interval"] == expected
        assert state["max_gap"] == (3 * expected if expected else 15 * MINUTE)


def test_a_revision_tells_what_a_late_reading_changed() -> None:
    bench = Bench(Rules(announce_fine_within=40000 * DAY), [descriptor(0)])
    sent = [(T0 + (5 * place + 2) * SECOND, float(place)) for place in range(40)]
    bench.feed([(0, at, value) for at, value in sent])
    told = {(one.step, one.start): one for one in bench.store.announced}
    first = told[MINUTE, T0]
    assert (first.revision, first.statistics.count) == (1, 12)
    bench.feed([(0, T0 + 59 * SECOND, 500.0)])
    again = [one for one in bench.store.announced if one.revision == 2]
    # Its own window, and the next one, which begins with another value now.
    assert {(one.step, one.start) for one in again} == {(MINUTE, T0), (MINUTE, T0 + MINUTE)}
    corrected = next(one.statistics for one in again if one.start == T0)
    expected = window(first_wins([*sent, (T0 + 59 * SECOND, 500.0)]), int(Kind.GAUGE), 15 * SECOND, T0, T0 + MINUTE)
    assert expected is not None
    assert corrected.count == 13
    assert corrected.integral == pytest.approx(float(expected.integral))


def test_a_window_that_a_late_reading_does_not_change_is_not_told_again() -> None:
    bench = Bench(Rules(announce_fine_within=40000 * DAY), [descriptor(0)])
    bench.feed([(0, T0 + place * 5 * SECOND, float(place)) for place in range(40)])
    bench.feed([(0, T0 + 58 * SECOND, 500.0)])
    # The next window begins with a reading of its own.
    assert [(one.step, one.start) for one in bench.store.announced if one.revision == 2] == [(MINUTE, T0)]


@given(st.integers(1, 64), st.lists(st.integers(1, 3), min_size=1, max_size=6))
def test_replicas_come_to_fair_shares_and_rest(partitions: int, turns: list[int]) -> None:
    held = [0] * len(turns)
    held[0] = partitions
    for _ in range(4 * len(turns) + 4):
        for place in range(len(held)):
            share = fair_share(partitions=partitions, replicas=len(held), held=held[place], free=partitions - sum(held))
            assert not (share.take and share.give)
            held[place] += share.take - share.give
    assert sum(held) == partitions
    assert max(held) - min(held) <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEPS", "1m,90s"),
        ("STEPS", "7s"),
        ("STEPS", "1m,1m"),
        ("STEPS", "soon"),
        ("STEPS", "2d"),
        ("ANNOUNCED_STEPS", "5s"),
        ("LEASE_TTL", "1s"),
        ("LATENESS", "1s"),
        ("MAX_MESSAGES", "1"),
        ("GRACE", "-1s"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("TOCSIN_POSTGRES_DSN", "postgresql://localhost/x")
    monkeypatch.setenv("TOCSIN_NATS_URL", "nats://localhost")
    monkeypatch.setenv(f"TOCSIN_AGGREGATION_{name}", value)
    with pytest.raises(Refused, match=f"TOCSIN_AGGREGATION_{name}"):
        read(AggregationSettings)


def test_settings_with_windows_of_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_POSTGRES_DSN", "postgresql://localhost/x")
    monkeypatch.setenv("TOCSIN_NATS_URL", "nats://localhost")
    monkeypatch.setenv("TOCSIN_AGGREGATION_STEPS", "5s, 1m, 15m")
    monkeypatch.setenv("TOCSIN_AGGREGATION_ANNOUNCED_STEPS", "5s")
    rules = read(AggregationSettings).rules
    assert (rules.steps, rules.announced) == ((5 * SECOND, MINUTE, 15 * MINUTE), (5 * SECOND,))


@dataclass(frozen=True)
class Seen:
    building: str
    step: int = MINUTE
    room: str = "r"
    sensor_type: str = "t"
    message: str = ""


async def test_a_slow_watcher_is_ended_and_holds_nobody_up() -> None:
    watchers, stop = Watchers(most=2, capacity=3), asyncio.Event()
    slow, quick = watchers.watch(Wanted(), stop), watchers.watch(Wanted(building="b2"), stop)
    first, second = asyncio.ensure_future(anext(slow)), asyncio.ensure_future(anext(quick))
    while not watchers.any or len(watchers._watchers) < 2:
        await asyncio.sleep(0)
    with pytest.raises(TooManyWatchers):
        await anext(watchers.watch(Wanted(), stop))
    watchers.publish(Seen("b1"))
    assert (await first).building == "b1"
    for _ in range(10):
        watchers.publish(Seen("b1"))
    watchers.publish(Seen("b2"))
    assert (await second).building == "b2"
    for _ in range(3):
        assert (await anext(slow)).building == "b1"
    with pytest.raises(WatcherTooSlow):
        await anext(slow)
    stop.set()
    assert [window async for window in quick] == []
    assert not watchers.any


class CountedFeed:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.publish: Callable[[ClosedWindow], None] | None = None
        self.fails = False

    async def start(self, publish: Callable[[ClosedWindow], None]) -> None:
        if self.fails:
            raise Unavailable("away")
        self.calls.append("start")
        self.publish = publish

    async def stop(self) -> None:
        self.calls.append("stop")


async def test_the_feed_runs_while_somebody_watches() -> None:
    feed, stop = CountedFeed(), asyncio.Event()
    watchers = Watchers(feed=feed)
    for _ in range(2):
        first, second = watchers.watch(Wanted(), stop), watchers.watch(Wanted(), stop)
        taking = [asyncio.ensure_future(anext(aiter(one))) for one in (first, second)]
        while len(watchers._watchers) < 2 or feed.calls[-1:] != ["start"]:
            await asyncio.sleep(0)
        assert feed.publish is not None
        feed.publish(Seen("b7"))
        assert [(await one).building for one in taking] == ["b7", "b7"]
        await first.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        assert feed.calls[-1] == "start"
        await second.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        assert feed.calls[-1] == "stop"
    assert feed.calls == ["start", "stop"] * 2
    feed.fails = True
    with pytest.raises(Unavailable):
        await anext(aiter(watchers.watch(Wanted(), stop)))
    feed.fails = False
    assert feed.calls == ["start", "stop"] * 2
