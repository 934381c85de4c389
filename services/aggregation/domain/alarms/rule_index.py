"""Which rules watch which series of a partition, in columns: what lets most readings pass without a look at each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.alarms.conditions import full_bound
from services.aggregation.domain.alarms.rule import (
    AlarmRule,
    Completeness,
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
    scopes_of,
    stands,
)
from services.aggregation.domain.alarms.scope import condition_kind
from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, pick
from services.aggregation.domain.series import Kind, SeriesKey

NOT_DUE: Final = 2**62
_INF: Final = float("inf")
_EMPTY: Final = float(np.nextafter(0.0, 1.0))
"""Below this a container is empty."""

ENTRY: Final = np.dtype(
    [
        # Local index of the series; index of the rule; whether there is an open alarm or something remembered.
        ("series", "<i8"),
        ("rule", "<i8"),
        ("active", "?"),
        # The state of an idle entry may change only with a value above `high` or below `low`, ...
        ("high", "<f8"),
        ("low", "<f8"),
        # ... a rise or a fall per hour between neighbours above these, ...
        ("rise", "<f8"),
        ("fall", "<f8"),
        # ... or neighbours that are at most so far apart.
        ("flat", "<f8"),
        # NO_DATA: how long after the newest event time; 0 for other kinds.
        ("after", "<i8"),
        # FLAT_LINE of values that stand: how long after the first one; 0 for others.
        ("stands", "<i8"),
        # COMPLETENESS: the step; 0 for other kinds.
        ("step", "<i8"),
        ("below", "<f8"),
        ("covered", "?"),
        # Whether every batch is of interest; whether the last level counts too.
        ("always", "?"),
        ("level", "?"),
    ]
)


class BatchProfile(NamedTuple):
    """What a batch holds of one series each, row by row. Rates are per hour; `step` is the least distance between
    neighbours; `last` is the value before the batch (infinite: none)."""

    high: Floats
    low: Floats
    rise: Floats
    fall: Floats
    step: Floats
    last: Floats


class Entries(NamedTuple):
    """Rules that time alone may meet, entry by entry: how long after what it is, and whether there is an open alarm or
    something remembered. `silence`: about readings that do not come, else about values that stay the same."""

    series: Ints
    rule: Ints
    after: Ints
    active: Bools
    silence: bool


class WatchedWindows(NamedTuple):
    """Rules about the windows of one step, by local index of the series: whether an alarm is open, the highest limits
    of what was received and covered, and the rules with their limit and whether it is about cover."""

    active: Bools
    received: Floats
    covered: Floats
    rules: Mapping[int, Sequence[tuple[AlarmRule, float, bool]]]


class RuleIndex:
    """Rows of `ENTRY`. Rules that are disabled watch nothing."""

    def __init__(self, rules: Iterable[AlarmRule]) -> None:
        self.rules: Sequence[AlarmRule] = [rule for rule in rules if not rule.disabled]
        self.by_generation: Mapping[int, AlarmRule] = {rule.generation: rule for rule in self.rules}
        self.steps = any(isinstance(rule.condition, FlatLine | RateOfChange) for rule in self.rules)
        """Whether any rule looks at the steps between neighbours."""
        self._by_scope: dict[tuple[str, str, str, str], list[int]] = {}
        for place, rule in enumerate(self.rules):
            self._by_scope.setdefault(rule.scope, []).append(place)
        self._new: list[tuple[object, ...]] = []
        self._rows = np.zeros(0, ENTRY)
        self._places: dict[tuple[int, int], int] = {}
        self._quiet: Ints = np.zeros(0, np.int64)
        self._standing: Ints = np.zeros(0, np.int64)
        self._windows: dict[int, Ints] = {}
        self._by_step: dict[int, WatchedWindows] = {}

    def add(self, series: int, key: SeriesKey, kind: Kind) -> bool:
        """A series comes in; whether any rule watches it."""
        found = [
            place
            for scope in scopes_of(key)
            for place in self._by_scope.get(scope, ())
            if condition_kind(self.rules[place].condition) in (None, kind)
        ]
        for place in found:
            self._places[self.rules[place].generation, series] = len(self._places)
            self._new.append(_row(series, place, self.rules[place], kind))
        return bool(found)

    @property
    def rows(self) -> Rows:
        """All entries, in the order in which they came."""
        if self._new:
            self._rows = np.concatenate([self._rows, np.array(self._new, ENTRY)])
            self._new.clear()
            self._quiet = np.flatnonzero(self._rows["after"] > 0)
            self._standing = np.flatnonzero(self._rows["stands"] > 0)
            steps = np.unique(self._rows["step"][self._rows["step"] > 0]).tolist()
            self._windows = {step: np.flatnonzero(self._rows["step"] == step) for step in steps}
            self._by_step.clear()
        return self._rows

    def activate(self, generation: int, series: int, *, active: bool) -> None:
        """Says whether every reading of the series is of interest to the rule."""
        if (place := self._places.get((generation, series))) is not None:
            self.rows["active"][place] = active

    def affected(self, slots: Ints, profile: BatchProfile) -> Ints:
        """Entries whose state may change by a batch. `slots`: by series, its row in the profile (-1: none)."""
        rows = self.rows
        there = np.flatnonzero(slots[rows["series"]] >= 0)
        rows = pick(rows, there)
        at = slots[rows["series"]]
        low = np.where(rows["level"], np.minimum(profile.low, profile.last)[at], profile.low[at])
        # What closed windows or the clock are evaluated by is no matter of single readings.
        hit: Bools = (rows["active"] & (rows["step"] == 0) & (rows["after"] == 0)) | rows["always"]
        hit = hit | (profile.high[at] > rows["high"]) | (low < rows["low"])
        hit |= (profile.rise[at] > rows["rise"]) | (profile.fall[at] > rows["fall"])
        hit |= profile.step[at] <= rows["flat"]
        return there[hit]

    def emptied_rules(self, series: int) -> Sequence[AlarmRule]:
        """Rules of the kind CONTAINER_EMPTIED that watch the series."""
        rows = self.rows
        return [self.rules[place] for place in rows["rule"][(rows["series"] == series) & rows["level"]].tolist()]

    def quiet(self) -> Entries:
        """Rules about silence."""
        rows = pick(self.rows, self._quiet)
        return Entries(rows["series"], rows["rule"], rows["after"], rows["active"], silence=True)

    def standing(self) -> Entries:
        """Rules about flat lines, of series whose values stand until the next one."""
        rows = pick(self.rows, self._standing)
        return Entries(rows["series"], rows["rule"], rows["stands"], rows["active"], silence=False)

    def completeness(self, step: int, size: int) -> WatchedWindows | None:
        """Rules about windows of the step; None: there are none. `size`: how many series there are."""
        rows = self.rows
        if (at := self._windows.get(step)) is None:
            return None
        found = self._by_step.get(step)
        if found is None or len(found.active) < size:
            found = self._by_step[step] = self._watched_windows(pick(rows, at), size)
        found.active[:] = False
        found.active[rows["series"][at][rows["active"][at]]] = True
        return found

    def _watched_windows(self, rows: Rows, size: int) -> WatchedWindows:
        received, covered = np.full(size, -1.0), np.full(size, -1.0)
        by_cover = rows["covered"]
        np.maximum.at(received, rows["series"][~by_cover], rows["below"][~by_cover])
        np.maximum.at(covered, rows["series"][by_cover], rows["below"][by_cover])
        rules: dict[int, list[tuple[AlarmRule, float, bool]]] = {}
        columns = (rows[name].tolist() for name in ("series", "rule", "below", "covered"))
        for series, place, below, cover in zip(*columns, strict=True):
            rules.setdefault(series, []).append((self.rules[place], below, cover))
        return WatchedWindows(np.zeros(size, bool), received, covered, rules)


def _row(series: int, place: int, rule: AlarmRule, kind: Kind) -> tuple[object, ...]:
    high = rise = fall = _INF
    low = flat = -_INF
    after = standing = step = 0
    below, covered, always, level = 0.0, False, False, False
    match rule.condition:
        case Threshold(above=above, limit=limit):
            high, low = (limit, low) if above else (high, limit)
        case ContainerFull(level=full):
            high = full_bound(full)
        case ContainerEmptied():
            low, level = _EMPTY, True
        case FlatLine(tolerance=tolerance):
            flat = tolerance
            standing = rule.condition.duration if stands(rule.condition, kind) else 0
        case RateOfChange(limit_per_hour=limit, direction=direction, over=over):
            always = over > 0
            rise = _INF if direction is Direction.FALLING else limit
            fall = _INF if direction is Direction.RISING else limit
        case NoData(after=quiet):
            after = quiet
        case Completeness(below=limit, covered=which, step=length):
            below, covered, step = limit, which, length
    return series, place, False, high, low, rise, fall, flat, after, standing, step, below, covered, always, level
