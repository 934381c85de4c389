"""Readings in columns: the same judgement as for one reading, for thousands at a time, without a loop over rows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.chassis.errors import DomainError
from services.chassis.units import IDENTITY, Conversion
from services.chassis.value_limits import ValueOutOfRange
from services.ingestion.domain.errors import EventTimeOutOfRange, InvalidField
from services.ingestion.domain.reading import Rejection, StoredReading, TimeLimits, time_text
from services.ingestion.domain.series import Series

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Indices = NDArray[np.uint32]
Flags = NDArray[np.uint8]

ROW_BYTES = 20
"""About the bytes that a row takes in a message: time, value, place of its series."""
SeriesOutcome = tuple[Series, Conversion] | DomainError
"""A series of the client's table with the conversion of its values, or why its rows are refused."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Accepted rows of one partition. Row i belongs to ``series[index[i]]``; no series is there twice. `flags` is None
    when all are 0."""

    partition: int
    series: tuple[Series, ...]
    index: Indices
    event_time_us: Longs
    value: Floats
    flags: Flags | None = None

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def weight(self) -> int:
        """About its bytes in a message."""
        return len(self.value) * ROW_BYTES + sum(series.weight for series in self.series)

    def digest(self) -> str:
        """A name of its content: pieces with the same rows in the same order have the same."""
        found = hashlib.blake2b(str(self.partition).encode(), digest_size=12)
        for series in self.series:
            found.update("/".join((*series.key, "")).encode())
        for column in (self.index, self.event_time_us, self.value, self.flags):
            found.update(b"" if column is None else column.tobytes())
        return found.hexdigest()

    def rows(self, start: int, stop: int) -> "Piece":
        """The rows from `start` to `stop`, with only the series that they need."""
        return compact(
            Piece(
                self.partition,
                self.series,
                self.index[start:stop],
                self.event_time_us[start:stop],
                self.value[start:stop],
                None if self.flags is None else self.flags[start:stop],
            )
        )


def compact(piece: Piece) -> Piece:
    """The same rows without series that no row belongs to."""
    used, index = np.unique(piece.index, return_inverse=True)
    if len(used) == len(piece.series):
        return piece
    series = tuple(piece.series[at] for at in used.tolist())
    return Piece(piece.partition, series, index.astype(np.uint32), piece.event_time_us, piece.value, piece.flags)


def pieces_of(readings: Sequence[StoredReading], flags: int = 0) -> list[Piece]:
    """The readings by partition; within one, they keep their order. `flags` are those of every row."""
    by_partition: dict[int, list[StoredReading]] = {}
    for reading in readings:
        by_partition.setdefault(reading.series.partition, []).append(reading)
    pieces: list[Piece] = []
    for partition, rows in by_partition.items():
        places: dict[Series, int] = {}
        index = np.array([places.setdefault(row.series, len(places)) for row in rows], np.uint32)
        times = np.array([row.event_time_us for row in rows], np.int64)
        values = np.array([row.value for row in rows], np.float64)
        marks = np.full(len(rows), flags, np.uint8) if flags else None
        pieces.append(Piece(partition, tuple(places), index, times, values, marks))
    return pieces


class SeriesTable:
    """The table of series of a batch, resolved: what each row needs, as arrays to index by `series_index`."""

    def __init__(self, outcomes: Sequence[SeriesOutcome]) -> None:
        self.outcomes = tuple(outcomes)
        count = len(self.outcomes)
        self.scale, self.offset = np.ones(count), np.zeros(count)
        self.minimum, self.maximum = np.full(count, -np.inf), np.full(count, np.inf)
        self.partition, self.local = np.zeros(count, np.uint16), np.zeros(count, np.uint32)
        self.refused = np.zeros(count, bool)
        self.converts = False
        members: dict[int, dict[Series, int]] = {}
        for at, outcome in enumerate(self.outcomes):
            if isinstance(outcome, DomainError):
                self.refused[at] = True
                continue
            series, conversion = outcome
            if conversion is not IDENTITY:
                self.converts = True
                self.scale[at], self.offset[at] = conversion
            if (minimum := series.limits.minimum) is not None:
                self.minimum[at] = minimum
            if (maximum := series.limits.maximum) is not None:
                self.maximum[at] = maximum
            # A series that is there twice, in two units for instance, is one of its partition.
            mates = members.setdefault(series.partition, {})
            self.partition[at], self.local[at] = series.partition, mates.setdefault(series, len(mates))
        self.refuses = bool(self.refused.any())
        self.series = {partition: tuple(mates) for partition, mates in members.items()}

    def __len__(self) -> int:
        return len(self.outcomes)


@dataclass(frozen=True)
class Judged:
    """What became of a batch: accepted rows by partition, and the rejected ones."""

    pieces: tuple[Piece, ...]
    accepted: int
    rejections: tuple[Rejection, ...]


def judge(
    table: SeriesTable,
    index: Indices,
    event_time_us: Longs,
    value: Floats,
    *,
    now_us: int,
    limits: TimeLimits,
) -> Judged:
    """Judges every row on its own. The three columns have the same length."""
    earliest, latest = limits.at(now_us)
    safe, canonical, good = _good(table, index, event_time_us, value, earliest, latest)
    if good.all():
        return Judged(_route(table, safe, event_time_us, canonical), len(value), ())
    rejections = tuple(
        Rejection(row, _why(table, row, index, event_time_us, value, canonical, earliest, latest))
        for row in np.flatnonzero(~good).tolist()
    )
    pieces = _route(table, safe[good], event_time_us[good], canonical[good])
    return Judged(pieces, len(value) - len(rejections), rejections)


def used(
    table: SeriesTable, index: Indices, event_time_us: Longs, value: Floats, *, now_us: int, limits: TimeLimits
) -> list[int]:
    """The places of the table that have a row which `judge` would accept."""
    safe, _, good = _good(table, index, event_time_us, value, *limits.at(now_us))
    return np.unique(safe[good]).tolist()


def _good(
    table: SeriesTable, index: Indices, event_time_us: Longs, value: Floats, earliest: int, latest: int
) -> tuple[Indices, Floats, NDArray[np.bool_]]:
    """Safe places in the table, canonical values, and which rows are acceptable."""
    bad_index = index >= len(table)
    safe = np.where(bad_index, 0, index) if bad_index.any() else index
    canonical = value
    with np.errstate(over="ignore", invalid="ignore"):
        if table.converts:
            canonical = value * table.scale[safe] + table.offset[safe]
        good = (canonical >= table.minimum[safe]) & (canonical <= table.maximum[safe]) & np.isfinite(canonical)
    good &= (event_time_us >= earliest) & (event_time_us <= latest)
    if safe is not index:
        good &= ~bad_index
    if table.refuses:
        good &= ~table.refused[safe]
    return safe, canonical, good


def _route(table: SeriesTable, index: Indices, event_time_us: Longs, value: Floats) -> tuple[Piece, ...]:
    """Splits rows by partition; within one, they keep their order."""
    if not len(value):
        return ()
    if len(table.series) == 1:
        (partition,) = table.series
        return (_piece(table, partition, table.local[index], event_time_us, value),)
    partitions = table.partition[index]
    order = np.argsort(partitions, kind="stable")
    counts = np.bincount(partitions)
    local, event_time_us, value = table.local[index][order], event_time_us[order], value[order]
    pieces: list[Piece] = []
    start = 0
    for partition in np.flatnonzero(counts).tolist():
        stop = start + int(counts[partition])
        pieces.append(_piece(table, partition, local[start:stop], event_time_us[start:stop], value[start:stop]))
        start = stop
    return tuple(pieces)


def _piece(table: SeriesTable, partition: int, local: Indices, event_time_us: Longs, value: Floats) -> Piece:
    piece = Piece(partition, table.series[partition], local, event_time_us, value)
    # A large table with few rows would send descriptions of series that nothing belongs to.
    return compact(piece) if len(piece.series) > len(piece) else piece


def _why(
    table: SeriesTable,
    row: int,
    index: Indices,
    event_time_us: Longs,
    value: Floats,
    canonical: Floats,
    earliest: int,
    latest: int,
) -> DomainError:
    place = int(index[row])
    if place >= len(table):
        return InvalidField("seriesIndex", f"must be below {len(table)}, the number of series", rule="INDEX")
    outcome = table.outcomes[place]
    if isinstance(outcome, DomainError):
        return outcome
    if not np.isfinite(value[row]):
        return InvalidField("value", "must be finite", rule="DOUBLE_FINITE")
    at = int(event_time_us[row])
    if not earliest <= at <= latest:
        return EventTimeOutOfRange(time_text(at), time_text(earliest), time_text(latest))
    return ValueOutOfRange(float(canonical[row]), outcome[0].limits)
