"""A revision means a change, and each change is told: whatever comes late, in whatever order, at whatever border."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.counters.policy import DEFAULT_RULES, CounterRules, Policy
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.revisions import informed, repeats

pytestmark = pytest.mark.thorough

RULES = Rules(lateness=3 * HOUR, announce_fine_within=100_000 * DAY)
KINDS = (Kind.GAUGE, Kind.LEVEL, Kind.COUNTER)
MIDNIGHT = T0 - T0 % DAY + DAY

# Around midnight, where windows of every step meet; some far apart.
offsets = st.one_of(
    st.integers(-40, 40).map(lambda at: at * 20 * SECOND),
    st.integers(-6, 6).map(lambda at: at * 10 * MINUTE),
    st.integers(-3, 3).map(lambda at: at * HOUR),
)
values = st.sampled_from([0.0, 1.0, 1.0, 1.0, 2.0, 5.0])
batches = st.lists(
    st.lists(st.tuples(st.integers(0, 2), offsets, values), min_size=1, max_size=6), min_size=1, max_size=10
)
rule_sets = st.builds(
    CounterRules, st.sampled_from(Policy), st.just(64.0), st.sampled_from([0.0, 720.0]), st.booleans()
)


def series(interval: int, rules: CounterRules = DEFAULT_RULES) -> list[Any]:
    return [descriptor(n, kind, interval)._replace(counting=rules) for n, kind in enumerate(KINDS)]


def at_midnight(batch: list[tuple[int, int, float]]) -> list[Arrival]:
    """A gauge never stays on a straight line: one that does may be told again, when a reading comes in between two."""
    found: list[Arrival] = []
    for number, offset, value in batch:
        bend = (offset // SECOND % 997) ** 2 * 1e-5 if KINDS[number] is Kind.GAUGE else 0.0
        found.append((number, MIDNIGHT + offset, value + bend))
    return found


def told_again(bench: Bench) -> list[Any]:
    """But for counters, see `docs/aggregation.md`."""
    kinds = {series_id: described.kind for series_id, (_, described) in bench.store.series.items()}
    return [found for found in repeats(bench) if kinds[found[0][0]] != Kind.COUNTER]


@settings(max_examples=24)
@given(
    batches=batches,
    interval=st.sampled_from([20 * SECOND, MINUTE, 20 * MINUTE]),
    rules=rule_sets,
    pauses=st.sets(st.integers(0, 9)),
    takeovers=st.sets(st.integers(0, 9)),
    too_late=st.booleans(),
)
def test_whatever_comes_late_each_change_is_told_and_nothing_else(
    batches: list[list[tuple[int, int, float]]],
    interval: int,
    rules: CounterRules,
    pauses: set[int],
    takeovers: set[int],
    too_late: bool,
) -> None:
    lateness = 10 * MINUTE if too_late else 3 * HOUR
    bench = Bench(replace(RULES, lateness=lateness), series(interval, rules))
    for number, batch in enumerate(batches):
        bench.feed(at_midnight(batch))
        if number in pauses:
            bench.fall_quiet()
            informed(bench)
        if number in takeovers:
            bench.reopen()
    bench.fall_quiet()
    informed(bench)
    assert told_again(bench) == []
    for series_id in bench.store.series:
        bench.recompute(series_id, include_too_late=True)
        bench.fall_quiet()
        informed(bench)
    if not too_late:
        # What came too late counts before the windows around it are told, those after midnight maybe a day later.
        assert told_again(bench) == []
    before = len(bench.store.announced)
    for series_id in bench.store.series:
        assert bench.recompute(series_id, include_too_late=True).changed == 0
    assert len(bench.store.announced) == before


def revisions(bench: Bench, offset: int) -> dict[int, int]:
    """By step, of the window that holds the reading."""
    found: dict[int, int] = {}
    for step in bench.rules.steps:
        start = MIDNIGHT + offset - (MIDNIGHT + offset) % step
        found[step] = bench.store.windows[1, step, start][0]
    return found


def test_a_last_reading_of_the_day_that_came_too_late_raises_the_revision_of_the_next_days_first_windows() -> None:
    bench = Bench(replace(RULES, lateness=MINUTE), [descriptor(0, Kind.GAUGE, 10 * MINUTE)])
    bench.feed([(0, MIDNIGHT - 20 * MINUTE, 1.0), (0, MIDNIGHT + 5 * MINUTE, 2.0), (0, MIDNIGHT + 2 * DAY, 0.0)])
    bench.feed([(0, MIDNIGHT - MINUTE, 7.0)])
    bench.fall_quiet()
    before = dict.fromkeys(bench.rules.steps, 1)
    assert revisions(bench, 5 * MINUTE) == before
    # Up to midnight only: the windows after it change with their left edge.
    bench.recompute(1, end=MIDNIGHT, include_too_late=True)
    bench.fall_quiet()
    informed(bench)
    assert revisions(bench, 5 * MINUTE) == before | {15 * MINUTE: 2, HOUR: 2, DAY: 2}
    assert revisions(bench, 2 * DAY) == before


def test_the_windows_after_midnight_may_still_be_open() -> None:
    bench = Bench(replace(RULES, lateness=MINUTE), [descriptor(0, Kind.GAUGE, 10 * MINUTE)])
    bench.feed([(0, MIDNIGHT - 20 * MINUTE, 1.0), (0, MIDNIGHT + 5 * MINUTE, 2.0), (0, MIDNIGHT + 20 * MINUTE, 3.0)])
    bench.feed([(0, MIDNIGHT - MINUTE, 7.0)])
    bench.recompute(1, end=MIDNIGHT, include_too_late=True)
    bench.reopen()
    bench.feed([(0, MIDNIGHT + 2 * HOUR, 3.0)])
    bench.fall_quiet()
    informed(bench)
    assert revisions(bench, 5 * MINUTE) == {MINUTE: 1, 15 * MINUTE: 2, HOUR: 1, DAY: 1}


def test_a_level_is_not_told_again_for_a_reading_that_changes_nothing_of_the_window_before_it() -> None:
    bench = Bench(RULES, [descriptor(0, Kind.LEVEL, 10 * MINUTE)])
    bench.feed([(0, MIDNIGHT - 5 * MINUTE, 40.0), (0, MIDNIGHT + 10 * MINUTE, 50.0), (0, MIDNIGHT + HOUR, 60.0)])
    bench.feed([(0, MIDNIGHT + 2 * MINUTE, 45.0)])
    bench.fall_quiet()
    informed(bench)
    assert revisions(bench, -5 * MINUTE) == dict.fromkeys(bench.rules.steps, 1)
    assert revisions(bench, 10 * MINUTE) == {MINUTE: 1, 15 * MINUTE: 2, HOUR: 1, DAY: 1}


REGISTER = 20 * MINUTE
"""Where the first meter of each case begins, after midnight."""
# Batches of (minute, value): what of a meter is not trusted yet is judged by the first reading that has not settled,
# and another one comes before it.
DISORDERED_METERS = [
    (2, [[(70, 5000.0), (72, 6540.0)], [(68, 5341.0)], [(54, 3690.0)]]),
    (5, [[(160, 6950.0)], [(150, 7456.0)], [(135, 5730.0)], [(155, 0.0)]]),
    (1, [[(20, 200.0)], [(27, 1500.0)], [(17, 100.0), (0, 50000.0), (21, 0.0)]]),
    (5, [[(155, 5440.0), (170, 5640.0)], [(140, 5908.0)], [(160, 5_440_000.0), (150, 5430.0)]]),
    (2, [[(38, 9941.0)], [(8, 2100.0)], [(50, 9520.0)], [(14, 7400.0)], [(6, 2000.0)], [(30, 0.0)]]),
]


@pytest.mark.parametrize(("interval", "batches"), DISORDERED_METERS)
def test_what_was_told_of_a_meter_in_disorder_does_not_go_by_what_had_not_settled(
    interval: int, batches: list[list[tuple[int, float]]]
) -> None:
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, interval * MINUTE)])
    for batch in batches:
        bench.feed([(0, MIDNIGHT + REGISTER + at * MINUTE, value) for at, value in batch])
    bench.fall_quiet()
    informed(bench)
    assert bench.recompute(1).changed == 0


registers = st.sampled_from([0.0, 100.0, 200.0, 1500.0, 2000.0, 2100.0, 3690.0, 5000.0, 5341.0, 6540.0, 7400.0, 9941.0])


@settings(max_examples=60)
@given(
    readings=st.lists(st.tuples(st.integers(0, 40), registers), min_size=3, max_size=14),
    sizes=st.lists(st.integers(1, 4), min_size=14, max_size=14),
    interval=st.sampled_from([1, 2, 5]),
    pauses=st.sets(st.integers(0, 14), max_size=2),
)
def test_who_keeps_the_newest_of_a_meter_in_any_disorder_has_what_is_listed(
    readings: list[tuple[int, float]], sizes: list[int], interval: int, pauses: set[int]
) -> None:
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, interval * MINUTE)])
    left = [(0, MIDNIGHT + (at - 20) * interval * MINUTE, value) for at, value in readings]
    for number, size in enumerate(sizes):
        if left:
            bench.feed(left[:size])
            left = left[size:]
        if number in pauses:
            bench.fall_quiet()
            informed(bench)
    bench.fall_quiet()
    informed(bench)
