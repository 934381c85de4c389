"""What a bench has come to: its windows, and what was told of them."""

from typing import Any

import pytest

from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from tests.support.aggregation.partition import Bench


def content(bench: Bench) -> dict[Any, Any]:
    """Windows without their revisions, and corrections."""
    found: dict[Any, Any] = {key: row.item() for key, (_, row) in bench.store.windows.items()}
    return found | {key: mark._replace(series=0) for key, mark in bench.store.corrections.items()}


def same(one: Bench, other: Bench) -> None:
    mine, theirs = content(one), content(other)
    assert mine.keys() == theirs.keys()
    for key, row in theirs.items():
        if isinstance(row, Correction):
            assert mine[key] == row, key
        else:
            assert mine[key] == pytest.approx(row, rel=1e-9, abs=1e-6), key


def heard(bench: Bench) -> dict[Any, tuple[float, float]]:
    """The newest event of each window that holds readings by it: consumption and time-weighted mean."""
    told = sorted(bench.store.announced, key=lambda one: one.revision)
    newest = {(one.series_id, one.step, one.start): one.statistics for one in told}
    return {key: _figures(statistics) for key, statistics in newest.items() if statistics.count}


def seen(bench: Bench) -> dict[Any, tuple[float, float]]:
    """The same, as windows are listed."""
    found: dict[Any, tuple[float, float]] = {}
    for series_id in bench.store.series:
        info = bench.store.info(series_id)
        for level, step in enumerate(bench.rules.steps):
            for key in [key for key in bench.store.windows if key[:2] == (series_id, step)]:
                pieces = bench.store.pieces([info], key[2], key[2] + step, level)
                found[key] = _figures(spans([info], pieces, key[2], key[2] + step, step)[0].statistics)
    return found


def _figures(one: Statistics) -> tuple[float, float]:
    absent = -1e9
    mean = one.time_weighted_mean
    return absent if one.consumption is None else one.consumption, absent if mean is None else mean


def informed(bench: Bench) -> None:
    """Whoever keeps the newest event of each window has what the lists say."""
    mine, theirs = heard(bench), seen(bench)
    assert mine.keys() == theirs.keys()
    for key, figures in theirs.items():
        assert mine[key] == pytest.approx(figures, rel=1e-9, abs=1e-6), key
