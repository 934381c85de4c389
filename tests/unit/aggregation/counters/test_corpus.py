"""The corpus of meters: what is booked is what was consumed, and the documents say so."""

from itertools import pairwise

import pytest

from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from tests.support.aggregation.counter_table import PAGE, booked, page
from tests.support.aggregation.meters import METERS, MeterCase
from tests.support.aggregation.partition import T0, Bench, descriptor


@pytest.mark.parametrize("case", METERS, ids=lambda case: case.name)
def test_what_can_be_known_is_booked_exactly(case: MeterCase) -> None:
    expected = case.careful if case.tie else case.true
    assert booked(case, case.needs or CounterRules()) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("case", METERS, ids=lambda case: case.name)
def test_no_policy_books_a_whole_register(case: MeterCase, policy: Policy) -> None:
    """At most what was consumed, and what RESET adds where it believes that a meter has started at 0."""
    lowest = [after for before, after in pairwise(case.values) if 0 <= after < before]
    margin = sum(lowest) if policy is Policy.RESET else 0.0
    assert booked(case, CounterRules(policy, case.register)) <= case.true + margin + 1e-6


RULES = Rules(lateness=400 * DAY)


def listed(bench: Bench, step: int) -> dict[int, float]:
    """Start of each window (in steps since the first reading) and its consumption."""
    info = bench.store.info(1)
    first, last = T0 - T0 % DAY, T0 + 400 * DAY
    pieces = bench.store.pieces([info], first, last, RULES.steps.index(step))
    found = spans([info], pieces, first, last, step)
    return {(one.start - T0) // step: one.statistics.consumption or 0.0 for one in found}


@pytest.mark.thorough
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("case", [case for case in METERS if len(case.values) <= 160], ids=lambda case: case.name)
def test_windows_say_so_however_readings_come(case: MeterCase, size: int) -> None:
    """Reading by reading, with another owner in between; and out of order."""
    rules = case.needs or CounterRules()
    readings = [(0, T0 + at, value) for at, value in case.readings]
    for sent in (readings, [*readings[::2], *readings[1::2]]):
        bench = Bench(RULES, [descriptor(0, Kind.COUNTER, case.interval)._replace(counting=rules)])
        for first in range(0, len(sent), size):
            bench.feed(sent[first : first + size])
            if first == len(sent) // 2:
                bench.reopen()
        bench.fall_quiet()
        assert sum(listed(bench, DAY).values()) == pytest.approx(booked(case, rules), rel=1e-9, abs=1e-6)
        assert bench.recompute(1).changed == 0


def test_after_a_reset_each_step_is_booked_where_it_happened() -> None:
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, MINUTE)])
    for at, value in enumerate((3294.0, 21, 68, 91, 102)):
        bench.feed([(0, T0 + at * MINUTE, value)])
    bench.fall_quiet()
    assert listed(bench, MINUTE) == {0: 0.0, 1: 47.0, 2: 23.0, 3: 11.0, 4: 0.0}


def test_also_where_readings_lie_between_the_minutes() -> None:
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, MINUTE)])
    for at, value in enumerate((3294.0, 21, 68, 91, 102)):
        bench.feed([(0, T0 + at * 100 * SECOND, value)])
    bench.fall_quiet()
    found = listed(bench, MINUTE)
    # 47 over [100 s, 200 s), 23 over [200 s, 300 s), 11 over [300 s, 400 s).
    shares = {1: 47 * 0.2, 2: 47 * 0.6, 3: 47 * 0.2 + 23 * 0.4, 4: 23 * 0.6, 5: 11 * 0.6, 6: 11 * 0.4}
    assert found == pytest.approx({0: 0.0} | shares)


def test_the_true_increase_is_booked_in_the_windows_that_it_lies_in() -> None:
    """A branch is revoked after its windows have closed: they get the next revision."""
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, MINUTE)])
    values = (100000.0, 100100, 100.2, 100.3, 100.4, 100500, 100600)
    for at, value in enumerate(values):
        bench.feed([(0, T0 + at * MINUTE, value)])
        if at == 4:
            bench.fall_quiet()
            assert sum(listed(bench, MINUTE).values()) == pytest.approx(100.2)
    bench.fall_quiet()
    found = listed(bench, MINUTE)
    assert found[0] == pytest.approx(100)
    assert sum(found.values()) == pytest.approx(600)
    assert {found.kind for found in bench.store.corrections.values()} == {"REVOKED"}


def test_the_table_is_fresh() -> None:
    """Anew: `make counter-table`."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "docs/counters.md is stale"
