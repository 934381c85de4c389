"""What was made durable last in one partition: whether another value of the same event time is among it.

It is a memory of one process, and bounded. So a conflict that it finds is one, and one that it does not find may be
one, too: the owner of the partition knows when it processes the reading.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.chassis.errors import DomainError
from services.ingestion.domain.reading import StoredReading
from services.ingestion.domain.reading_columns import Floats, Indices, Longs, Piece, SeriesTable
from services.ingestion.domain.series import Series, SeriesIdentity

_FEW = 64
"""Rows that are taken up one by one; more stay in columns until many are looked for."""
_PLACES = 1 << 20
_WORD = 2**64 - 1
_SHIFT, _LOWER, _GOLDEN = np.uint64(64 - 20), np.uint64(64 - 40), np.uint64(0x9E3779B97F4A7C15)


Places = tuple[NDArray[np.uint64], NDArray[np.uint64]]


class Conflict(NamedTuple):
    """A row whose event time had another value. Either its own counts now (`wins`: the sensor type says that the last
    one does), or the other."""

    row: int
    series: Series
    event_time_us: int
    value: float
    other: float
    wins: bool

    @property
    def counting(self) -> float:
        """The value that counts."""
        return self.value if self.wins else self.other


class CountingValue(NamedTuple):
    """What is stored of a reading; `value` None: it was voided. `amended`: by a person, whose word holds."""

    stored: bool
    value: float | None = None
    amended: bool = False


class _Generation:
    """Rows as they came: a few by key, many in columns. `seen` is set at both places of a row (a Bloom filter)."""

    def __init__(self) -> None:
        self.marks = bytearray(_PLACES)
        self.seen = np.frombuffer(self.marks, np.bool_)
        self._marked = False
        self.values: dict[tuple[SeriesIdentity, int], float] = {}
        self.pieces: list[Piece] = []
        self.unmarked: list[Piece] = []
        self.rows = 0

    def add(self, piece: Piece, places: Places | None) -> None:
        """Takes many rows in; of several of one event time the first one, unless it is there by key. `places`: as
        `_places` has them, where somebody has asked."""
        self.rows += len(piece)
        self.pieces.append(piece)
        if places is None:
            self.unmarked.append(piece)
        else:
            self._mark(places)

    def mark_row(self, one: int, two: int) -> None:
        """A row that was taken in by key stands at these places."""
        self._marked = True
        self.marks[one] = self.marks[two] = 1

    def mark(self) -> None:
        """Somebody looks: `seen` is complete then."""
        for piece in self.unmarked:
            self._mark(_places(_salts(piece.series), piece))
        self.unmarked.clear()

    def _mark(self, places: Places) -> None:
        self._marked = True
        for part in places:
            self.seen[part] = True

    def clear(self) -> None:
        """Forgets all."""
        if self._marked:  # a megabyte, which would push other things out of the caches
            self.seen.fill(False)
        self._marked = False
        self.values, self.pieces, self.unmarked, self.rows = {}, [], [], 0

    def index(self) -> None:
        """All by key: many are about to be looked for."""
        for piece in self.pieces:
            columns = piece.index.tolist(), piece.event_time_us.tolist(), piece.value.tolist()
            for at, time, value in zip(*columns, strict=True):
                self.values.setdefault((piece.series[at].identity, time), value)
        self.pieces.clear()

    def find(self, identity: SeriesIdentity, time: int) -> float | None:
        """The value of a row."""
        found = self.values.get((identity, time))
        if found is not None:
            return found
        for piece in self.pieces:
            for row in np.flatnonzero(piece.event_time_us == time).tolist():
                if piece.series[piece.index[row]].identity is identity:
                    return float(piece.value[row])
        return None


class _NewestTimes:
    """The newest event time of each series, in columns for the series of the last rows: the batches of a client mostly
    have the same ones again and again."""

    def __init__(self) -> None:
        self._series: tuple[Series, ...] = ()
        self._newest: Longs = np.zeros(0, np.int64)
        self._salts: NDArray[np.uint64] = np.zeros(0, np.uint64)

    def pass_by(self, piece: Piece) -> Longs | None:
        """Takes the rows up; those that are not newer than what their series had before. None: there are none."""
        self._turn_to(piece.series)
        index, time, newest = piece.index, piece.event_time_us, self._newest
        late = time <= newest[index]
        if late.any() or not (time[1:] >= time[:-1]).all():
            np.maximum.at(newest, index, time)
            return np.flatnonzero(late) if late.any() else None
        newest[index] = time  # of several rows of a series the last one stays
        return None

    def places(self, piece: Piece) -> Places:
        """Where in `seen` each of the rows that were just taken up stands."""
        return _places(self._salts, piece)

    def write(self) -> None:
        """The series themselves have it again."""
        for series, newest in zip(self._series, self._newest.tolist(), strict=True):
            series.identity.newest_us = newest
        self._series, self._newest = (), self._newest[:0]

    def _turn_to(self, series: tuple[Series, ...]) -> None:
        if series is self._series:
            return
        self.write()
        self._newest = np.fromiter((one.identity.newest_us for one in series), np.int64, len(series))
        self._salts = _salts(series)
        self._series = series


class RecentReadings:
    """The last `most` rows, and up to as many before them."""

    def __init__(self, most: int = 8_192) -> None:
        self._most = most
        self._old, self._new = _Generation(), _Generation()
        self._newest = _NewestTimes()

    def settle(self, suspects: Sequence[Conflict], stored: Sequence[CountingValue]) -> list[Conflict]:
        """The conflicts that are some, by what is stored of their readings: this process may not have seen the first
        value, and people amend readings. Of what is not stored yet nobody knows better. It is remembered."""
        found: list[Conflict] = []
        for suspect, (known, value, amended) in zip(suspects, stored, strict=True):
            if not known:
                found.append(suspect)
            elif value is None:
                continue  # it was voided: no value counts
            elif suspect.wins and not amended:
                # What is stored may be this very value already.
                found.append(suspect if value == suspect.value else suspect._replace(other=value))
            else:
                self._new.values[suspect.series.identity, suspect.event_time_us] = value
                if value != suspect.value:
                    found.append(suspect._replace(other=value, wins=False))
        return found

    def take(self, piece: Piece) -> list[Conflict]:
        """Rows that have become durable after all before them; those of them that another value stands against. Mostly
        every row is newer than all that is known of its series, and nothing is looked for."""
        found = self._take_few(piece) if len(piece) <= _FEW else self._take_many(piece)
        if self._new.rows > self._most:
            self._old, self._new = self._new, self._old
            self._new.clear()
        return found

    def _take_few(self, piece: Piece) -> list[Conflict]:
        self._newest.write()
        found: list[Conflict] = []
        old, new = self._old, self._new
        columns = piece.index.tolist(), piece.event_time_us.tolist(), piece.value.tolist()
        for row, (at, time, value) in enumerate(zip(*columns, strict=True)):
            identity = piece.series[at].identity
            mixed = (identity.salt ^ time) * int(_GOLDEN) & _WORD
            one, two = mixed >> int(_SHIFT), mixed >> int(_LOWER) & _PLACES - 1
            if time > identity.newest_us:
                identity.newest_us = time
                new.values[identity, time] = value
            else:
                old.mark()
                new.mark()
                if old.marks[one] & old.marks[two] or new.marks[one] & new.marks[two]:
                    found += self._meet(piece, [row])
                else:
                    new.values[identity, time] = value
            new.mark_row(one, two)
        new.rows += len(piece)
        return found

    def _take_many(self, piece: Piece) -> list[Conflict]:
        suspects = _again(piece)
        late, places = self._newest.pass_by(piece), None
        if late is not None:
            self._old.mark()
            self._new.mark()
            places = self._newest.places(piece)
            one, two = (part[late] for part in places)
            known = self._old.seen[one] & self._old.seen[two] | self._new.seen[one] & self._new.seen[two]
            if known.any():
                suspects = np.union1d(suspects, late[known])
        found = self._meet(piece, suspects.tolist()) if len(suspects) else []
        self._new.add(piece, places)
        return found

    def _meet(self, piece: Piece, suspects: Sequence[int]) -> list[Conflict]:
        if len(suspects) > _FEW:
            self._old.index()
            self._new.index()
        found: list[Conflict] = []
        for row in suspects:
            series, time, value = piece.series[piece.index[row]], int(piece.event_time_us[row]), float(piece.value[row])
            key = series.identity, time
            other = self._new.find(*key)
            if other is None:
                other = self._old.find(*key)
            wins = series.type.last_wins
            self._new.values[key] = value if other is None or wins else other
            if other is not None and other != value:
                found.append(Conflict(row, series, time, value, other, wins))
        return found


def _salts(series: Sequence[Series]) -> NDArray[np.uint64]:
    return np.fromiter((one.identity.salt for one in series), np.uint64, len(series))


def _places(salts: NDArray[np.uint64], piece: Piece) -> Places:
    """Where in `seen` each row stands: two parts of the upper bits of a product (Fibonacci hashing)."""
    mixed = (salts[piece.index] ^ piece.event_time_us.view(np.uint64)) * _GOLDEN
    return mixed >> _SHIFT, mixed >> _LOWER & np.uint64(_PLACES - 1)


def _again(piece: Piece) -> Longs:
    """The rows that have the event time of another one of these."""
    index, time = piece.index, piece.event_time_us
    if _ascending(time, index) or _ascending(index, time):
        return np.zeros(0, np.int64)
    order = np.lexsort((time, index))
    same = (time[order][1:] == time[order][:-1]) & (index[order][1:] == index[order][:-1])
    return np.sort(order[np.append(same, [False]) | np.append([False], same)])


def _ascending(first: Longs | Indices, second: Longs | Indices) -> bool:
    """Whether the rows are strictly ascending by the first column, then the second: so none is there twice."""
    after, before = first[1:], first[:-1]
    rising = after > before
    return bool(rising.all()) or bool((rising | ((after == before) & (second[1:] > second[:-1]))).all())


def ignored(conflicts: Sequence[Conflict]) -> int:
    """How many of the rows count nowhere."""
    return sum(not conflict.wins for conflict in conflicts)


def located(conflicts: Sequence[Conflict], stored: Sequence[StoredReading], places: Sequence[int]) -> list[Conflict]:
    """The conflicts with the items of the caller's batch in which these readings stood at these places."""
    if not conflicts:
        return []
    items: dict[tuple[Series, int, float], list[int]] = {}
    for reading, place in zip(stored, places, strict=True):
        items.setdefault((reading.series, reading.event_time_us, reading.value), []).append(place)
    return _named(conflicts, items)


