"""What is counted of a batch: every reading once, by what became of it."""

import numpy as np
from prometheus_client import REGISTRY

from services.aggregation.application.partition.batch_outcome import count_late, measure, measure_corrections
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.late.context import SeriesRevision
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.windows.engine import Admission, Changes


def _readings(count: int, series: int = 0) -> Readings:
    return Readings(np.full(count, series), np.arange(count), np.zeros(count))


def _revision(readings: int, duplicates: int, *kinds: str) -> SeriesRevision:
    corrections = [Correction(0, 0, 0.0, 0.0, kind, 0) for kind in kinds]
    return SeriesRevision(np.arange(readings), np.zeros(readings), [], duplicates, corrections, [])


def _counted(name: str, label: str, values: tuple[str, ...]) -> dict[str, float]:
    return {value: REGISTRY.get_sample_value(f"{name}_total", {label: value}) or 0.0 for value in values}


def test_every_reading_of_a_batch_is_counted_once() -> None:
    outcomes = ("stored", "late", "too_late", "duplicate")
    before = _counted("tocsin_aggregation_readings", "outcome", outcomes)
    admission = Admission(fresh=_readings(9), late=_readings(5), too_late=_readings(6), duplicates=2)
    measure(_readings(22), admission, Changes(duplicates=3), {0: _revision(2, 1), 1: _revision(2, 0)}, repeated=4)
    after = _counted("tocsin_aggregation_readings", "outcome", outcomes)
    found = {outcome: after[outcome] - before[outcome] for outcome in outcomes}
    # Of the 6 that are too late 4 were stored already; 2 + 3 + 4 + 1 had come before.
    assert found == {"stored": 6.0, "late": 4.0, "too_late": 2.0, "duplicate": 10.0}
    assert sum(found.values()) == 22


def test_corrections_of_fresh_and_of_late_readings_are_counted_by_kind() -> None:
    kinds = ("GLITCH", "RESET")
    before = _counted("tocsin_aggregation_counter_corrections", "kind", kinds)
    fresh = Changes(corrections=[Correction(0, 0, 0.0, 0.0, "GLITCH", 0)])
    measure_corrections(fresh, {0: _revision(0, 0, "GLITCH", "RESET"), 1: _revision(0, 0, "RESET")})
    after = _counted("tocsin_aggregation_counter_corrections", "kind", kinds)
    assert {kind: after[kind] - before[kind] for kind in kinds} == {"GLITCH": 2.0, "RESET": 2.0}


def test_late_readings_are_told_by_series_with_those_that_came_too_late() -> None:
    late = {3: _revision(2, 0), 1: _revision(0, 1)}
    assert count_late(late, _readings(4, series=3) + _readings(1, series=7)) == [(3, 2, 4), (7, 0, 1)]
