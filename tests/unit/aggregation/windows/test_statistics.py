"""What is known, and what is not said: statistics of spans, of one series and of several."""

import random

import pytest

from services.aggregation.adapters.grpc.mappers import statistics_message
from services.aggregation.adapters.nats.window_events import closed_bundle
from services.aggregation.application.partition.announcements import Announcement
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import MINUTE, SECOND
from services.aggregation.domain.windows.aggregate import Aggregator
from services.aggregation.domain.windows.span_statistics import Span
from services.aggregation.domain.windows.statistics import Statistics, combine
from tests.support.aggregation.partition import T0, Bench, descriptor
from tocsin.events.v1.windows_pb2 import WindowClosed


def test_without_covered_time_there_is_no_time_weighted_mean() -> None:
    alone = Statistics(
        count=1, sum=294.65, min=294.65, max=294.65, first=(T0, 294.65), last=(T0, 294.65), length=MINUTE
    )
    assert alone.mean == 294.65
    assert alone.time_weighted_mean is None
    message = statistics_message(alone)
    assert message.mean == 294.65
    assert not message.HasField("time_weighted_mean")
    assert message.covered_ratio == 0.0
    bundle = closed_bundle([Announcement(descriptor(0), 1, MINUTE, T0, 1, alone)])
    event = WindowClosed.FromString(bundle.payloads[0])
    assert event.mean == 294.65
    assert not event.HasField("time_weighted_mean")


def test_a_window_that_closes_with_one_reading_says_so_too() -> None:
    bench = Bench(Rules(announce_fine_within=2**62), [descriptor(0)])
    bench.feed([(0, T0, 20.0), (0, T0 + 10 * MINUTE, 30.0)])
    bench.fall_quiet()
    told = [one for one in bench.store.announced if one.step == MINUTE]
    assert [(one.start, one.statistics.count) for one in told] == [(T0, 1), (T0 + 10 * MINUTE, 1)]
    for one in told:
        event = WindowClosed.FromString(closed_bundle([one]).payloads[0])
        assert not event.HasField("time_weighted_mean")
        assert event.covered_ratio == 0.0


def some(chance: random.Random) -> Statistics:
    count = chance.randrange(0, 3)
    values = [chance.randrange(0, 100) for _ in range(count)]
    covered = chance.randrange(0, MINUTE) if count else 0
    return Statistics(
        count=count,
        sum=float(sum(values)),
        min=float(min(values)) if values else None,
        max=float(max(values)) if values else None,
        first=(T0 + chance.randrange(0, 9), float(values[0])) if values else None,
        last=(T0 + chance.randrange(9, 99), float(values[-1])) if values else None,
        covered=covered,
        integral=float(covered // SECOND * 7),
        length=MINUTE,
        longest_gap=chance.randrange(0, MINUTE),
        expected=chance.choice([None, 12.0]),
        consumption=chance.choice([None, 3.0]),
        series=1 if count else 0,
    )


@pytest.mark.parametrize("seed", range(20))
def test_combining_in_groups_is_combining_at_once(seed: int) -> None:
    chance = random.Random(seed)
    parts = [some(chance) for _ in range(chance.randrange(1, 12))]
    cut = chance.randrange(0, len(parts))
    groups = [combine(group) for group in (parts[:cut], parts[cut:]) if group]
    assert combine(groups) == combine(parts)


def info(room: str, unit: str, kind: Kind = Kind.GAUGE) -> SeriesInfo:
    return SeriesInfo(1, "b1", room, "temperature", "d", int(kind), unit, 5 * SECOND, 15 * SECOND, ())


def span(value: float, newest: int) -> Span:
    known = Statistics(count=1, sum=value, min=value, max=value, length=MINUTE, expected=12.0, series=1)
    return Span(0, T0, known, newest)


def test_the_newest_reading_decides_which_unit_is_answered_for() -> None:
    rollup = Aggregator(MINUTE)
    for place in range(3):
        rollup.add(info(f"r{place}", "F"), span(70.0, T0 + place), still_open=True)
    rollup.add(info("r3", "K"), span(290.0, T0 + 50), still_open=False)
    rollup.add(info("r3", "K", Kind.LEVEL), span(5.0, T0 + 10), still_open=True)
    rolled = rollup.result()
    assert (rolled.unit, rolled.statistics.mean, rolled.statistics.series, rolled.rooms) == ("K", 290.0, 1, 1)
    assert not rolled.provisional


def test_nothing_is_known_of_nothing() -> None:
    rollup = Aggregator(MINUTE)
    rollup.add(info("r1", "K"), Span(0, T0, Statistics(length=MINUTE), T0), still_open=True)
    rolled = rollup.result()
    assert (rolled.unit, rolled.statistics.known, rolled.provisional, rolled.rooms) == ("", False, False, 0)
    assert rolled.silent == 1


def test_silent_series_are_counted_and_change_nothing_else() -> None:
    silent = Span(0, T0, Statistics(length=MINUTE, expected=12.0), T0)
    alone, together = Aggregator(MINUTE), Aggregator(MINUTE)
    for place in range(3):
        together.add(info("r1" if place else "r2", "F" if place else "K"), silent, still_open=True)
    for rollup in (alone, together):
        rollup.add(info("r1", "K"), span(290.0, T0), still_open=False)
    # Of another unit, but not silent.
    together.add(info("r1", "F"), span(70.0, T0 - SECOND), still_open=True)
    assert alone.result().silent == 0
    assert together.result() == alone.result()._replace(silent=3)