def located_in_columns(
    conflicts: Sequence[Conflict], table: SeriesTable, index: Indices, event_time_us: Longs, value: Floats
) -> list[Conflict]:
    """The conflicts with the rows of the caller's columns."""
    if not conflicts:
        return []
    times = np.unique(np.array([conflict.event_time_us for conflict in conflicts], np.int64))
    items: dict[tuple[Series, int, float], list[int]] = {}
    for row in np.flatnonzero(np.isin(event_time_us, times) & (index < len(table))).tolist():
        place = int(index[row])
        outcome = table.outcomes[place]
        if not isinstance(outcome, DomainError):
            canonical = float(value[row] * table.scale[place] + table.offset[place]) if table.converts else value[row]
            items.setdefault((outcome[0], int(event_time_us[row]), float(canonical)), []).append(row)
    return _named(conflicts, items)


def _named(conflicts: Sequence[Conflict], items: dict[tuple[Series, int, float], list[int]]) -> list[Conflict]:
    found: list[Conflict] = []
    for conflict in conflicts:
        rows = items.get((conflict.series, conflict.event_time_us, conflict.value))
        # The last ones: of equal rows the first may be the one that counts.
        found.append(conflict._replace(row=rows.pop() if rows else 0))
    return sorted(found, key=attrgetter("row"))
