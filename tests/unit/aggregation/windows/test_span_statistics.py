"""Any span, whether a window or not, with readings or without: carry-in, unknown time, both completeness figures; and
parts that add up to the whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.fold import Folded, Profile, merge
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from tests.support.aggregation.oracle import answer
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor

pytestmark = pytest.mark.thorough

INTERVAL = 10 * SECOND
RULES = Rules(lateness=30 * DAY)
KINDS = st.sampled_from([Kind.GAUGE, Kind.LEVEL, Kind.COUNTER])

# Gaps below, at and above three intervals; over several windows; over the end of a day.
skips = st.sampled_from([1, 7, 10, 10, 10, 10, 20, 30, 31, 60, 300, 1000, 4000])
readings = st.lists(st.tuples(skips, st.integers(-20, 60)), min_size=1, max_size=60)
edges = st.integers(-200, 1200).map(lambda n: n * 5 * SECOND)


def series(found: list[tuple[int, int]], kind: Kind, offset: int) -> dict[int, float]:
    """Readings by time; a counter goes on, and now and then falls back."""
    kept: dict[int, float] = {}
    time, total = T0 + offset, 0
    for skip, value in found:
        time += skip * SECOND
        total = total + value if kind == Kind.COUNTER else value
        kept[time] = float(max(total, 0))
    return kept


def stored(kept: dict[int, float], kind: Kind, batch: int, rules: Rules = RULES) -> Bench:
    bench = Bench(rules, [descriptor(0, kind, INTERVAL)])
    arrivals: list[Arrival] = [(0, time, value) for time, value in sorted(kept.items())]
    for first in range(0, len(arrivals), batch):
        bench.feed(arrivals[first : first + batch])
    return bench


def ask(bench: Bench, start: int, end: int) -> Statistics:
    info = bench.store.info(1)
    parts = bench.store.pieces([info], start, end, len(bench.rules.steps) - 1)
    return spans([info], parts, start, end, end - start)[0].statistics


@settings(max_examples=100)
@given(
    found=readings,
    kind=KINDS,
    offset=st.sampled_from([0, 3 * SECOND, DAY - 5 * MINUTE]),
    batch=st.integers(1, 20),
    cuts=st.lists(edges, min_size=2, max_size=8, unique=True),
)
def test_every_span_is_what_the_formulas_say_and_parts_add_up(
    found: list[tuple[int, int]], kind: Kind, offset: int, batch: int, cuts: list[int]
) -> None:
    kept = series(found, kind, offset)
    bench = stored(kept, kind, batch)
    marks = sorted(T0 + offset + cut for cut in cuts)
    parts: list[Statistics] = []
    for start, end in [*pairwise(marks), (marks[0], marks[-1])]:
        start, end = start - start % (5 * SECOND), end - end % (5 * SECOND)
        expected = answer(kept, int(kind), INTERVAL, 3 * INTERVAL, start, end)
        got = ask(bench, start, end)
        assert (got.count, got.covered) == (expected.count, expected.covered)
        assert got.integral == pytest.approx(float(expected.integral) * 1e-6, rel=1e-9, abs=1e-6)
        assert got.covered_ratio == pytest.approx(float(expected.covered_ratio))
        assert got.received_ratio == pytest.approx(float(expected.received_ratio))
        assert got.known == (expected.count > 0 or expected.covered > 0)
        parts.append(got)
    whole = parts.pop()
    assert sum(part.covered for part in parts) == whole.covered
    assert sum(part.count for part in parts) == whole.count
    assert sum(part.integral for part in parts) == pytest.approx(whole.integral, abs=1e-6)
    if kind == Kind.COUNTER:
        used = [part.consumption for part in parts if part.consumption is not None]
        assert sum(used) == pytest.approx(whole.consumption or 0.0, abs=1e-6)
        assert all(amount >= 0 for amount in used)


@settings(max_examples=60)
@given(found=readings, kind=KINDS, batch=st.integers(1, 20))
def test_fifteen_windows_of_a_minute_are_one_of_a_quarter(found: list[tuple[int, int]], kind: Kind, batch: int) -> None:
    kept = series(found, kind, 0)
    small, large = (stored(kept, kind, batch, Rules(steps=steps)) for steps in (RULES.steps, (15 * MINUTE, DAY)))
    for bench in (small, large):
        bench.fall_quiet()
    for step in (15 * MINUTE, DAY):
        by_minutes, at_once = (
            {key[2]: row.item() for key, (_, row) in bench.store.windows.items() if key[1] == step}
            for bench in (small, large)
        )
        assert by_minutes.keys() == at_once.keys() == {time - time % step for time in kept}
        for start, row in at_once.items():
            assert by_minutes[start] == pytest.approx(row, rel=1e-9, abs=1e-6)


@settings(max_examples=60)
@given(found=readings, kind=KINDS, picks=st.lists(st.integers(0, 1000), min_size=60, max_size=60))
def test_summaries_merge_in_any_order(found: list[tuple[int, int]], kind: Kind, picks: list[int]) -> None:
    """Neighbours are merged two by two, in any order, until one is left: as folding all of them at once."""
    kept = series(found, kind, 0)
    bench = stored(kept, kind, 10)
    single = bench.store.pieces([bench.store.info(1)], T0, max(kept) + 5 * SECOND, -1)
    profile = Profile(np.array([int(kind)]), np.array([3 * INTERVAL]))
    parts = [single.take(np.array([place])) for place in range(len(single.series))]
    assert len(parts) == len(kept)

    def joined(some: list[Folded]) -> Folded:
        columns = [np.concatenate([part[column] for part in some]) for column in range(3)]
        return merge(profile, Folded(columns[0], np.zeros(len(columns[0]), np.int64), columns[2]))

    at_once = joined(parts)
    for pick in picks:
        if len(parts) == 1:
            break
        place = pick % (len(parts) - 1)
        parts[place : place + 2] = [joined(parts[place : place + 2])]
    assert joined(parts).rows[0].item() == pytest.approx(at_once.rows[0].item(), rel=1e-9, abs=1e-6)


def test_a_value_is_carried_into_a_window_and_no_farther_than_max_gap() -> None:
    bench = stored({T0 - 20 * SECOND: 10.0, T0 + 10 * SECOND: 40.0, T0 + HOUR: 0.0}, Kind.GAUGE, 3)
    first = ask(bench, T0, T0 + MINUTE)
    # 20 K at the edge (a third of the way is left), 40 K ten seconds later; then an hour without a reading.
    assert (first.covered, first.time_weighted_mean) == (10 * SECOND, pytest.approx((30.0 + 40.0) / 2))
    assert first.mean == 40.0
    assert first.longest_gap == 50 * SECOND
