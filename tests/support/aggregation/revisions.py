"""What was told of windows, and what is shown of them: whoever keeps the newest event has what a query answers, and a
revision says something else than the one before."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest

from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from tests.support.aggregation.partition import Bench

Key = tuple[int, int, int]
"""(series id, step, start)."""


class Shown(NamedTuple):
    """The figures that people see of a window."""

    readings: int
    least: float | None
    most: float | None
    first: float | None
    last: float | None
    mean: float | None
    weighted: float | None
    received: float | None
    covered: float
    gap: int
    consumption: float | None


def shown(one: Statistics) -> Shown:
    """Of these statistics."""
    return Shown(
        one.count,
        one.min,
        one.max,
        None if one.first is None else one.first[1],
        None if one.last is None else one.last[1],
        one.mean,
        one.time_weighted_mean,
        one.received_ratio,
        one.covered_ratio,
        one.longest_gap,
        one.consumption,
    )


def alike(one: Shown, other: Shown) -> bool:
    """The same, up to rounding."""
    return all(
        mine == theirs
        if mine is None or theirs is None
        else mine == pytest.approx(theirs, rel=1e-9, abs=1e-6 if isinstance(mine, float) else 0)
        for mine, theirs in zip(one, other, strict=True)
    )


def answers(bench: Bench) -> Iterator[tuple[Key, Shown]]:
    """Each stored window as a query shows it."""
    for series_id in bench.store.series:
        info = bench.store.info(series_id)
        for level, step in enumerate(bench.rules.steps):
            for key in [key for key in bench.store.windows if key[:2] == (series_id, step)]:
                pieces = bench.store.pieces([info], key[2], key[2] + step, level)
                yield key, shown(spans([info], pieces, key[2], key[2] + step, step)[0].statistics)


def told(bench: Bench) -> dict[Key, list[tuple[int, Shown]]]:
    """Revisions and figures of each window, in the order in which they were told."""
    found: dict[Key, list[tuple[int, Shown]]] = {}
    for one in bench.store.announced:
        found.setdefault((one.series_id, one.step, one.start), []).append((one.revision, shown(one.statistics)))
    return found


def informed(bench: Bench) -> None:
    """What was told last of each window is what a query answers, and its revision is the stored one."""
    newest = {key: max(events, key=lambda event: event[0]) for key, events in told(bench).items()}
    asked = dict(answers(bench))
    assert newest.keys() == asked.keys()
    for key, figures in asked.items():
        assert alike(newest[key][1], figures), (key, newest[key], figures)
        assert newest[key][0] == bench.store.windows[key][0], key


def repeats(bench: Bench) -> list[tuple[Key, int, Shown]]:
    """Revisions that say what the one before said. Asserts that they go up one by one."""
    found: list[tuple[Key, int, Shown]] = []
    for key, events in told(bench).items():
        assert [revision for revision, _ in events] == [*range(1, len(events) + 1)], key
        for (_, before), (revision, after) in pairwise(events):
            if alike(before, after):
                found.append((key, revision, after))
    return found
