"""What is known between readings, and what a loss of 5 % does to a mean."""

import math
import random
from typing import Any

import pytest

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from tests.support.aggregation.partition import T0, Arrival, Bench, descriptor


@pytest.mark.parametrize("seed", range(5))
def test_losing_five_percent_hardly_moves_the_time_weighted_mean(seed: int) -> None:
    """A daily swing of 5 K, a reading every 5 s: the mean of 15 minutes moves by less than 1 mK; all is covered."""
    chance = random.Random(seed)
    start = T0 + 3 * HOUR

    def signal(at: int) -> float:
        return 295.0 + 5.0 * math.sin(2 * math.pi * at / DAY)

    sent: list[Arrival] = [(0, at, signal(at)) for at in range(start - MINUTE, start + 17 * MINUTE, 5 * SECOND)]
    bench = Bench(Rules(), [descriptor(0)])
    bench.feed([arrival for arrival in sent if chance.random() >= 0.05])
    info = bench.store.info(1)
    end = start + 15 * MINUTE
    parts = bench.store.pieces([info], start, end, 3)
    found = spans([info], parts, start, end, end - start)[0].statistics
    truth = sum(signal(start + at * SECOND) for at in range(900)) / 900
    assert found.time_weighted_mean == pytest.approx(truth, abs=1e-3)
    assert found.covered_ratio == 1.0
    assert found.received_ratio is not None
    assert 0.85 < found.received_ratio < 1.0


def test_a_gap_is_unknown_time_and_a_value_is_carried_through_empty_windows() -> None:
    bench = Bench(Rules(), [descriptor(0, interval=MINUTE)])
    bench.feed([(0, T0, 10.0), (0, T0 + 2 * MINUTE, 30.0), (0, T0 + 30 * MINUTE, 50.0)])
    info = bench.store.info(1)

    def between(start: int, end: int) -> Any:
        parts = bench.store.pieces([info], start, end, 3)
        return spans([info], parts, start, end, end - start)[0].statistics

    middle = between(T0 + 30 * SECOND, T0 + 60 * SECOND)
    assert (middle.count, middle.covered_ratio) == (0, 1.0)
    assert middle.time_weighted_mean == pytest.approx(17.5)
    assert not between(T0 + 10 * MINUTE, T0 + 20 * MINUTE).known
    whole = between(T0, T0 + 40 * MINUTE)
    assert whole.covered == 2 * MINUTE
    assert whole.time_weighted_mean == pytest.approx(20.0)
    assert whole.longest_gap == 28 * MINUTE
