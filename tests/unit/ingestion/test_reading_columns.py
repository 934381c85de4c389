import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import DomainError
from services.chassis.units import IDENTITY
from services.ingestion.domain.counter_rules import CounterPolicy, CounterRules
from services.ingestion.domain.errors import SensorTypeUnknown
from services.ingestion.domain.reading import TimeLimits, canonical_value, check_event_time
from services.ingestion.domain.reading_columns import SeriesOutcome, SeriesTable, judge
from tests.support.ingestion import NOW_US, TYPES, series

LIMITS = TimeLimits()
UNITS = {"temperature": ["", "C", "F"], "humidity": ["", "ratio"], "energy": ["kWh"], "filling_level": ["%"]}
ENTRIES = [
    (series(f"d{number}-{unit or 'own'}".replace("%", "pc"), 4, kind), unit)
    for number, kind in enumerate(TYPES)
    for unit in UNITS[kind.id]
]
ENTRIES += [(series("rolling", 4, TYPES[2], CounterRules(CounterPolicy.ROLLOVER, 100.0)), unit) for unit in ("", "kWh")]
UNKNOWN = SensorTypeUnknown("noise")
TABLE = SeriesTable([*((one, one.limits.conversion(unit)) for one, unit in ENTRIES), UNKNOWN])
DAY = 86_400_000_000
ROWS = st.lists(
    st.tuples(
        st.integers(0, len(TABLE) + 2),
        st.sampled_from([NOW_US, NOW_US - DAY, NOW_US - 401 * DAY, NOW_US + DAY, NOW_US + 299_000_000, -(2**63)])
        | st.integers(-(2**63), 2**63 - 1),
        st.floats() | st.floats(-300, 300),
    ),
    min_size=1,
    max_size=60,
)


def one_by_one(row: tuple[int, int, float]) -> tuple[SeriesOutcome, float] | DomainError:
    """The slow and obvious judgement."""
    index, event_time_us, value = row
    if index >= len(TABLE):
        return DomainError("seriesIndex")
    outcome = TABLE.outcomes[index]
    if isinstance(outcome, DomainError):
        return outcome
    try:
        canonical = canonical_value(value, ENTRIES[index][1], outcome[0])
        check_event_time(event_time_us, NOW_US, LIMITS)
    except DomainError as error:
        return error
    return outcome, canonical


@given(ROWS)
@settings(max_examples=120)
def test_columns_are_judged_as_single_readings_are(rows: list[tuple[int, int, float]]) -> None:
    index, times, values = zip(*rows, strict=True)
    judged = judge(
        TABLE,
        np.array(index, np.uint32),
        np.array(times, np.int64),
        np.array(values, np.float64),
        now_us=NOW_US,
        limits=LIMITS,
    )
    expected = [one_by_one(row) for row in rows]
    assert [r.index for r in judged.rejections] == [n for n, e in enumerate(expected) if isinstance(e, DomainError)]
    for found in judged.rejections:
        error = expected[found.index]
        assert isinstance(error, DomainError)
        if found.field == "seriesIndex":
            assert rows[found.index][0] >= len(TABLE)
        elif error.reason == "EVENT_TIME_OUT_OF_RANGE" or found.reason != "EVENT_TIME_OUT_OF_RANGE":
            assert found.reason == error.reason
        assert found.message
    good = [(row, e) for row, e in zip(rows, expected, strict=True) if not isinstance(e, DomainError)]
    assert judged.accepted == len(good)
    for partition in range(4):
        wanted = [
            (ENTRIES[row[0]][0], row[1], canonical)
            for row, (_, canonical) in good
            if ENTRIES[row[0]][0].partition == partition
        ]
        pieces = [piece for piece in judged.pieces if piece.partition == partition]
        assert len(pieces) == (1 if wanted else 0)
        for piece in pieces:
            found_rows = [
                (piece.series[at], time, value)
                for at, time, value in zip(
                    piece.index.tolist(), piece.event_time_us.tolist(), piece.value.tolist(), strict=True
                )
            ]
            assert [row[:2] for row in found_rows] == [row[:2] for row in wanted], "rows keep their order"
            for (*_, found_value), (*_, wanted_value) in zip(found_rows, wanted, strict=True):
                assert math.isclose(found_value, wanted_value, rel_tol=1e-12, abs_tol=1e-9)


def test_a_large_table_with_few_rows_describes_only_what_is_used() -> None:
    table = SeriesTable([(series(f"x{n}", 1), IDENTITY) for n in range(1000)])
    judged = judge(
        table,
        np.array([999, 5, 999], np.uint32),
        np.array([NOW_US] * 3),
        np.array([1.0, 2.0, 3.0]),
        now_us=NOW_US,
        limits=LIMITS,
    )
    (piece,) = judged.pieces
    assert [piece.series[at].key.device for at in piece.index.tolist()] == ["x999", "x5", "x999"]
    assert len(piece.series) == 2
