"""Intervals that are not declared are estimated."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.domain.rules import Rules
from services.aggregation.domain.times import MINUTE, SECOND
from tests.support.aggregation.partition import T0, Bench, descriptor


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60), st.sets(st.integers(1, 59)))
def test_intervals_are_estimated_from_the_median_of_the_last_eight(steps: list[int], cuts: set[int]) -> None:
    bench = Bench(Rules(), [descriptor(0, interval=0)])
    times = [T0 + sum(steps[:place]) * SECOND for place in range(len(steps) + 1)]
    edges = [0, *sorted(cut for cut in cuts if cut < len(times)), len(times)]
    expected = 0
    seen = 0
    for first, last in pairwise(edges):
        bench.feed([(0, at, 1.0) for at in times[first:last]])
        state = bench.processor.engine.states.rows[0]
        settled = [at for at in times[:last] if at <= times[last - 1] - bench.rules.grace]
        intervals = sorted(b - a for a, b in pairwise(settled[-9:]))
        if len(settled) > seen and len(intervals) >= 4:
            median = intervals[(len(intervals) - 1) // 2]
            if expected * 2 > median * 3 or median * 2 > expected * 3:
                expected = median
        seen = len(settled)
        assert state["interval"] == expected
        assert state["max_gap"] == (3 * expected if expected else 15 * MINUTE)
