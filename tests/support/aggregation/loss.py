"""What losing readings does to the mean of a window: known signals, random loss, and the bound that the docs derive.

`python -m tests.support.aggregation.loss` prints the table of docs/aggregation.md.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import RawRange, singles, spans
from services.aggregation.domain.windows.statistics import Statistics

WINDOW = 15 * MINUTE
START = 1_760_000_400_000_000 // HOUR * HOUR
LOSS = 0.05
GAP_INTERVALS = 3
SEEDS = 200


@dataclass(frozen=True)
class Signal:
    """A known course of values. `at`: value at seconds since the window began. The bounds hold around the window:
    `curvature` of the second derivative, `slope` of the first (None: there is none), `jumps`: sizes by time, `swing`:
    from the least to the greatest value in the window."""

    name: str
    kind: Kind
    at: Callable[[float], float]
    swing: float
    curvature: float | None = None
    slope: float | None = None
    jumps: tuple[tuple[float, float], ...] = ()


def _jagged(seconds: float) -> float:
    """A triangle wave: 1 K up and down within 4 minutes."""
    phase = seconds % 240.0
    return 20.0 + (phase if phase < 120.0 else 240.0 - phase) / 120.0


DAILY = 2 * math.pi / 86_400
SIGNALS = (
    Signal(
        "daily swing of ±5 K",
        Kind.GAUGE,
        lambda t: 20.0 + 5.0 * math.sin(DAILY * (t + 10_000)),
        swing=5.0 * DAILY * 900,
        curvature=5.0 * DAILY**2,
    ),
    Signal("drift of 4 K an hour", Kind.GAUGE, lambda t: 20.0 + t / 900, swing=1.0, curvature=0.0),
    Signal("triangle, 1 K in 2 min", Kind.GAUGE, _jagged, swing=1.0, slope=1 / 120),
    Signal(
        "two steps of 2 K",
        Kind.GAUGE,
        lambda t: 20.0 + 2.0 * (t >= 301.7) - 2.0 * (t >= 652.3),
        swing=2.0,
        jumps=((301.7, 2.0), (652.3, -2.0)),
    ),
    Signal(
        "the same as LEVEL",
        Kind.LEVEL,
        lambda t: 20.0 + 2.0 * (t >= 301.7) - 2.0 * (t >= 652.3),
        swing=2.0,
        jumps=((301.7, 2.0), (652.3, -2.0)),
    ),
)
INTERVALS = (5, 15, 60)


@dataclass(frozen=True)
class Trial:
    """One window after random loss, against the same without."""

    change: float
    """Of the time-weighted mean."""
    bound: float
    arithmetic: float
    """Change of the arithmetic mean."""
    covered_ratio: float
    received_ratio: float


def fold(signal: Signal, interval: int, times: list[float]) -> Statistics:
    """The window's statistics from readings at these seconds, by the code of the service."""
    info = SeriesInfo(
        1, "b", "r", "t", "d", int(signal.kind), "K", interval * SECOND, GAP_INTERVALS * interval * SECOND, ()
    )
    moments = np.array([START + round(at * 1e6) for at in times], np.int64)
    values = np.array([signal.at(at) for at in times])
    around = RawRange(0, int(moments[0]), int(moments[-1]) + 1)
    parts = singles([info], [around], Readings(np.zeros(len(times), np.int64), moments, values))
    return spans([info], parts, START, START + WINDOW, WINDOW)[0].statistics


def bound(signal: Signal, interval: int, kept: list[float]) -> float:
    """The most that the loss can have changed the time-weighted mean: see "What losing readings does" in the docs."""
    window, moved, unknown = WINDOW / SECOND, 0.0, 0.0
    for t0, t1 in pairwise(kept):
        missed, length = round((t1 - t0) / interval), t1 - t0
        inside = max(0.0, min(t1, window) - max(t0, 0.0))
        if missed == 1 or not inside:
            continue
        if missed > GAP_INTERVALS:
            unknown += inside
            continue
        if signal.curvature is not None:
            moved += signal.curvature * (length**3 - missed * interval**3) / 12
        if signal.slope is not None:
            moved += signal.slope * length**2 / 4
        jump = sum(abs(size) for at, size in signal.jumps if t0 < at <= t1)
        moved += jump * (length - interval) * (1.0 if signal.kind == Kind.LEVEL else 0.5)
    known = window - unknown
    return moved / known + signal.swing * unknown / window


def trial(signal: Signal, interval: int, seed: int) -> Trial:
    """A sender that begins before the window and goes on after it; each reading is lost with the probability `LOSS`."""
    chance = random.Random(f"{signal.name}/{interval}/{seed}")
    phase = chance.random() * interval
    reach = 6 * interval
    sent = [phase - reach + place * interval for place in range(round((900 + 2 * reach) / interval))]
    kept = [at for at in sent if chance.random() >= LOSS]
    whole, lossy = fold(signal, interval, sent), fold(signal, interval, kept)
    assert whole.time_weighted_mean is not None
    assert lossy.time_weighted_mean is not None
    assert whole.mean is not None
    assert lossy.mean is not None
    return Trial(
        abs(lossy.time_weighted_mean - whole.time_weighted_mean),
        bound(signal, interval, kept),
        abs(lossy.mean - whole.mean),
        lossy.covered_ratio,
        lossy.received_ratio or 0.0,
    )


@cache
def trials(signal: Signal, interval: int) -> list[Trial]:
    """One for each seed."""
    return [trial(signal, interval, seed) for seed in range(SEEDS)]


def _size(value: float) -> str:
    """In mK, two digits; what is rounding only is 0."""
    value *= 1e3
    if value < 1e-9:
        return "0"
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def _worst(found: list[Trial]) -> str:
    """The greatest change, and the greatest bound."""
    if not found:
        return "none"
    return f"{_size(max(one.change for one in found))} ≤ {_size(max(one.bound for one in found))}"


def table() -> str:
    """Markdown: measured against the bound, and what the arithmetic mean does."""
    names = ["signal", "interval", "change ≤ bound, all time covered", f"of {SEEDS}: with a hole"]
    names += ["change ≤ bound, with a hole", "change of the arithmetic mean"]
    lines = [f"| {' | '.join(names)} |", "|---|--:|--:|--:|--:|--:|"]
    for signal in SIGNALS:
        for interval in INTERVALS:
            found = trials(signal, interval)
            known = [one for one in found if one.covered_ratio == 1.0]
            holed = [one for one in found if one.covered_ratio < 1.0]
            cells = [
                signal.name,
                f"{interval} s",
                _worst(known),
                str(len(holed)),
                _worst(holed),
                _size(max(one.arithmetic for one in found)),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
