"""What an owner remembers of the series of its partition: a fixed number of bytes per series, in columns."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from services.aggregation.domain.columns import Ints, Rows
from services.aggregation.domain.counters.meter_row import METER, UNDECIDED, no_meters
from services.aggregation.domain.counters.policy import COUNTING, DEFAULT_RULES, CounterRules, counting
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.fold import Profile
from services.aggregation.domain.windows.open_windows import OPEN

RECENT: Final = 9
"""Event times kept of each series whose interval is estimated."""
_ENOUGH: Final = 4
"""Intervals from which one is estimated."""
_UNKNOWN: Final = 2**62


def state_dtype(levels: int) -> "np.dtype[np.void]":
    """One row per series; it is also stored like this, see `VERSION`."""
    return np.dtype(
        [
            ("kind", "<i8"),
            ("declared", "<i8"),
            ("interval", "<i8"),
            ("max_gap", "<i8"),
            # Newest event time, the watermark of the series.
            ("newest", "<i8"),
            # The last reading that has gone into windows.
            ("settled_time", "<i8"),
            ("settled", "<f8"),
            ("recent", "<i8", (RECENT,)),
            ("counting", COUNTING),
            ("meter", METER),
            ("open", OPEN, (levels,)),
        ]
    )


VERSION: Final = 6
"""Of the layout of a stored row. A row of another version or of other steps is rebuilt from readings."""


class SeriesStates:
    """Rows of state by local index, growing as series come in."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ids: list[int] = []
        self.index: dict[int, int] = {}
        self._rows = np.zeros(64, state_dtype(len(rules.steps)))
        self._arrival = np.zeros(64)
        self._size = 0
        self._open_meters: set[int] = set()

    def __len__(self) -> int:
        return self._size

    @property
    def rows(self) -> Rows:
        """All rows, writable."""
        return self._rows[: self._size]

    @property
    def arrival(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """When the newest message of each series was processed (seconds of the loop's clock)."""
        return self._arrival[: self._size]

    @property
    def profile(self) -> Profile:
        """For folding, as it is now (contiguous copies: they are looked up once per reading)."""
        return Profile(self.rows["kind"].copy(), self.rows["max_gap"].copy())

    def blank(self, kind: int, declared: int, rules: CounterRules = DEFAULT_RULES) -> Rows:
        """The state of a series without readings."""
        row = np.zeros(1, self._rows.dtype)
        row["kind"], row["declared"], row["interval"] = kind, declared, declared
        row["max_gap"] = self.rules.max_gap(declared)
        row["newest"] = row["settled_time"] = NEVER
        row["recent"] = NEVER
        row["counting"], row["meter"] = counting([rules]), no_meters(1)
        row["open"]["start"] = row["open"]["before_time"] = row["open"]["after_time"] = NEVER
        return row

    def restore(self, stored: bytes) -> Rows | None:
        """A stored state; None when it was made for another layout."""
        if len(stored) != self._rows.dtype.itemsize:
            return None
        return np.frombuffer(stored, self._rows.dtype).copy()

    def add(self, series_id: int, row: Rows, now: float) -> int:
        """Adds a series and returns its index."""
        if self._size == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._arrival = np.concatenate([self._arrival, np.zeros_like(self._arrival)])
        place = self._size
        self._rows[place] = row[0]
        self._arrival[place] = now
        self._size += 1
        self.ids.append(series_id)
        self.index[series_id] = place
        self.note_open_meters([place])
        return place

    def describe(self, place: int, kind: int, declared: int, rules: CounterRules) -> None:
        """Takes over what the catalogue now says, for the readings to come."""
        row = self._rows[place]
        row["counting"] = counting([rules])[0]
        if row["kind"] == kind and row["declared"] == declared:
            return
        row["kind"], row["declared"] = kind, declared
        if declared:
            row["interval"], row["max_gap"] = declared, self.rules.max_gap(declared)

    def note_open_meters(self, places: Iterable[int]) -> None:
        """Has another look whether something is open of the meters of these series: a branch, an earlier level."""
        opened = self.rows["meter"]["open"]
        for place in places:
            if opened[place] == UNDECIDED:
                self._open_meters.add(place)
            else:
                self._open_meters.discard(place)

    def open_meters(self) -> list[int]:
        """Counters of which what comes next may judge settled readings otherwise."""
        return sorted(self._open_meters)

    def observe(self, series: Ints, time: Ints, heads: Ints) -> None:
        """Estimates intervals where none is declared: the median of the last eight, once four are known (of an even
        number the lower). A new estimate replaces the old one only when it differs by half: jitter moves nothing.

        (series, time) strictly increasing; `heads` are the beginnings of the runs of one series.
        """
        owners = series[heads]
        asked = self.rows["declared"][owners] == 0
        if not asked.any():
            return
        count = (np.append(heads[1:], len(series)) - heads)[asked][:, None]
        last = (heads[asked][:, None] + count) - 1
        owners = owners[asked]
        # The newest `RECENT` of what was remembered and what is new, column by column from the oldest.
        back = np.arange(RECENT - 1, -1, -1)[None, :]
        kept = self.rows["recent"][owners]
        old = np.take_along_axis(kept, np.clip(RECENT - 1 - (back - count), 0, RECENT - 1), axis=1)
        recent = np.where(back < count, time[np.maximum(last - back, 0)], old)
        self.rows["recent"][owners] = recent
        known = recent[:, :-1] != NEVER
        steps = np.sort(np.where(known, recent[:, 1:] - np.where(known, recent[:, :-1], 0), _UNKNOWN), axis=1)
        enough = known.sum(axis=1)
        interval = steps[np.arange(len(owners)), np.maximum(enough - 1, 0) // 2]
        before = self.rows["interval"][owners]
        differs = (before * 2 > interval * 3) | (interval * 2 > before * 3)
        moved = (enough >= _ENOUGH) & differs
        self.rows["interval"][owners[moved]] = interval[moved]
        self.rows["max_gap"][owners[moved]] = self.rules.gap_intervals * interval[moved]
