"""Values near the ends of what a double holds: exact where that is possible, absent where it is not, never NaN."""

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.adapters.grpc.mappers import statistics_message
from services.aggregation.adapters.nats.window_events import closed_bundle
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from tests.support.aggregation.oracle import answer
from tests.support.aggregation.partition import T0, Bench, descriptor

pytestmark = pytest.mark.thorough

MOST, LEAST = sys.float_info.max, 5e-324
INTERVAL = 7 * SECOND
KINDS = [Kind.GAUGE, Kind.LEVEL, Kind.COUNTER]
RULES = Rules(announce_fine_within=40_000 * DAY)


def filled(values: list[float], kind: Kind) -> Bench:
    bench = Bench(RULES, [descriptor(0, kind, INTERVAL)])
    for place, value in enumerate(values):
        bench.feed([(0, T0 + place * INTERVAL, value)])
    bench.fall_quiet()
    return bench


def ask(bench: Bench, start: int, end: int) -> Statistics:
    info = bench.store.info(1)
    return spans([info], bench.store.pieces([info], start, end, 3), start, end, end - start)[0].statistics


@settings(max_examples=60)
@given(
    values=st.lists(
        st.one_of(
            st.sampled_from([MOST, -MOST, 1e308, LEAST, -LEAST, 0.0, -0.0]), st.floats(allow_nan=False, width=64)
        ),
        min_size=1,
        max_size=12,
    ).filter(lambda values: all(map(math.isfinite, values))),
    kind=st.sampled_from(KINDS),
)
def test_nothing_that_goes_out_is_infinite_or_no_number(values: list[float], kind: Kind) -> None:
    bench = filled(values, kind)
    found = [ask(bench, T0, T0 + 2 * MINUTE), ask(bench, T0 + 10 * SECOND, T0 + 15 * SECOND)]
    for one in [*found, *(one.statistics for one in bench.store.announced)]:
        message = statistics_message(one)
        numbers = [value for field, value in message.ListFields() if field.cpp_type == field.CPPTYPE_DOUBLE]
        assert all(map(math.isfinite, numbers))
    assert (found[0].count, found[0].min, found[0].max) == (len(values), min(values), max(values))
    assert len(closed_bundle(bench.store.announced).payloads) == len(bench.store.announced)


@settings(max_examples=40)
@given(
    values=st.lists(st.floats(-1e290, 1e290), min_size=2, max_size=12),
    kind=st.sampled_from([Kind.GAUGE, Kind.LEVEL]),
)
def test_up_to_1e290_the_means_are_right(values: list[float], kind: Kind) -> None:
    found = ask(filled(values, kind), T0, T0 + 2 * MINUTE)
    kept = {T0 + place * INTERVAL: value for place, value in enumerate(values)}
    expected = answer(kept, int(kind), INTERVAL, 3 * INTERVAL, T0, T0 + 2 * MINUTE)
    assert expected.arithmetic_mean is not None
    assert expected.time_weighted_mean is not None
    # A mean near zero of large values has the rounding of the large ones.
    slack = 1e-12 * max(map(abs, values))
    assert found.mean == pytest.approx(float(expected.arithmetic_mean), rel=1e-9, abs=slack)
    assert found.time_weighted_mean == pytest.approx(float(expected.time_weighted_mean), rel=1e-9, abs=slack)


@pytest.mark.parametrize("kind", KINDS)
def test_one_hostile_series_does_not_reach_another(kind: Kind) -> None:
    bench = Bench(RULES, [descriptor(0, kind, INTERVAL), descriptor(1, kind, INTERVAL)])
    for place, value in enumerate([MOST, -MOST, MOST, MOST, -MOST, -MOST, -MOST]):
        bench.feed([(0, T0 + place * INTERVAL, value), (1, T0 + place * INTERVAL, 20.0 + place)])
    info = bench.store.info(2)
    assert info.device == "d1"
    found = spans([info], bench.store.pieces([info], T0, T0 + MINUTE, 3), T0, T0 + MINUTE, MINUTE)[0].statistics
    assert (found.count, found.min, found.max, found.mean) == (7, 20.0, 26.0, 23.0)
    assert found.time_weighted_mean == pytest.approx(20.0 if kind == Kind.LEVEL else 23.0, abs=3.0)
