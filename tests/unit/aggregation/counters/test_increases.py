"""What counters are worth: by examples, and within bounds for any values."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.counters.meter_row import no_meters
from services.aggregation.domain.counters.policy import DEFAULT_RULES, counting
from services.aggregation.domain.times import MINUTE
from tests.support.aggregation.partition import T0


def consumed(*values: float) -> tuple[float, list[str]]:
    """Total consumption of a counter that reports these values, and its corrections."""
    times = np.arange(len(values), dtype=np.int64) * MINUTE + T0
    alone = np.zeros(len(values), np.int64)
    found = increases(np.array([2]), counting([DEFAULT_RULES]), no_meters(1), alone, times, np.array(values))
    assert found is not None
    return float(found.amount.sum()), [correction.kind for correction in found.corrections]


@pytest.mark.parametrize(
    ("values", "total", "corrections"),
    [
        ((100, 101, 103), 3, []),
        # One sample drops to zero: the whole meter reading is never booked.
        ((12000, 0, 12001), 1, ["GLITCH"]),
        ((12000, 0, 5, 12001), 1, ["GLITCH"]),
        # The last digit: the level is held until it is passed.
        ((100, 99.9, 100.1), 0.1, []),
        ((100, 99.8, 100.1), 0.1, ["GLITCH"]),
        # It counts on the new level: it was reset, and what grew since then counts.
        ((12000, 5, 6, 8, 9), 4, ["RESET"]),
        # What stays exactly the same confirms nothing.
        ((12000, 0, 0, 0), 0, []),
        ((12000, 0, 0, 0, 12001), 1, ["GLITCH"]),
        # Suspects that contradict each other confirm nothing.
        ((100, 50, 40, 60, 101), 1, ["GLITCH", "GLITCH"]),
        ((100,), 0, []),
        ((100, 100, 100), 0, []),
    ],
)
def test_counters(values: tuple[float, ...], total: float, corrections: list[str]) -> None:
    assert consumed(*values) == (pytest.approx(total), corrections)


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=30))
def test_consumption_is_never_negative_and_never_more_than_what_grew(values: list[float]) -> None:
    total, _ = consumed(*values)
    assert 0 <= total <= sum(max(b - a, 0) for a, b in pairwise(values))
