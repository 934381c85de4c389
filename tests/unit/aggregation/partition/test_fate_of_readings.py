"""Lost, late, repeated and shuffled readings of a regular sender, through batches, take-overs and silences: which
count, and what whoever listens to closing windows knows in the end."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from tests.support.aggregation.oracle import Fate, answer, consumption, growth
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor

pytestmark = pytest.mark.thorough

INTERVAL = 5 * SECOND
LATENESS = 3 * MINUTE
RULES = Rules(lateness=LATENESS, announce_fine_within=40_000 * DAY)


@dataclass(frozen=True)
class Sent:
    """One reading on its way: how many batches it is held up (None: lost), and how it comes again."""

    skip: int
    value: int
    held_up: int | None
    again: int


sent = st.builds(
    Sent,
    # Mostly the next tick; sometimes a gap below and above max_gap, sometimes the next quarter of an hour.
    skip=st.sampled_from([1, 1, 1, 1, 1, 1, 2, 3, 4, 10, 100, 170]),
    value=st.integers(-50, 50),
    held_up=st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 5, None]),
    again=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 3]),
)


def journey(readings: list[Sent], offset: int, batch: int, kind: Kind) -> list[list[Arrival]]:
    """Batches as they arrive: what is held up comes with a later one, and so do repeats."""
    arrivals: list[tuple[int, Arrival]] = []
    time, total = T0 + offset, 0
    for place, one in enumerate(readings):
        time += one.skip * INTERVAL
        total += abs(one.value)
        # A meter that has counted for long: no step is large beside its register.
        value = float(10_000 + total if kind == Kind.COUNTER else one.value)
        due = place // batch
        if one.held_up is not None:
            arrivals.append((due + one.held_up, (0, time, value)))
        if one.again:
            # A counter that contradicts itself is another story; the repeat then says the same.
            arrivals.append((due + one.again, (0, time, value if kind == Kind.COUNTER else value + 1000.0)))
    arrivals.sort(key=lambda item: item[0])
    last = arrivals[-1][0] if arrivals else -1
    return [found for n in range(last + 1) if (found := [arrival for due, arrival in arrivals if due == n])]


@settings(max_examples=120)
@given(
    readings=st.lists(sent, min_size=1, max_size=45),
    offset=st.sampled_from([0, 1, HOUR - 61 * SECOND, 14 * MINUTE + 3 * SECOND, DAY - T0 % DAY - MINUTE]),
    batch=st.integers(1, 7),
    kind=st.sampled_from([Kind.GAUGE, Kind.LEVEL, Kind.COUNTER]),
    takeovers=st.sets(st.integers(0, 30), max_size=4),
    silences=st.sets(st.integers(0, 30), max_size=4),
)
def test_what_was_told_last_is_what_the_formulas_say(
    readings: list[Sent], offset: int, batch: int, kind: Kind, takeovers: set[int], silences: set[int]
) -> None:
    bench, fate = Bench(RULES, [descriptor(0, kind, INTERVAL)]), Fate(LATENESS)
    for number, arrivals in enumerate(journey(readings, offset, batch, kind)):
        bench.feed(arrivals)
        for _, time, value in arrivals:
            fate.arrive(time, value)
        if number in silences:
            bench.fall_quiet()
        if number in takeovers:
            bench.reopen()
    bench.fall_quiet()
    if fate.newest is None:
        return
    assert bench.store.counted[1] == fate.counted
    assert bench.store.skipped.get(1, {}) == fate.too_late

    told = {}
    for one in bench.store.announced:
        key = one.step, one.start
        assert one.revision == (told[key].revision + 1 if key in told else 1), "revisions go up one by one"
        told[key] = one
    assert set(told) == {(step, time - time % step) for step in RULES.steps for time in fate.counted}
    for (step, start), one in told.items():
        expected = answer(fate.counted, int(kind), INTERVAL, 3 * INTERVAL, start, start + step)
        assert one.revision == bench.store.windows[1, step, start][0]
        assert (one.statistics.count, one.statistics.covered) == (expected.count, expected.covered)
        assert one.statistics.covered_ratio == pytest.approx(float(expected.covered_ratio))
        assert one.statistics.received_ratio == pytest.approx(float(expected.received_ratio))
        assert one.statistics.mean == pytest.approx(expected.arithmetic_mean and float(expected.arithmetic_mean))
        assert one.statistics.time_weighted_mean == (
            None if expected.time_weighted_mean is None else pytest.approx(float(expected.time_weighted_mean), abs=1e-9)
        )
        if kind == Kind.COUNTER:
            used = consumption(growth(fate.counted), 3 * INTERVAL, start, start + step)
            assert one.statistics.consumption == pytest.approx(float(used), abs=1e-9)


def test_what_comes_too_late_in_the_batch_that_brought_the_first_is_a_repeat() -> None:
    """The first may not be stored yet: it is still the first."""
    bench = Bench(RULES, [descriptor(0)])
    bench.feed([(0, T0, 1.0), (0, T0 + HOUR, 2.0), (0, T0, 3.0)])
    assert bench.store.counted[1] == {T0: 1.0, T0 + HOUR: 2.0}
    assert bench.store.skipped.get(1, {}) == {}


def test_a_late_reading_in_a_long_gap_of_a_meter_counts_nothing_twice() -> None:
    """What was an increase over ten minutes becomes two; the windows on both sides of the gap say so."""
    bench = Bench(Rules(lateness=HOUR, announce_fine_within=40_000 * DAY), [descriptor(0, Kind.COUNTER, INTERVAL)])
    bench.feed([(0, T0 + at * SECOND, value) for at, value in ((0, 100.0), (5, 101.0), (600, 200.0), (605, 201.0))])
    bench.feed([(0, T0 + 700 * SECOND, 210.0)])
    bench.feed([(0, T0 + 300 * SECOND, 150.0)])
    bench.fall_quiet()
    told = {one.start - T0: one.statistics.consumption for one in bench.store.announced if one.step == MINUTE}
    assert told == {0: 1.0, 5 * MINUTE: 49.0, 10 * MINUTE: 51.0, 11 * MINUTE: 9.0}
    day = next(one for one in reversed(bench.store.announced) if one.step == DAY)
    assert day.statistics.consumption == 110.0
