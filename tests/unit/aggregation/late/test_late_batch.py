"""Late readings of many series placed at once, against the same placed series by series."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.application.partition import late_readings
from services.aggregation.domain.late.context import Context, SeriesRevision
from services.aggregation.domain.late.late_readings import apply_late
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.engine import Engine
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor

pytestmark = pytest.mark.thorough

KINDS = (Kind.GAUGE, Kind.LEVEL, Kind.GAUGE, Kind.COUNTER)


def one_by_one(engine: Engine, late: Sequence[Readings], contexts: Sequence[Context]) -> list[SeriesRevision]:
    found = [
        apply_late(engine, int(own.series[0]), own.time, own.value, context)
        for own, context in zip(late, contexts, strict=True)
    ]
    return [one for one in found if one is not None]


def arrivals(seed: int) -> list[Arrival]:
    chance = random.Random(seed)
    found: list[Arrival] = []
    step = chance.choice([3 * SECOND, 20 * SECOND, 7 * MINUTE])
    for place in range(chance.randrange(10, 300)):
        number = chance.randrange(len(KINDS))
        at = T0 + place * step
        if chance.random() < 0.4:
            at -= chance.randrange(1, 50 * MINUTE)
        if found and chance.random() < 0.1:
            at = chance.choice(found)[1]
        found.append((number, at, chance.uniform(-10, 100)))
    return found


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_placed_together_as_one_by_one(seed: int, size: int) -> None:
    rules = Rules(lateness=HOUR, announce_fine_within=40000 * DAY)
    sent = arrivals(seed)
    benches: list[Bench] = []
    for placing_one_by_one in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if placing_one_by_one:
                patch.setattr(late_readings, "apply_late_batch", one_by_one)
            bench = Bench(rules, [descriptor(number, kind) for number, kind in enumerate(KINDS)])
            for first in range(0, len(sent), size):
                bench.feed(sent[first : first + size])
            benches.append(bench)
    together, alone = (bench.store for bench in benches)
    assert together.counted == alone.counted
    assert {key: (found[0], found[1].tobytes()) for key, found in together.windows.items()} == {
        key: (found[0], found[1].tobytes()) for key, found in alone.windows.items()
    }
    assert together.states == alone.states
    # Of windows of different series the order does not matter.
    assert sorted(map(repr, together.announced)) == sorted(map(repr, alone.announced))
    assert benches[0].processor.engine.states.rows.tobytes() == benches[1].processor.engine.states.rows.tobytes()
