"""What people decide about readings of counters: windows follow, and it holds for ever."""

from dataclasses import replace
from typing import Any

import pytest

from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.late.amendments import AmendmentOutcome
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE
from services.aggregation.domain.windows.span_statistics import spans
from tests.support.aggregation.partition import T0, Bench, descriptor
from tests.support.aggregation.recomputed import content, informed, same

ALL_TOLD = Rules(lateness=3 * HOUR, announce_fine_within=100_000 * DAY)


def bench(*values: float, rules: CounterRules | None = None, quiet: bool = True) -> Bench:
    meter = descriptor(0, Kind.COUNTER, MINUTE)
    made = Bench(ALL_TOLD, [meter if rules is None else meter._replace(counting=rules)])
    for at, value in enumerate(values):
        made.feed([(0, T0 + at * MINUTE, value)])
    if quiet:
        made.fall_quiet()
    return made


def used(made: Bench) -> float:
    """As the windows say it."""
    info = made.store.info(1)
    pieces = made.store.pieces([info], T0 - T0 % DAY, T0 - T0 % DAY + 2 * DAY, 0)
    found = spans([info], pieces, T0 - T0 % DAY, T0 - T0 % DAY + 2 * DAY, DAY)
    return sum(span.statistics.consumption or 0.0 for span in found)


RESET = CounterRules(Policy.RESET)
FALL = (100.0, 101, 102, 3, 4, 5, 6, 7, 8)


def test_a_fall_is_what_somebody_says() -> None:
    made = bench(*FALL, rules=RESET)
    believed = used(made)
    assert believed == pytest.approx(2 + 3 + 5)
    made.decide(1, T0 + 3 * MINUTE, Decision("RESET"))
    # The step to it is not counted.
    assert used(made) == pytest.approx(2 + 5)
    made.fall_quiet()
    informed(made)
    made.decide(1, T0 + 3 * MINUTE, Decision("VALUE", 103.0))
    made.fall_quiet()
    informed(made)
    by_value = used(made)
    for _ in range(2):
        assert made.recompute(1).changed == 0
        made.reopen()
        assert used(made) == pytest.approx(by_value)
    made.decide(1, T0 + 3 * MINUTE, Decision("RESET"))
    assert used(made) == pytest.approx(2 + 5)


@pytest.mark.parametrize(
    "decision", [Decision("GLITCH"), Decision("IGNORE"), Decision("RESET"), Decision("VALUE", 104.0)]
)
@pytest.mark.parametrize("quiet", [False, True])
def test_it_is_as_if_it_had_been_decided_before(decision: Decision, quiet: bool) -> None:
    values = (100.0, 101, 102, 5000, 103, 104, 105, 106)
    time = T0 + 3 * MINUTE
    after = bench(*values, quiet=quiet)
    after.decide(1, time, decision)
    before = bench(*values[:2], quiet=False)
    before.store.decided[1] = {time: decision}
    before.reopen()
    for at, value in enumerate(values[2:], 2):
        before.feed([(0, T0 + at * MINUTE, value)])
    before.fall_quiet()
    after.fall_quiet()
    informed(after)
    same(after, before)
    known: dict[Any, Any] = content(after)
    assert after.recompute(1).changed == 0
    after.reopen()
    assert content(after) == known
    consumption = used(after)
    # Built anew from raw readings.
    after.change(replace(ALL_TOLD, steps=(MINUTE, 5 * MINUTE, HOUR, DAY)))
    after.fall_quiet()
    assert used(after) == pytest.approx(consumption)
    assert after.recompute(1).changed == 0
    if decision.kind in ("GLITCH", "IGNORE"):
        assert used(after) == pytest.approx(6)


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("decision", [Decision("GLITCH"), Decision("IGNORE"), Decision("VALUE", 104.0)])
def test_a_later_replacement_of_the_reading_holds(decision: Decision, quiet: bool) -> None:
    values, time = (100.0, 101, 102, 5000, 103, 104, 105, 106), T0 + 3 * MINUTE
    after = bench(*values, quiet=quiet)
    after.decide(1, time, decision)
    assert after.amend(1, time, 102.5) == AmendmentOutcome.APPLIED
    right = bench(*values[:3], 102.5, *values[4:], quiet=quiet)
    after.fall_quiet()
    right.fall_quiet()
    informed(after)
    same(after, right)
    known: dict[Any, Any] = content(after)
    assert after.recompute(1).changed == 0
    after.reopen()
    assert content(after) == known


def test_the_value_that_came_is_a_word_too() -> None:
    made = bench(*FALL, rules=RESET)
    believed = used(made)
    made.decide(1, T0 + 3 * MINUTE, Decision("IGNORE"))
    assert made.amend(1, T0 + 3 * MINUTE, 3.0) == AmendmentOutcome.APPLIED
    assert used(made) == pytest.approx(believed)
    assert made.amend(1, T0 + 3 * MINUTE, 3.0) == AmendmentOutcome.UNCHANGED
