"""What a batch has come to, in numbers; and the states that are stored with it."""

from collections.abc import Sequence

import numpy as np

from services.aggregation.application import metrics
from services.aggregation.application.partition.late_readings import by_series
from services.aggregation.application.partition.partition_store import SavedState
from services.aggregation.domain.columns import Ints, pick
from services.aggregation.domain.late.context import SeriesRevision
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.times import SECOND
from services.aggregation.domain.windows.engine import Admission, Changes, Engine


def saved(engine: Engine, ids: Ints, series: Sequence[int]) -> list[SavedState]:
    """What is stored of the states of these series."""
    at = np.array(series, np.int64)
    rows = pick(engine.states.rows, at)
    content, size = rows.tobytes(), rows.dtype.itemsize
    columns = zip(
        ids[at].tolist(),
        rows["interval"].tolist(),
        rows["max_gap"].tolist(),
        # Where all readings were voided nothing is complete, and nothing settled.
        np.maximum(rows["open"]["start"], 0).tolist(),
        np.maximum(rows["settled_time"], -1).tolist(),
        (content[first : first + size] for first in range(0, len(content), size)),
        strict=True,
    )
    return [SavedState(*column) for column in columns]


def count_late(revisions: dict[int, SeriesRevision], skipped: Readings) -> list[tuple[int, int, int]]:
    """(series, readings that revised windows, readings that came too late)."""
    counts = {series: [len(revision.time), 0] for series, revision in revisions.items() if len(revision.time)}
    for series, own in by_series(skipped):
        counts.setdefault(series, [0, 0])[1] = len(own.time)
    return [(series, revised, too_late) for series, (revised, too_late) in sorted(counts.items())]


def measure(
    batch: Readings, admission: Admission, changes: Changes, revisions: dict[int, SeriesRevision], repeated: int
) -> None:
    """What became of a batch; `repeated`: readings too late that were stored already."""
    revising = sum(len(revision.time) for revision in revisions.values())
    again = (
        admission.duplicates
        + changes.duplicates
        + repeated
        + sum(revision.duplicates for revision in revisions.values())
    )
    too_late = len(admission.too_late.time) - repeated
    metrics.BATCH.observe(len(batch.time))
    for outcome, count in (
        ("stored", len(batch.time) - again - too_late - revising),
        ("late", revising),
        ("too_late", too_late),
        ("duplicate", again),
    ):
        metrics.READINGS.labels(outcome).inc(count)
    for closed in changes.closed:
        corrections = int((closed.revision > 1).sum())
        step = f"{closed.step // SECOND}s"
        metrics.WINDOWS.labels(step, "first").inc(len(closed.series) - corrections)
        metrics.WINDOWS.labels(step, "revision").inc(corrections)
    for revision in revisions.values():
        for window in revision.revised:
            metrics.WINDOWS.labels(f"{window.step // SECOND}s", "revision").inc(int(window.visible))


def measure_corrections(changes: Changes, revisions: dict[int, SeriesRevision]) -> None:
    """Readings of counters that were not taken at their word."""
    for correction in changes.corrections:
        metrics.CORRECTIONS.labels(correction.kind).inc()
    for revision in revisions.values():
        for correction in revision.corrections:
            metrics.CORRECTIONS.labels(correction.kind).inc()
