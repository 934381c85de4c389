"""Recomputing: nothing changes unless the rules have, and then it is as if they had always been those of today."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.counters.policy import DEFAULT_RULES, CounterRules, Policy
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.recomputed import content, informed, same, seen

pytestmark = pytest.mark.thorough

RULES = Rules(lateness=3 * HOUR)
KINDS = (Kind.GAUGE, Kind.LEVEL, Kind.COUNTER)
RESET, CAPPED = CounterRules(Policy.RESET), CounterRules(cap=720)

gaps = st.one_of(st.just(5), st.integers(1, 90), st.sampled_from([900, 5 * 3600, 86400])).map(lambda one: one * SECOND)
values = st.one_of(st.integers(0, 12), st.sampled_from([0, 0, 30, 200])).map(float)
arrivals = st.lists(st.tuples(st.integers(0, 2), gaps, values), min_size=1, max_size=40)
rule_sets = st.builds(
    CounterRules, st.sampled_from(Policy), st.just(64.0), st.sampled_from([0.0, 720.0]), st.booleans()
)


def series(rules: CounterRules = DEFAULT_RULES, interval: int = 5 * SECOND) -> list[Any]:
    return [descriptor(n, kind, interval)._replace(counting=rules) for n, kind in enumerate(KINDS)]


def out_of_order(found: list[tuple[int, int, float]], order: Any, far: bool) -> list[Arrival]:
    at, sent = T0, list[tuple[int, Arrival]]()
    for number, gap, value in found:
        at += gap
        delay = order.choice([0, 0, 0, 30 * SECOND, HOUR, *([6 * HOUR] if far else [])])
        sent.append((at + delay, (number, at, value)))
    return [arrival for _, arrival in sorted(sent, key=lambda item: item[0])]


def run(bench: Bench, sent: list[Arrival], quiet: bool = True) -> Bench:
    for first in range(0, len(sent), 6):
        bench.feed(sent[first : first + 6])
    if quiet:
        bench.fall_quiet()
    return bench


@settings(max_examples=40)
@given(
    found=arrivals,
    rules=rule_sets,
    interval=st.sampled_from([0, 5 * SECOND]),
    quiet=st.booleans(),
    order=st.randoms(use_true_random=False),
    start=st.one_of(st.none(), st.integers(-1, 3).map(lambda days: T0 + days * DAY)),
)
def test_without_a_change_of_rules_nothing_changes(
    found: list[tuple[int, int, float]],
    rules: CounterRules,
    interval: int,
    quiet: bool,
    order: Any,
    start: int | None,
) -> None:
    sent = out_of_order(found, order, far=True)
    bench = run(Bench(RULES, series(rules, interval)), sent, quiet)
    before = dict(bench.store.windows), dict(bench.store.corrections)
    states = bench.processor.engine.states.rows.copy()
    for series_id in bench.store.series:
        totals = bench.recompute(series_id, start)
        assert totals.changed == 0
        if start is None and quiet:
            assert totals.readings == len(bench.store.counted.get(series_id, ()))
    assert bench.store.windows.keys() == before[0].keys()
    for key, (revision, row) in bench.store.windows.items():
        assert (revision, row.tobytes()) == (before[0][key][0], before[0][key][1].tobytes())
    assert bench.store.corrections == before[1]
    for name in ("meter", "settled_time", "newest"):
        assert np.array_equal(bench.processor.engine.states.rows[name], states[name]), name


@settings(max_examples=40)
@given(found=arrivals, old=rule_sets, new=rule_sets, order=st.randoms(use_true_random=False), cut=st.integers(0, 40))
def test_other_rules_hold_as_if_they_had_always_been_there(
    found: list[tuple[int, int, float]], old: CounterRules, new: CounterRules, order: Any, cut: int
) -> None:
    old, new = old._replace(cautious=False), new._replace(cautious=False)
    sent = out_of_order(found, order, far=False)
    bench = run(Bench(RULES, series(old)), sent[:cut], quiet=False)
    bench.change(descriptors=series(new))
    # The next message of a series brings the rules.
    tail = [(n, T0 + 40 * DAY, 500.0) for n in range(3)]
    run(bench, [*sent[cut:], *tail])
    for series_id in bench.store.series:
        bench.recompute(series_id)
    fresh = run(Bench(RULES, series(new)), [*sent[:cut]], quiet=False)
    fresh.reopen()
    run(fresh, [*sent[cut:], *tail])
    bench.fall_quiet()
    same(bench, fresh)
    # And go on from there.
    more = [(n, T0 + 40 * DAY + at * MINUTE, 500.0 + at) for at in range(1, 4) for n in range(3)]
    same(run(bench, more), run(fresh, more))


@settings(max_examples=30)
@given(found=arrivals, order=st.randoms(use_true_random=False))
def test_what_came_too_late_is_counted_when_asked_for(found: list[tuple[int, int, float]], order: Any) -> None:
    sent = out_of_order(found, order, far=True)
    bench = run(Bench(replace(RULES, lateness=2 * HOUR), series()), sent)
    late = sum(len(readings) for readings in bench.store.skipped.values())
    for series_id in bench.store.series:
        bench.recompute(series_id, include_too_late=True)
    bench.fall_quiet()
    same(bench, run(Bench(replace(RULES, lateness=40 * DAY), series()), sent))
    assert not any(bench.store.skipped.values())
    assert late or not any(bench.recompute(series_id).changed for series_id in bench.store.series)


@settings(max_examples=30)
@given(
    found=arrivals,
    rules=rule_sets,
    order=st.randoms(use_true_random=False),
    cut=st.integers(1, 40),
    steps=st.sampled_from(
        [
            (5 * SECOND, MINUTE, 15 * MINUTE, HOUR, DAY),
            (MINUTE, HOUR),
            (30 * SECOND, 7 * HOUR),
            (DAY,),
            (MINUTE, 15 * MINUTE),
        ]
    ),
)
def test_other_steps_are_there_after_the_next_start(
    found: list[tuple[int, int, float]], rules: CounterRules, order: Any, cut: int, steps: tuple[int, ...]
) -> None:
    sent = out_of_order(found, order, far=False)
    bench = run(Bench(RULES, series(rules)), sent[:cut])
    changed = replace(RULES, steps=steps, announced=steps)
    bench.change(changed)
    told = len(bench.store.announced)
    run(bench, sent[cut:])
    fresh = run(run(Bench(changed, series(rules)), sent[:cut]), sent[cut:])
    mine, theirs = content(bench), content(fresh)
    for key, row in theirs.items():
        if isinstance(row, Correction):
            assert mine[key] == row
        else:
            assert mine[key] == pytest.approx(row, rel=1e-9, abs=1e-6), key
    assert all(one.step in steps for one in bench.store.announced[told:])


ALL_TOLD = replace(RULES, announce_fine_within=100_000 * DAY)
FEW = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([20, 60, 60, 100]).map(lambda one: one * SECOND), values),
    min_size=1,
    max_size=30,
)


def test_a_window_whose_neighbour_is_judged_otherwise_gets_the_next_revision() -> None:
    counter = descriptor(0, Kind.COUNTER, MINUTE)
    bench = Bench(ALL_TOLD, [counter._replace(counting=RESET)])
    start = T0 + 22 * MINUTE
    for at, value in enumerate((100.0, 200, 10, 20, 30, 40)):
        bench.feed([(0, start + at * MINUTE, value)])
    bench.change(descriptors=[counter._replace(counting=CounterRules(Policy.REJECT))])
    bench.feed([(0, start + 7 * MINUTE, 60.0)])
    bench.recompute(1)
    bench.fall_quiet()
    informed(bench)
    revisions = [bench.store.windows[1, MINUTE, start + at * MINUTE][0] for at in range(5)]
    assert revisions == [1, 2, 2, 2, 1]
    assert seen(bench)[1, MINUTE, start + MINUTE][0] == 0
    assert bench.recompute(1).changed == 0


@settings(max_examples=60)
@given(found=FEW, old=rule_sets, new=rule_sets, order=st.randoms(use_true_random=False), shift=st.booleans())
def test_whoever_keeps_the_newest_events_has_what_is_listed_after_a_recomputation(
    found: list[tuple[int, int, float]], old: CounterRules, new: CounterRules, order: Any, shift: bool
) -> None:
    early = DAY - T0 % DAY - 10 * MINUTE if shift else 0
    sent = [(number, time + early, value) for number, time, value in out_of_order(found, order, far=False)]
    bench = run(Bench(ALL_TOLD, series(old, MINUTE)), sent)
    informed(bench)
    bench.change(descriptors=series(new, MINUTE))
    last = max(time for _, time, _ in sent)
    run(bench, [(n, last + 2 * DAY, 500.0) for n in range(3)])
    for series_id in bench.store.series:
        bench.recompute(series_id)
    bench.fall_quiet()
    informed(bench)
    for series_id in bench.store.series:
        assert bench.recompute(series_id).changed == 0
