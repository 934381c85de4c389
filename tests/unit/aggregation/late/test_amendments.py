"""Voided and replaced readings: windows are as if the reading had never come, or had come with the other value,
whatever lies around it, and whoever keeps the newest events has what is listed."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.late.amendments import AmendmentOutcome
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.recomputed import content, informed, same

pytestmark = pytest.mark.thorough

ALL_TOLD = Rules(lateness=3 * HOUR, announce_fine_within=100_000 * DAY)
KINDS = (Kind.GAUGE, Kind.LEVEL, Kind.COUNTER)

gaps = st.one_of(st.just(5), st.integers(1, 90), st.sampled_from([900, 5 * 3600, 86400])).map(lambda one: one * SECOND)
values = st.one_of(st.integers(0, 12), st.sampled_from([0, 0, 30, 200])).map(float)
courses = st.lists(st.tuples(gaps, values), min_size=1, max_size=20)
rule_sets = st.builds(
    CounterRules, st.sampled_from(Policy), st.just(64.0), st.sampled_from([0.0, 720.0]), st.booleans()
)
changes = st.lists(st.tuples(st.integers(0, 19), st.one_of(st.none(), values)), min_size=1, max_size=4)


def course(found: list[tuple[int, float]]) -> list[Arrival]:
    at, sent = T0, list[Arrival]()
    for gap, value in found:
        at += gap
        sent.append((0, at, value))
    return sent


def feed(bench: Bench, sent: list[Arrival], size: int = 4) -> None:
    for first in range(0, len(sent), size):
        bench.feed(sent[first : first + size])


@settings(max_examples=150)
@given(
    found=courses,
    more=st.lists(st.tuples(gaps, values), max_size=6),
    changed=changes,
    kind=st.sampled_from(KINDS),
    rules=rule_sets,
    quiet=st.booleans(),
    reopen=st.booleans(),
    again=st.booleans(),
)
def test_it_is_as_if_the_reading_had_come_like_this(
    found: list[tuple[int, float]],
    more: list[tuple[int, float]],
    changed: list[tuple[int, float | None]],
    kind: Kind,
    rules: CounterRules,
    quiet: bool,
    reopen: bool,
    again: bool,
) -> None:
    sent = course([*found, *more])
    early, late = sent[: len(found)], sent[len(found) :]
    series = [descriptor(0, kind)._replace(counting=rules)]
    bench = Bench(ALL_TOLD, series)
    feed(bench, early)
    if quiet:
        bench.fall_quiet()
    right: dict[int, float | None] = {time: value for _, time, value in early}
    for place, value in changed:
        _, time, _ = early[place % len(early)]
        bench.amend(1, time, value)
        right[time] = value
        if reopen:
            bench.reopen()
        if again:
            # The device sends what it had sent.
            bench.feed([early[place % len(early)]])
    bench.reopen()
    feed(bench, late)
    bench.fall_quiet()
    informed(bench)
    expected = Bench(ALL_TOLD, series)
    feed(expected, [(0, time, value) for time, value in right.items() if value is not None])
    feed(expected, late)
    expected.fall_quiet()
    same(bench, expected)
    assert not bench.recompute(1).changed
    same(bench, expected)


@settings(max_examples=100)
@given(
    found=courses,
    more=st.lists(st.tuples(gaps, values), max_size=6),
    ends=st.tuples(st.integers(0, 19), st.integers(0, 19)),
    kind=st.sampled_from(KINDS),
    rules=rule_sets,
    quiet=st.booleans(),
)
def test_it_is_as_if_a_range_had_never_come(
    found: list[tuple[int, float]],
    more: list[tuple[int, float]],
    ends: tuple[int, int],
    kind: Kind,
    rules: CounterRules,
    quiet: bool,
) -> None:
    sent = course([*found, *more])
    early, late = sent[: len(found)], sent[len(found) :]
    series = [descriptor(0, kind)._replace(counting=rules)]
    bench = Bench(ALL_TOLD, series)
    feed(bench, early)
    if quiet:
        bench.fall_quiet()
    first, last = sorted(early[place % len(early)][1] for place in ends)
    bench.void_range(1, first, last + 1)
    bench.feed([one for one in early if first <= one[1] <= last])
    bench.reopen()
    feed(bench, late)
    bench.fall_quiet()
    informed(bench)
    expected = Bench(ALL_TOLD, series)
    feed(expected, [one for one in early if not first <= one[1] <= last])
    feed(expected, late)
    expected.fall_quiet()
    same(bench, expected)
    assert not bench.recompute(1).changed
    same(bench, expected)


def test_who_asks_again_changes_nothing() -> None:
    bench = Bench(ALL_TOLD, [descriptor(0)])
    feed(bench, [(0, T0 + at * 5 * SECOND, float(at)) for at in range(40)])
    bench.fall_quiet()
    assert bench.amend(1, T0 + 30 * SECOND, None) == AmendmentOutcome.APPLIED
    before = dict(bench.store.windows)
    assert bench.amend(1, T0 + 30 * SECOND, None) == AmendmentOutcome.UNCHANGED
    assert bench.amend(1, T0 + 35 * SECOND, 7.0) == AmendmentOutcome.UNCHANGED
    assert bench.amend(1, T0 + 31 * SECOND, 7.0) == AmendmentOutcome.NOT_FOUND
    assert bench.store.windows == before


def test_a_window_that_loses_its_only_reading_is_told_empty_and_comes_back_with_a_higher_revision() -> None:
    bench = Bench(ALL_TOLD, [descriptor(0)])
    lone = T0 + 2 * MINUTE + 7 * SECOND
    feed(bench, [(0, T0, 1.0), (0, lone, 50.0), (0, T0 + 10 * MINUTE, 2.0)])
    bench.fall_quiet()
    key = 1, MINUTE, T0 + 2 * MINUTE
    revision = bench.store.windows[key][0]
    bench.amend(1, lone, None)
    assert key not in bench.store.windows
    told = [one for one in bench.store.announced if (one.series_id, one.step, one.start) == key]
    assert (told[-1].revision, told[-1].statistics.count) == (revision + 1, 0)
    bench.reopen()
    bench.amend(1, lone, 3.0)
    assert bench.store.windows[key][0] == revision + 2
    informed(bench)
    bench.amend(1, lone, None)
    bench.feed([(0, lone + SECOND, 4.0)])
    bench.fall_quiet()
    assert bench.store.windows[key][0] == revision + 4
    assert not bench.store.vacant


def test_a_reading_that_came_too_late_counts_no_more_than_before() -> None:
    bench = Bench(replace(ALL_TOLD, lateness=HOUR), [descriptor(0)])
    feed(bench, [(0, T0 + at * MINUTE, float(at)) for at in range(0, 200, 2)])
    bench.feed([(0, T0 + MINUTE, 9.0), (0, T0 + 3 * MINUTE, 9.0)])
    bench.fall_quiet()
    before: dict[Any, Any] = content(bench)
    assert bench.amend(1, T0 + MINUTE, None) == AmendmentOutcome.APPLIED
    assert bench.amend(1, T0 + 3 * MINUTE, 5.0) == AmendmentOutcome.APPLIED
    bench.feed([(0, T0 + MINUTE, 9.0)])
    assert content(bench) == before
    bench.recompute(1, include_too_late=True)
    assert bench.store.counted[1][T0 + 3 * MINUTE] == 5.0
    assert T0 + MINUTE not in bench.store.counted[1]
