"""Days of 23 and 25 hours, and the second that POSIX time does not have: nothing is lost, nothing counts twice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from tests.support.aggregation.partition import Arrival, Bench, descriptor

RULES = Rules(lateness=30 * DAY, announce_fine_within=40_000 * DAY)
SUMMER, WINTER = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
"""Berlin's offsets, written down: the tests need no time zone database."""

# Local midnights around both changes of 2026, with the offset that held then.
SPRING = [(2026, 3, 28, WINTER), (2026, 3, 29, WINTER), (2026, 3, 30, SUMMER), (2026, 3, 31, SUMMER)]
AUTUMN = [(2026, 10, 24, SUMMER), (2026, 10, 25, SUMMER), (2026, 10, 26, WINTER), (2026, 10, 27, WINTER)]
LEAP = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp()) * SECOND
"""The POSIX time that stands for 2017-01-01T00:00:00Z, and for the leap second before it on most clocks."""


def micros(year: int, month: int, day: int, zone: timezone) -> int:
    return int(datetime(year, month, day, tzinfo=zone).timestamp()) * SECOND


def ask(bench: Bench, start: int, end: int) -> Statistics:
    info = bench.store.info(1)
    parts = bench.store.pieces([info], start, end, len(bench.rules.steps) - 1)
    return spans([info], parts, start, end, end - start)[0].statistics


@pytest.mark.parametrize(("midnights", "hours"), [(SPRING, [24, 23, 24]), (AUTUMN, [24, 25, 24])])
def test_local_days_of_23_and_25_hours_hold_their_hours_once(
    midnights: list[tuple[int, int, int, timezone]], hours: list[int]
) -> None:
    marks = [micros(*midnight) for midnight in midnights]
    assert [(b - a) // HOUR for a, b in pairwise(marks)] == hours
    # A meter that gains 1 Wh a minute, read every minute half a minute past; from before to after.
    times = range(marks[0] - HOUR + 30 * SECOND, marks[-1] + HOUR, MINUTE)
    bench = Bench(RULES, [descriptor(0, Kind.COUNTER, MINUTE)])
    bench.feed([(0, time, float(place)) for place, time in enumerate(times)])
    bench.fall_quiet()
    days = [ask(bench, a, b) for a, b in pairwise(marks)]
    assert [day.count for day in days] == [60 * length for length in hours]
    assert [day.consumption for day in days] == pytest.approx([60.0 * length for length in hours])
    assert [day.covered_ratio for day in days] == [1.0, 1.0, 1.0]
    assert [day.received_ratio for day in days] == [1.0, 1.0, 1.0]
    whole = ask(bench, marks[0], marks[-1])
    assert whole.consumption == pytest.approx(60.0 * sum(hours))
    # Stored windows lie on multiples of their step in UTC, so each local day is made of as many hours as it has.
    for start, end, length in zip(marks, marks[1:], hours, strict=False):
        kept = [key for key in bench.store.windows if key[1] == HOUR and start <= key[2] < end]
        assert len(kept) == length
        assert all(key[2] % HOUR == 0 for key in kept)


def step_back(at: float) -> float:
    """A clock that shows the last second of the day twice (the leap second is 23:59:59 again)."""
    return at if at < 0 else at - 1.0


def repeat_midnight(at: float) -> float:
    """POSIX arithmetic on 23:59:60.x: it is 00:00:00.x, and so is the second after it."""
    return at if at < 1 else at - 1.0


def stand_still(at: float) -> float:
    """A clock that stands still at the end of 23:59:59."""
    return at if at < 0 else max(at - 1.0, -0.000001)


def smear(at: float) -> float:
    """A clock that is slowed down from noon to noon, so that the second disappears in a day."""
    return at - min(max((at + 43_200.0) / 86_401.0, 0.0), 1.0)


@pytest.mark.parametrize("clock", [step_back, repeat_midnight, stand_still, smear])
@pytest.mark.parametrize(("interval", "phase"), [(0.25, 0.0), (0.3, 0.1), (1.0, 0.5), (1.0, 0.0), (7.3, 0.999)])
@pytest.mark.parametrize("kind", [Kind.COUNTER, Kind.GAUGE])
def test_a_leap_second_loses_and_doubles_nothing(
    clock: Callable[[float], float], interval: float, phase: float, kind: Kind
) -> None:
    """Whatever the sender's clock does: windows have their length, each event time counts once, and a meter's
    consumption over the leap second is what the meter gained."""
    # Real seconds since the leap second began. The meter gains one for each reading.
    ticks = [-150.0 + phase + place * interval for place in range(int(300 / interval))]
    sent: list[Arrival] = [(0, LEAP + round(clock(at) * 1e6), float(place)) for place, at in enumerate(ticks)]
    bench = Bench(RULES, [descriptor(0, kind, round(interval * 1e6))])
    for first in range(0, len(sent), 70):
        bench.feed(sent[first : first + 70])
    bench.fall_quiet()
    distinct = {time for _, time, _ in sent}
    assert set(bench.store.counted[1]) == distinct
    # Only what the clock showed twice is missing: no more than the readings of one second.
    assert len(sent) - len(distinct) <= 1.0 / interval
    counts = {key[2]: int(row["count"]) for key, (_, row) in bench.store.windows.items() if key[1] == MINUTE}
    assert set(counts) == {LEAP + n * MINUTE for n in range(-3, 3)}
    assert sum(counts.values()) == len(distinct)
    around = [ask(bench, LEAP - MINUTE, LEAP), ask(bench, LEAP, LEAP + MINUTE)]
    whole = ask(bench, LEAP - MINUTE, LEAP + MINUTE)
    assert whole.covered == 2 * MINUTE == sum(part.covered for part in around)
    assert whole.count == sum(part.count for part in around)
    if kind == Kind.COUNTER:
        everything = ask(bench, LEAP - 5 * MINUTE, LEAP + 5 * MINUTE)
        assert everything.consumption == pytest.approx(sent[-1][2])
        assert sum(part.consumption or 0.0 for part in around) == pytest.approx(whole.consumption or 0.0)
        # Two minutes of the clock are up to 121 seconds of the meter; the edges cut a step each.
        assert 120 / interval - 2 <= (whole.consumption or 0.0) <= 121 / interval + 2
