"""Counters under every policy: by examples, and against a reference that reads sorted readings one by one."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.counters.meter_row import no_meters
from services.aggregation.domain.counters.policy import CounterRules, Policy, counting
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor
from tests.support.aggregation.reference import Counting, first_wins, meter_steps, window

pytestmark = pytest.mark.thorough

RULES = Rules(lateness=40 * DAY)
RESET = CounterRules(Policy.RESET)
ROLLOVER = CounterRules(Policy.ROLLOVER, register=1000)
REJECT = CounterRules(Policy.REJECT)
CAPPED = CounterRules(cap=60)
"""One a minute."""


def consumed(rules: CounterRules, *values: float) -> tuple[float, list[str]]:
    """Total consumption of a counter that reports these values once a minute, and its corrections."""
    times = np.arange(len(values), dtype=np.int64) * MINUTE + T0
    alone = np.zeros(len(values), np.int64)
    found = increases(np.array([2]), counting([rules]), no_meters(1), alone, times, np.array(values, np.float64))
    assert found is not None
    assert (found.amount >= 0).all()
    return float(found.amount.sum()), [correction.kind for correction in found.corrections]


@pytest.mark.parametrize(
    ("rules", "values", "total", "corrections"),
    [
        # Believed at once: the new value counts.
        (RESET, (100, 110, 5), 15, ["RESET"]),
        (RESET, (100, 110, 5, 7), 17, ["RESET"]),
        # Back at the old level: never the whole meter reading.
        (RESET, (12000, 0, 12001), 1, ["REVOKED"]),
        (RESET, (12000, 0, 12000), 0, ["REVOKED"]),
        # What comes back revokes it, as long as it has not counted.
        (RESET, (100, 5, 6, 101), 1, ["REVOKED"]),
        (RESET, (100, 5, 6, 7, 8), 8, ["RESET"]),
        (RESET, (100, 5, 3, 4), 9, ["RESET", "RESET"]),
        (RESET, (100, -5, 101), 1, ["GLITCH"]),
        # A device known to send decreasing values is not believed at once.
        (RESET._replace(cautious=True), (100, 5, 101), 1, ["GLITCH"]),
        (RESET._replace(cautious=True), (100, 5, 6, 8), 3, ["RESET"]),
        # A step above the cap is never booked.
        (RESET._replace(cap=60), (100, 50, 101), 1, ["GLITCH"]),
        (RESET._replace(cap=60), (100, 1, 2), 2, ["RESET"]),
        (ROLLOVER, (990, 998, 5, 9), 19, ["ROLLOVER"]),
        (ROLLOVER, (998, 0, 999), 1, ["REVOKED"]),
        (ROLLOVER, (400, 0, 401), 1, ["GLITCH"]),
        (ROLLOVER, (400, 0, 1, 2), 2, ["RESET"]),
        (ROLLOVER._replace(cap=6000), (990, 60, 61), 71, ["ROLLOVER"]),
        (ROLLOVER._replace(cap=600), (990, 60, 61, 62), 2, ["RESET"]),
        (ROLLOVER._replace(cautious=True), (998, 3, 4, 5), 7, ["ROLLOVER"]),
        (ROLLOVER._replace(cautious=True), (998, 3, 999), 1, ["GLITCH"]),
        # What is rounding is said by its part of the level, by its size, or both.
        (CounterRules(), (43, 44, 45, 44, 46), 3, ["REVOKED"]),
        (CounterRules(rounding_amount=1), (43, 44, 45, 44, 46), 3, []),
        (CounterRules(rounding_amount=1), (1, 2, 1, 2, 3), 2, []),
        (CounterRules(rounding_ratio=0.05, rounding_amount=1), (43, 44, 45, 44, 46), 3, []),
        (CounterRules(rounding_ratio=0.01, rounding_amount=1), (43, 44, 45, 44, 46), 3, ["REVOKED"]),
        (CounterRules(rounding_ratio=0.05), (43, 44, 45, 44, 46), 3, []),
        (REJECT._replace(rounding_amount=1), (43, 44, 45, 44, 40, 46), 3, ["REJECTED"]),
        (REJECT, (100, 5, 6, 7, 8, 101), 1, ["REJECTED"]),
        (REJECT, (100, 100, 99, 102), 2, ["REJECTED"]),
        (REJECT._replace(cap=60), (100, 500, 50, 500, 500), 0, ["REJECTED"]),
        (REJECT._replace(cap=60), (100, 500, 50, 501, 502), 2, ["JUMP", "REJECTED"]),
        # Held like a decrease: a glitch when the values come back, else the counter was replaced.
        (CAPPED, (100, 5000, 101), 1, ["GLITCH"]),
        (CAPPED, (100, 5000, 5001, 5002, 5003), 3, ["JUMP"]),
        (CAPPED, (100, 101, 102, 103), 3, []),
        # What confirms a step upwards does so even when time has made the step plausible.
        (CAPPED, (100, 102, 102, 102, 103, 104), 2, ["JUMP"]),
        (CAPPED, (100, 90, 5000, 101), 1, ["GLITCH", "GLITCH"]),
        (CAPPED, (100, 0, 50, 101), 1, ["GLITCH", "GLITCH"]),
    ],
)
def test_policies(rules: CounterRules, values: tuple[float, ...], total: float, corrections: list[str]) -> None:
    assert consumed(rules, *values) == (pytest.approx(total), corrections)


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("level", [900.0, 400.0, 12.0])
def test_a_drop_of_one_sample_to_zero_never_counts_for_the_meter_reading(policy: Policy, level: float) -> None:
    for rules in (CounterRules(policy, register=1000), CounterRules(policy, 1000, cautious=True)):
        assert consumed(rules, level - 1, level, 0, level + 1)[0] == pytest.approx(2)


def reference(rules: CounterRules) -> Counting:
    names = {Policy.HOLD_THEN_RESET: "HOLD"}
    name = names.get(rules.policy, rules.policy.name)
    return Counting(
        name, int(rules.register), int(rules.cap), rules.cautious, rules.rounding_ratio, rules.rounding_amount
    )


rule_sets = st.builds(
    CounterRules,
    st.sampled_from(Policy),
    st.just(64.0),
    st.sampled_from([0.0, 720.0, 3600.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.0, 0.09375]),
    st.sampled_from([0.0, 0.0, 1.0, 3.0]),
)
values = st.one_of(st.integers(0, 12), st.integers(50, 64), st.sampled_from([0, 0, 30, 200])).map(float)
gaps = st.one_of(st.just(5), st.integers(1, 40), st.integers(50, 70), st.sampled_from([900, 3600])).map(
    lambda seconds: seconds * SECOND
)
readings = st.lists(st.tuples(gaps, values), min_size=1, max_size=40)


def timed(found: list[tuple[int, float]]) -> list[Arrival]:
    at, arrivals = T0, list[Arrival]()
    for gap, value in found:
        at += gap
        arrivals.append((0, at, value))
    return arrivals


def check(bench: Bench, arrivals: list[Arrival], rules: CounterRules) -> None:
    """Every window, every correction, and every range from its parts."""
    kept = first_wins([(time, value) for _, time, value in arrivals])
    info = bench.store.info(1)
    expected_rules = reference(rules)
    for level, step in enumerate(RULES.steps):
        for start in {time - time % step for time in kept}:
            expected = window(kept, Kind.COUNTER, info.max_gap, start, start + step, expected_rules)
            pieces = bench.store.pieces([info], start, start + step, level)
            found = spans([info], pieces, start, start + step, step)[0].statistics
            assert expected is not None
            assert (found.count, found.covered) == (expected.count, expected.covered)
            assert found.consumption == pytest.approx(float(expected.consumption), abs=1e-6), (step, start - T0)
            assert (found.consumption or 0) >= -1e-9
    steps, marks = meter_steps(sorted(kept.items()), expected_rules)
    assert {time: (found.kind, found.readings) for (_, time), found in bench.store.corrections.items()} == marks
    whole = sum(amount for _, _, amount in steps)
    first, last = T0 - T0 % DAY, max(kept) - max(kept) % DAY + DAY
    parts = [
        spans([info], bench.store.pieces([info], start, start + DAY, 3), start, start + DAY, DAY)[0].statistics
        for start in range(first, last, DAY)
    ]
    assert sum(part.consumption or 0 for part in parts) == pytest.approx(float(whole), abs=1e-6)


def run(rules: CounterRules, batches: list[list[Arrival]], between: Callable[[Bench, int], object]) -> Bench:
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, 5 * SECOND)._replace(counting=rules)])
    for number, batch in enumerate(batches):
        bench.feed(batch)
        between(bench, number)
    bench.fall_quiet()
    return bench


def interludes(pauses: set[int], takeovers: set[int]) -> Callable[[Bench, int], object]:
    def between(bench: Bench, number: int) -> None:
        if number in pauses:
            bench.fall_quiet()
        if number in takeovers:
            bench.reopen()

    return between


some = st.sets(st.integers(0, 39), max_size=6)


@settings(max_examples=40)
@given(rules=rule_sets, found=readings, cuts=some, pauses=some, takeovers=some)
def test_in_order_however_they_are_cut(
    rules: CounterRules, found: list[tuple[int, float]], cuts: set[int], pauses: set[int], takeovers: set[int]
) -> None:
    arrivals = timed(found)
    edges = sorted({0, len(arrivals), *(cut for cut in cuts if cut < len(arrivals))})
    batches = [arrivals[first:last] for first, last in pairwise(edges)]
    check(run(rules, batches, interludes(pauses, takeovers)), arrivals, rules)


@settings(max_examples=40)
@given(
    rules=rule_sets,
    found=readings,
    size=st.integers(1, 7),
    pauses=some,
    takeovers=some,
    order=st.randoms(use_true_random=False),
)
def test_in_any_order(
    rules: CounterRules,
    found: list[tuple[int, float]],
    size: int,
    pauses: set[int],
    takeovers: set[int],
    order: Any,
) -> None:
    arrivals = timed(found)
    sent = sorted(arrivals, key=lambda arrival: arrival[1] + order.choice([0, 0, 0, 30 * SECOND, 2 * MINUTE, HOUR]))
    batches = [sent[first : first + size] for first in range(0, len(sent), size)]
    check(run(rules, batches, interludes(pauses, takeovers)), arrivals, rules)


steady = st.lists(st.tuples(st.sampled_from([20 * SECOND, 30 * SECOND, 60 * SECOND]), values), min_size=1, max_size=25)


def announced(bench: Bench, step: int) -> dict[int, float]:
    """Start of each window of the step, and the consumption that its newest event says."""
    newest = {one.start: one for one in sorted(bench.store.announced, key=lambda one: one.revision) if one.step == step}
    for start, one in newest.items():
        assert one.revision == bench.store.windows[1, step, start][0]
    return {start: one.statistics.consumption or 0.0 for start, one in newest.items()}


def listed(bench: Bench, step: int, first: int, last: int) -> dict[int, float]:
    """The same, as windows are listed: many at once."""
    info = bench.store.info(1)
    pieces = bench.store.pieces([info], first, last, bench.rules.steps.index(step))
    return {one.start: one.statistics.consumption or 0.0 for one in spans([info], pieces, first, last, step)}


def agree(bench: Bench, arrivals: list[Arrival], rules: CounterRules) -> None:
    """Windows, as listed and as announced in the end, are those of the reference, and sum to the whole."""
    kept = first_wins([(time, value) for _, time, value in arrivals])
    info = bench.store.info(1)
    first, last = T0 - T0 % DAY, max(kept) - max(kept) % DAY + DAY
    whole = float(sum(amount for _, _, amount in meter_steps(sorted(kept.items()), reference(rules))[0]))
    for step in bench.rules.steps:
        expected = dict[int, float]()
        for start in {time - time % step for time in kept}:
            found = window(kept, Kind.COUNTER, info.max_gap, start, start + step, reference(rules))
            assert found is not None
            expected[start] = float(found.consumption)
        assert listed(bench, step, first, last) == pytest.approx(expected, abs=1e-6), step
        assert announced(bench, step) == pytest.approx(expected, abs=1e-6), step
        # Every minute holds a reading.
        assert sum(expected.values()) == pytest.approx(whole, abs=1e-6)


EVERYTHING = Rules(lateness=40 * DAY, announce_fine_within=100_000 * DAY)


def announcing(
    rules: CounterRules, batches: list[list[Arrival]], between: Callable[[Bench, int], object] = lambda _a, _b: None
) -> Bench:
    bench = Bench(EVERYTHING, [descriptor(0, Kind.COUNTER, MINUTE)._replace(counting=rules)])
    for number, batch in enumerate(batches):
        bench.feed(batch)
        between(bench, number)
    bench.fall_quiet()
    return bench


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_an_increase_over_values_that_were_not_accepted_is_spread_over_their_windows(policy: Policy, size: int) -> None:
    rules = CounterRules(policy, register=1000)
    arrivals: list[Arrival] = [
        (0, T0 + 30 * SECOND + at * MINUTE, value) for at, value in enumerate((100.0, 200, 50, 80, 250, 260, 260, 260))
    ]
    batches = [arrivals[first : first + size] for first in range(0, len(arrivals), size)]
    bench = announcing(rules, batches)
    agree(bench, arrivals, rules)
    if policy == Policy.REJECT:
        found = list(listed(bench, MINUTE, T0, T0 + 6 * MINUTE).values())
        assert found == pytest.approx([50, 50 + 25 / 3, 50 / 3, 50 / 3, 25 / 3 + 5, 5])


@settings(max_examples=100)
@given(rules=rule_sets, found=steady, size=st.integers(1, 7), pauses=some, takeovers=some)
def test_what_is_listed_and_announced_sums_to_the_whole(
    rules: CounterRules, found: list[tuple[int, float]], size: int, pauses: set[int], takeovers: set[int]
) -> None:
    arrivals = timed(found)
    batches = [arrivals[first : first + size] for first in range(0, len(arrivals), size)]
    agree(announcing(rules, batches, interludes(pauses, takeovers)), arrivals, rules)


@settings(max_examples=100)
@given(
    rules=rule_sets,
    found=steady,
    size=st.integers(1, 7),
    pauses=some,
    takeovers=some,
    order=st.randoms(use_true_random=False),
)
def test_what_is_listed_and_announced_sums_to_the_whole_in_any_order(
    rules: CounterRules,
    found: list[tuple[int, float]],
    size: int,
    pauses: set[int],
    takeovers: set[int],
    order: Any,
) -> None:
    arrivals = timed(found)
    sent = sorted(arrivals, key=lambda arrival: arrival[1] + order.choice([0, 0, 0, 90 * SECOND, 4 * MINUTE, HOUR]))
    batches = [sent[first : first + size] for first in range(0, len(sent), size)]
    agree(announcing(rules, batches, interludes(pauses, takeovers)), arrivals, rules)
