"""Whatever order, repeats, splits and take-overs: the same windows as the slow reference."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.reference import Expected, first_wins, window

pytestmark = pytest.mark.thorough

RULES = Rules(lateness=40 * DAY)
KINDS = (Kind.GAUGE, Kind.LEVEL, Kind.COUNTER)
INTERVAL = 5 * SECOND


def agree(found: Statistics, expected: Expected, kind: int) -> None:
    assert found.count == expected.count
    assert found.sum == pytest.approx(float(expected.total), rel=1e-9, abs=1e-6)
    assert (found.min, found.max) == (float(expected.least), float(expected.most))
    assert found.first == (expected.first[0], float(expected.first[1]))
    assert found.last == (expected.last[0], float(expected.last[1]))
    assert found.covered == expected.covered
    assert found.integral == pytest.approx(float(expected.integral), rel=1e-9, abs=1e-6)
    assert found.longest_gap == expected.longest_gap
    if kind == Kind.COUNTER:
        assert found.consumption == pytest.approx(float(expected.consumption), rel=1e-9, abs=1e-6)
    else:
        assert found.consumption is None


def check_everything(bench: Bench, arrivals: list[Arrival]) -> None:
    """Every window of every step, and spans that no window has."""
    for series_id, (_, described) in bench.store.series.items():
        number = int(described.key.device[1:])
        kept = first_wins([(time, value) for owner, time, value in arrivals if owner == number])
        assert {time: Fraction(value) for time, value in bench.store.counted[series_id].items()} == kept
        info = bench.store.info(series_id)
        for level, step in enumerate(bench.rules.steps):
            starts = {time - time % step for time in kept}
            assert starts == {key[2] for key in bench.store.windows if key[:2] == (series_id, step)}
            for start in starts:
                expected = window(kept, info.kind, info.max_gap, start, start + step)
                found = spans([info], bench.store.pieces([info], start, start + step, level), start, start + step, step)
                assert expected is not None
                agree(found[0].statistics, expected, info.kind)
        top = len(bench.rules.steps) - 1
        for start, end in ((T0 + 25 * SECOND, T0 + 25 * SECOND + 15 * MINUTE), (T0 - HOUR, T0 + 3 * HOUR + 5 * SECOND)):
            expected = window(kept, info.kind, info.max_gap, start, end)
            found = spans([info], bench.store.pieces([info], start, end, top), start, end, end - start)
            if expected is not None:
                agree(found[0].statistics, expected, info.kind)
            else:
                assert found[0].statistics.count == 0


# Times cluster around edges of windows and repeat; some are far from the rest.
times = st.one_of(
    st.integers(0, 40).map(lambda n: T0 + n * INTERVAL),
    st.integers(0, 12).map(lambda n: T0 + n * MINUTE),
    st.integers(0, 4000).map(lambda n: T0 + n * SECOND + n % 7),
    st.integers(0, 50).map(lambda n: T0 + n * HOUR),
)
values = st.one_of(st.integers(0, 100).map(float), st.floats(-1e6, 1e6, allow_nan=False, width=32))
arrival = st.tuples(st.integers(0, 2), times, values)
batches = st.lists(st.lists(arrival, min_size=1, max_size=12), min_size=1, max_size=8)


@settings(max_examples=70)
@given(batches=batches, takeovers=st.sets(st.integers(0, 7)), pauses=st.sets(st.integers(0, 7)))
def test_gauges_and_levels_in_any_order(batches: list[list[Arrival]], takeovers: set[int], pauses: set[int]) -> None:
    bench = Bench(RULES, [descriptor(n, KINDS[n % 2], INTERVAL) for n in range(3)])
    for number, batch in enumerate(batches):
        bench.feed(batch)
        if number in pauses:
            bench.fall_quiet()
        if number in takeovers:
            bench.reopen()
    bench.fall_quiet()
    check_everything(bench, [reading for batch in batches for reading in batch])


@settings(max_examples=70)
@given(
    readings=st.lists(st.tuples(times, st.integers(0, 30).map(float)), min_size=1, max_size=40),
    cuts=st.sets(st.integers(1, 39)),
)
def test_counters_in_order_however_they_are_cut(readings: list[tuple[int, float]], cuts: set[int]) -> None:
    ordered: list[Arrival] = [(0, time, value) for time, value in sorted(readings, key=lambda reading: reading[0])]
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, INTERVAL)])
    edges = [0, *sorted(cut for cut in cuts if cut < len(ordered)), len(ordered)]
    for first, last in pairwise(edges):
        bench.feed(ordered[first:last])
    bench.fall_quiet()
    kept = first_wins([(time, value) for _, time, value in ordered])
    info = bench.store.info(1)
    for step in RULES.steps:
        for start in {time - time % step for time in kept}:
            expected = window(kept, Kind.COUNTER, info.max_gap, start, start + step)
            pieces = bench.store.pieces([info], start, start + step, RULES.steps.index(step))
            found = spans([info], pieces, start, start + step, step)[0].statistics
            assert expected is not None
            assert (found.count, found.covered) == (expected.count, expected.covered)
            assert found.consumption == pytest.approx(float(expected.consumption), abs=1e-6)


@settings(max_examples=70)
@given(increments=st.lists(st.integers(0, 5), min_size=2, max_size=60), order=st.randoms(use_true_random=False))
def test_a_counter_without_faults_in_any_order(increments: list[int], order: object) -> None:
    total, arrivals = 0, list[Arrival]()
    for place, increment in enumerate(increments):
        total += increment
        arrivals.append((0, T0 + place * 7 * SECOND, float(total)))
    order.shuffle(arrivals)  # pyright: ignore
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, INTERVAL)])
    for first in range(0, len(arrivals), 5):
        bench.feed(arrivals[first : first + 5])
    bench.fall_quiet()
    check_everything(bench, arrivals)


def test_what_is_too_late_is_kept_and_changes_no_window() -> None:
    bench = Bench(replace(RULES, lateness=HOUR), [descriptor(0)])
    bench.feed([(0, T0 + 2 * HOUR, 1.0)])
    bench.feed([(0, T0 + 5 * SECOND, 99.0), (0, T0 + HOUR, 3.0), (0, T0 + 5 * SECOND, 98.0)])
    bench.feed([(0, T0 + 5 * SECOND, 97.0)])
    bench.fall_quiet()
    assert bench.store.skipped == {1: {T0 + 5 * SECOND: 99.0}}
    assert sorted(bench.store.counted[1].values()) == [1.0, 3.0]
