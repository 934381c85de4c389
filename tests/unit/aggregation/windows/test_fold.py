"""Summaries merge in any grouping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import SECOND
from services.aggregation.domain.windows.fold import Folded, Profile, fold_readings, merge


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(-50, 50)), min_size=1, max_size=40, unique_by=lambda r: r[0]),
    st.sampled_from([Kind.GAUGE, Kind.LEVEL]),
    st.sets(st.integers(0, 39)),
    st.sets(st.integers(0, 39)),
)
def test_summaries_merge_in_any_grouping(
    readings: list[tuple[int, int]], kind: Kind, first_cuts: set[int], second_cuts: set[int]
) -> None:
    readings.sort()
    time = np.array([at for at, _ in readings], np.int64) * SECOND
    value = np.array([number for _, number in readings], np.float64)
    profile = Profile(np.array([int(kind)]), np.array([60 * SECOND]))
    single = fold_readings(profile, np.zeros(len(time), np.int64), time, value, 1)

    def grouped(parts: Folded, cuts: set[int]) -> Folded:
        """Neighbours merged between the cuts."""
        labels = np.cumsum([place in cuts for place in range(len(parts.series))])
        return merge(profile, Folded(parts.series, labels.astype(np.int64), parts.rows))

    def whole(parts: Folded) -> tuple[float, ...]:
        merged = merge(profile, Folded(parts.series, np.zeros(len(parts.series), np.int64), parts.rows))
        return tuple(merged.rows[0].item())

    direct = whole(single)
    assert whole(grouped(grouped(single, first_cuts), second_cuts)) == pytest.approx(direct)
    assert whole(grouped(single, second_cuts)) == pytest.approx(direct)
