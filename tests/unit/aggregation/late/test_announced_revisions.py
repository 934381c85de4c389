"""What is announced after a late reading: what it has changed, and nothing else."""

import pytest

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Bench, descriptor
from tests.support.aggregation.reference import first_wins, window


def test_a_revision_tells_what_a_late_reading_changed() -> None:
    bench = Bench(Rules(announce_fine_within=40000 * DAY), [descriptor(0)])
    sent = [(T0 + (5 * place + 2) * SECOND, float(place)) for place in range(40)]
    bench.feed([(0, at, value) for at, value in sent])
    told = {(one.step, one.start): one for one in bench.store.announced}
    first = told[MINUTE, T0]
    assert (first.revision, first.statistics.count) == (1, 12)
    bench.feed([(0, T0 + 59 * SECOND, 500.0)])
    again = [one for one in bench.store.announced if one.revision == 2]
    # Its own window, and the next one, which begins with another value now.
    assert {(one.step, one.start) for one in again} == {(MINUTE, T0), (MINUTE, T0 + MINUTE)}
    corrected = next(one.statistics for one in again if one.start == T0)
    expected = window(first_wins([*sent, (T0 + 59 * SECOND, 500.0)]), int(Kind.GAUGE), 15 * SECOND, T0, T0 + MINUTE)
    assert expected is not None
    assert corrected.count == 13
    assert corrected.integral == pytest.approx(float(expected.integral))


def test_a_window_that_a_late_reading_does_not_change_is_not_told_again() -> None:
    bench = Bench(Rules(announce_fine_within=40000 * DAY), [descriptor(0)])
    bench.feed([(0, T0 + place * 5 * SECOND, float(place)) for place in range(40)])
    bench.feed([(0, T0 + 58 * SECOND, 500.0)])
    # The next window begins with a reading of its own.
    assert [(one.step, one.start) for one in bench.store.announced if one.revision == 2] == [(MINUTE, T0)]
