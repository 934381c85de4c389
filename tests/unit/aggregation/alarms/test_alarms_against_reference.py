"""Alarms of random readings, against a slow and obvious reference: raised once for each episode, never without the
condition, and the same however the readings are batched and whoever takes over in between."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.alarms.alarm import State
from services.aggregation.domain.alarms.rule import (
    Condition,
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.alarms.scope import condition_kind
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, episodes, expected, judged, rule
from tests.support.aggregation.partition import T0, Arrival, descriptor

pytestmark = pytest.mark.thorough

CONDITIONS: list[Condition] = [
    Threshold(above=True, limit=3.0),
    Threshold(above=True, limit=3.0, hysteresis=1.5),
    Threshold(above=True, limit=3.0, hysteresis=1.0, min_duration=12 * SECOND),
    Threshold(above=False, limit=2.0),
    Threshold(above=False, limit=2.0, hysteresis=1.5, min_duration=10 * SECOND),
    ContainerFull(level=4.0),
    ContainerEmptied(),
    FlatLine(duration=10 * SECOND),
    FlatLine(duration=15 * SECOND, tolerance=1.0),
    RateOfChange(limit_per_hour=500.0),
    RateOfChange(limit_per_hour=500.0, direction=Direction.RISING),
    RateOfChange(limit_per_hour=500.0, direction=Direction.FALLING),
    RateOfChange(limit_per_hour=300.0, over=20 * SECOND),
]
SERIES = [descriptor(0), descriptor(1, Kind.LEVEL), descriptor(2, Kind.COUNTER)]
BY_EVERY_VALUE = [descriptor(0), descriptor(1, Kind.LEVEL), descriptor(2)]
"""Of counters the accepted ones count: see `test_what_is_judged`."""


def history(seed: int) -> tuple[list[list[Arrival]], list[bool], random.Random]:
    """Batches of readings of three series, some out of order or repeated; and after which of them the owner changes."""
    chance = random.Random(seed)
    arrivals: list[Arrival] = []
    at = T0
    for _ in range(chance.randint(1, 60)):
        # Every second second: farther apart than the readings that a RateOfChange keeps. Differences of quarters are
        # exact.
        at += chance.randint(1, 4) * 2 * SECOND
        shift = chance.choice([0, 0, 0, 0, 0, -4, -20]) * SECOND
        value = chance.randint(0, 20) / 4 if chance.random() < 0.5 or not arrivals else arrivals[-1][2]
        arrivals.append((chance.choice([0, 0, 1, 2]), at + shift, value))
    cuts = sorted({chance.randint(1, len(arrivals)) for _ in range(5)} | {len(arrivals)})
    batches = [arrivals[a:b] for a, b in zip([0, *cuts[:-1]], cuts, strict=True)]
    return batches, [chance.random() < 0.4 for _ in batches], chance


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_alarms_are_those_of_the_reference(condition: Condition, seed: int) -> None:
    bench = AlarmBench(BY_EVERY_VALUE, rule(condition))
    batches, changes_hands, _ = history(seed)
    for batch, crash in zip(batches, changes_hands, strict=True):
        bench.feed(batch)
        if crash:
            bench.reopen()
    for number, one in enumerate(BY_EVERY_VALUE):
        arrivals = [(at, value) for batch in batches for owner, at, value in batch if owner == number]
        found = [alarm for alarm in bench.alarms if alarm.key == one.key]
        judges = condition_kind(condition) in (None, one.kind)
        mine, wanted = episodes(found), expected(condition, arrivals) if judges else []
        if isinstance(condition, RateOfChange | FlatLine | ContainerEmptied):
            # Their extreme value is where they were farthest off, by another measure.
            assert [(e.start, e.raised, e.cleared, e.value) for e in mine] == [
                (e.start, e.raised, e.cleared, e.value) for e in wanted
            ]
        else:
            assert mine == wanted
    _told_once(bench)


def _told_once(bench: AlarmBench) -> None:
    """Everybody heard of each alarm once that it was raised, once that it was cleared, in this order."""
    told: dict[str, list[bool]] = {}
    for one in bench.store.alarms.events:
        told.setdefault(one.alarm.id, []).append(one.alarm.state is State.CLEARED)
    assert told == {
        alarm.id: [False] if alarm.open else [False, True] for alarm in bench.alarms if alarm.state is not State.PENDING
    }


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_silence_is_found_by_the_clock(seed: int) -> None:
    batches, changes_hands, chance = history(seed)
    after = chance.randint(3, 30) * SECOND
    bench = AlarmBench(SERIES, rule(NoData(after)))
    clock = T0
    seen: dict[int, list[tuple[int, float]]] = {}
    wanted: dict[int, list[tuple[int, int | None]]] = {0: [], 1: [], 2: []}
    for batch, crash in zip(batches, changes_hands, strict=True):
        for number, at, value in batch:
            newest = judged(seen.get(number, []))
            if wanted[number] and wanted[number][-1][1] is None and at > newest[-1][0]:
                raised = wanted[number][-1][0]
                wanted[number][-1] = raised, max(at, raised)
            seen.setdefault(number, []).append((at, value))
        bench.feed(batch)
        clock = max(clock, *(at for _, at, _ in batch)) + chance.randint(0, 20) * SECOND
        if crash:
            bench.reopen()
        bench.clock(clock)
        for number, arrivals in seen.items():
            due = judged(arrivals)[-1][0] + after
            is_open = bool(wanted[number]) and wanted[number][-1][1] is None
            if due <= clock and not is_open:
                wanted[number].append((due, None))
    for number, one in enumerate(SERIES):
        found = [(alarm.raised, alarm.cleared) for alarm in bench.alarms if alarm.key == one.key]
        assert found == wanted[number]
    _told_once(bench)


def test_the_same_alarms_after_a_crash_before_the_commit() -> None:
    """What was not committed is judged again, with the same ids: nobody hears of it twice."""
    readings: list[Arrival] = [(0, T0 + place * MINUTE, float(place % 7)) for place in range(60)]
    whole = AlarmBench(SERIES, rule(Threshold(above=True, limit=4.0)))
    whole.feed(readings)
    broken = AlarmBench(SERIES, rule(Threshold(above=True, limit=4.0)))
    for place in range(0, 60, 5):
        # Judged, and lost before it was stored.
        emptied, fresh = _as_readings(broken, readings[place : place + 3])
        broken.processor.alarms.readings(emptied, fresh, T0)
        broken.reopen()
        broken.feed(readings[place : place + 5])
    assert [alarm.id for alarm in broken.alarms] == [alarm.id for alarm in whole.alarms]
    assert episodes(broken.alarms) == episodes(whole.alarms)
    assert len(whole.alarms) == 60 // 7
    assert T0 % HOUR == 0


def _as_readings(bench: AlarmBench, arrivals: list[Arrival]) -> Any:
    known = [(at, value) for _, at, value in arrivals if len(bench.processor.engine.states)]
    return no_readings(), Readings(
        np.zeros(len(known), np.int64),
        np.array([at for at, _ in known], np.int64),
        np.array([value for _, value in known], np.float64),
    )
