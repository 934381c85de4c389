"""What is listed of readings that were not taken at their word: runs of them at once, and ties with both readings."""

import numpy as np
import pytest

from services.aggregation.domain.counters.correction import Correction, Doubt
from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.counters.meter_row import no_meters
from services.aggregation.domain.counters.policy import CounterRules, Policy, counting
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Bench, descriptor

ROLLOVER = CounterRules(Policy.ROLLOVER, register=65536)


def listed(*values: float, rules: CounterRules | None = None) -> list[Correction]:
    """Of a counter that reports these values every five minutes; times in minutes."""
    times = np.arange(len(values), dtype=np.int64) * 5 * MINUTE
    alone = np.zeros(len(values), np.int64)
    found = increases(
        np.array([2]), counting([rules or CounterRules()]), no_meters(1), alone, times, np.array(values, np.float64)
    )
    assert found is not None
    return [one._replace(time=one.time // MINUTE, last_time=one.last_time // MINUTE) for one in found.corrections]


def steps(first: float, step: float, count: int) -> list[float]:
    return [first + step * at for at in range(count)]


@pytest.mark.parametrize(
    ("values", "rules", "kind", "doubt"),
    [
        ((*steps(50000, 0.5, 5), *steps(54900, 0.5, 5)), CounterRules(), "STEEP", Doubt(4898, 0)),
        ((*steps(100, 0.5, 5), *steps(5000, 0.5, 5)), CounterRules(), "JUMP", Doubt(0, 4898)),
        # The cap decides.
        ((*steps(100, 0.5, 5), *steps(5000, 0.5, 5)), CounterRules(cap=10), "JUMP", None),
        # A usual step over the end is none to doubt.
        ((*steps(65400, 50, 3), 14, 64, 114), ROLLOVER, "ROLLOVER", None),
        ((*steps(65000, 30, 5), 200, 230, 260), ROLLOVER, "ROLLOVER", Doubt(616, 0)),
        ((*steps(45000, 1, 5), 50, 51, 52), ROLLOVER, "RESET", Doubt(0, 20582)),
        ((*steps(9000, 10, 5), 5, 15, 25), CounterRules(), "RESET", None),
        ((0, 65500, 64, 164), ROLLOVER, "GLITCH", Doubt(0, 100)),
        # A first 0 was no level.
        ((0, 936.12, 936.2, 936.3), CounterRules(), "JUMP", None),
    ],
)
def test_ties_are_listed_with_both_readings(
    values: tuple[float, ...], rules: CounterRules, kind: str, doubt: Doubt | None
) -> None:
    first = listed(*values, rules=rules)[0]
    assert (first.kind, first.doubt) == (kind, doubt)


def test_each_steep_step_is_listed_and_none_that_was_taken_back() -> None:
    risen = (*steps(50000, 0.5, 5), 52000.0, 54900.0)
    assert [(one.kind, one.value) for one in listed(*risen)] == [("STEEP", 52000), ("STEEP", 54900)]
    (one,) = listed(*risen, *steps(50003, 0.5, 5))
    assert (one.kind, one.value, one.readings) == ("REVOKED", 52000, 2)


def test_a_small_step_is_not_listed_however_steep() -> None:
    assert listed(*steps(50000, 0.0001, 5), *steps(50001, 0.25, 5)) == []


def test_readings_in_a_row_are_one_correction() -> None:
    assert listed(397.11, *[0.0] * 144, 413.5) == [Correction(0, 5, 0, 397.11, "GLITCH", 720, 144)]
    assert listed(100, 101, *[7.0] * 30, 102, 7, rules=CounterRules(Policy.REJECT)) == [
        Correction(0, 10, 7, 101, "REJECTED", 155, 30),
        Correction(0, 165, 7, 102, "REJECTED", 165, 1),
    ]
    # Two restarts and then the old level: all that came in between.
    found = listed(500, 510, 520, 3, 8, 13, 18, 2, 7, 530, 540, 550)
    assert found == [Correction(0, 15, 3, 520, "REVOKED", 40, 6)]


@pytest.mark.parametrize("policy", [Policy.HOLD_THEN_RESET, Policy.REJECT])
def test_they_are_one_however_they_come_and_late_ones_are_counted(policy: Policy) -> None:
    meter = descriptor(0, Kind.COUNTER, 5 * SECOND)._replace(counting=CounterRules(policy))
    bench = Bench(Rules(lateness=2 * DAY), [meter])
    zeros = [(0, T0 + HOUR + at * 5 * SECOND, 0.0) for at in range(1000)]
    bench.feed([(0, T0, 100.0), (0, T0 + HOUR - 5 * SECOND, 100.1)])
    on_time = [one for at, one in enumerate(zeros) if at % 10]
    for first in range(0, len(on_time), 170):
        bench.feed(on_time[first : first + 170])
        if first == 340:
            bench.reopen()
    late = [one for at, one in enumerate(zeros) if not at % 10]
    bench.feed(late[1:60])
    bench.feed([(0, T0 + 3 * HOUR, 100.2), (0, T0 + 4 * HOUR, 100.3)])
    bench.feed(late[60:])
    bench.feed(late[:1])
    bench.fall_quiet()
    kind = "REJECTED" if policy is Policy.REJECT else "GLITCH"
    run = Correction(0, zeros[0][1], 0, 100.1, kind, zeros[-1][1], 1000)
    assert list(bench.store.corrections.values()) == [run]
    assert bench.recompute(1).changed == 0
    assert list(bench.store.corrections.values()) == [run]
