"""Reading columns out of `segments` and `windows`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import numpy as np

from services.aggregation.adapters.postgres.binary_copy import QUARTER
from services.aggregation.domain.columns import Floats, Ints, Rows
from services.aggregation.domain.counters.branch import look_back
from services.aggregation.domain.counters.meter_row import NO_ANCHOR, Anchor
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.fold import Folded
from services.aggregation.domain.windows.summary import SUMMARY
from services.chassis.postgres import Connection

_ARRAY_HEAD: Final = 20
_TIME = np.dtype([("length", ">i4"), ("value", ">i8")])
_VALUE = np.dtype([("length", ">i4"), ("value", ">f8")])
_FIELD = np.dtype([("type", ">i4"), ("length", ">i4"), ("bits", ">u8")])
_RECORD = np.dtype([("columns", ">i4"), ("values", _FIELD, 2 + len(SUMMARY.names or ()))])


def segments_in(at: int) -> str:
    """FROM and WHERE of segments `s` with readings in ranges `r`. Parameters from `$at` on: `bounds_of_segments`."""
    # Bounds for all ranges at once stand beside those of each: by them PostgreSQL leaves out partitions unopened.
    # A segment lies in one quarter of an hour, its times ascend: what ended before the range is known by the index.
    return f"""
    FROM unnest(${at}::bigint[], ${at + 1}::bigint[], ${at + 2}::bigint[]) WITH ORDINALITY
        AS r (series_id, first, last, place)
    JOIN segments s ON s.series_id = r.series_id AND s.first_us >= r.first - r.first % {QUARTER}
        AND s.first_us < r.last AND s.first_us >= ${at + 3} AND s.first_us < ${at + 4}
    WHERE s.times_us[cardinality(s.times_us)] >= r.first
    """


def windows_in(at: int) -> str:
    """FROM of windows `w` that start in the ranges `r`. Parameters from `$at` on: `bounds_of_windows`."""
    return f"""
    FROM unnest(${at}::bigint[], ${at + 1}::bigint[], ${at + 2}::bigint[], ${at + 3}::bigint[]) WITH ORDINALITY
        AS r (series_id, step, first, last, place)
    JOIN windows w ON w.series_id = r.series_id AND w.step_us = r.step AND w.start_us >= r.first
        AND w.start_us < r.last AND w.step_us = ANY(${at + 4}::bigint[])
        AND w.start_us >= ${at + 5} AND w.start_us < ${at + 6}
    """


# array_send gives the array as it is kept, in one piece: the driver need not make an object of every item.
_RAW: Final = f"""
SELECT r.place, array_send(s.times_us) AS times, array_send(s.vals) AS vals, s.late {segments_in(1)}
"""
_AFTER: Final = f"""
SELECT r.place, s.first_us, array_send(s.times_us) AS times, array_send(s.vals) AS vals
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS r (series_id, bound, place)
CROSS JOIN LATERAL (
    (SELECT first_us, times_us, vals FROM segments
     WHERE series_id = r.series_id AND late = 0 AND first_us >= r.bound - {QUARTER} AND first_us < r.bound
        AND first_us >= $3 AND times_us[cardinality(times_us)] >= r.bound)
    UNION ALL
    (SELECT first_us, times_us, vals FROM segments
     WHERE series_id = r.series_id AND late = 0 AND first_us >= r.bound AND first_us >= $3
     ORDER BY first_us LIMIT $4)
) s
"""
_SUMMARY_COLUMNS: Final = """w.count, w.sum, w.min, w.max, w.first_us, w.first, w.last_us, w.last, w.covered_us,
w.integral, w.gap_us, coalesce(w.consumption, 0), coalesce(w.edge_from_us, '-9223372036854775808'::bigint),
coalesce(w.edge_to_us, '-9223372036854775808'::bigint), coalesce(w.edge, 0), coalesce(w.level_us,
'-9223372036854775808'::bigint), coalesce(w.level, 0), coalesce(w.pace, 0)"""
_WINDOWS: Final = f"SELECT r.place, w.start_us, w.revision, {_SUMMARY_COLUMNS} {windows_in(1)}"
WINDOW_RECORD: Final = f"record_send(ROW(r.place, w.start_us, {_SUMMARY_COLUMNS}))"
"""A window in one piece, for `decode_windows`."""
_ANCHORS: Final = """
SELECT r.place, w.start_us, w.level_us, w.level, coalesce(w.pace, 0) AS pace
FROM unnest($1::bigint[], $2::bigint[], $6::bigint[]) WITH ORDINALITY AS r (series_id, start, since, place)
CROSS JOIN LATERAL (
    SELECT start_us, level_us, level, pace FROM windows
    WHERE series_id = r.series_id AND step_us = $3 AND start_us >= r.since AND start_us < r.start
        AND start_us >= $4 AND start_us < $5 AND level_us > '-9223372036854775808'::bigint
    ORDER BY start_us DESC LIMIT 1
) w
"""


class AskedAnchor(NamedTuple):
    """Before the start of a window of a series, which sends within `max_gap`."""

    series_id: int
    start: int
    max_gap: int


class AnchorBefore(NamedTuple):
    """An anchor of a counter (see `meter`), and the start of its window."""

    start: int
    anchor: Anchor = NO_ANCHOR

    def read_from(self, start: int) -> int:
        """From where readings have to be read to judge those at and after `start`."""
        return start if self.anchor.time == NEVER else min(start, self.anchor.time + 1)


def counter_rules(row: asyncpg.Record | Mapping[str, Any]) -> CounterRules:
    """Of a row of `series`."""
    return CounterRules(
        Policy(row["counter_policy"]),
        row["register_size"],
        row["max_increase_per_hour"],
        row["cautious"],
        row["rounding_ratio"],
        row["rounding_amount"],
    )


def decode_times(sent: bytes) -> Ints:
    """The items of a bigint[] as `array_send` gives it."""
    return np.frombuffer(sent, _TIME, offset=_ARRAY_HEAD)["value"].astype(np.int64)


def decode_values(sent: bytes) -> Floats:
    """The items of a double precision[] as `array_send` gives it."""
    return np.frombuffer(sent, _VALUE, offset=_ARRAY_HEAD)["value"].astype(np.float64)


def bounds_of_segments(ranges: Sequence[tuple[int, int, int]]) -> tuple[Any, ...]:
    """The parameters of `segments_in`: (series id, from, to) ranges, in columns, and the bounds of all."""
    if not ranges:
        return [], [], [], 0, 0
    ids, first, last = (list(column) for column in zip(*ranges, strict=True))
    first_of_all = min(first)
    return ids, first, last, first_of_all - first_of_all % QUARTER, max(last)


def bounds_of_windows(ranges: Sequence[tuple[int, int, int, int]]) -> tuple[Any, ...]:
    """The parameters of `windows_in`: (series id, step, from, to) ranges, in columns, and the bounds of all."""
    if not ranges:
        return [], [], [], [], [], 0, 0
    ids, steps, first, last = (list(column) for column in zip(*ranges, strict=True))
    return ids, steps, first, last, sorted(set(steps)), min(first), max(last)


async def raw_readings(connection: Connection, ranges: Sequence[tuple[int, int, int]]) -> tuple[Readings, Readings]:
    """Readings of (series id, from, to) ranges, and those among them that do not count in windows. `series` is the
    place of the range. Sorted by range and time."""
    if not ranges:
        return no_readings(), no_readings()
    held: tuple[list[tuple[int, bytes, bytes]], list[tuple[int, bytes, bytes]]] = ([], [])
    for place, times, values, late in await connection.fetch(_RAW, *bounds_of_segments(ranges)):
        held[late > 0].append((place, times, values))
    return decode_readings(held[0], ranges), decode_readings(held[1], ranges)


async def readings_after(
    connection: Connection, asked: Sequence[tuple[int, int]], limit: int
) -> list[list[tuple[int, float]]]:
    """The first readings at or after each (series id, time) that count in windows: up to `limit`, in order."""
    found: list[list[tuple[int, float]]] = [[] for _ in asked]
    if not asked:
        return found
    ids, bounds = (list(column) for column in zip(*asked, strict=True))
    last = list(bounds)
    counts = [0 for _ in asked]
    for row in await connection.fetch(_AFTER, ids, bounds, min(bounds) - QUARTER, limit):
        place = row["place"] - 1
        if row["first_us"] >= bounds[place]:
            counts[place] += 1
            last[place] = max(last[place], row["first_us"])
        times, values = decode_times(row["times"]).tolist(), decode_values(row["vals"]).tolist()
        found[place] += [item for item in zip(times, values, strict=True) if item[0] >= bounds[place]]
    for place, own in enumerate(found):
        # A segment that was not read may begin anywhere after the last one that was.
        own[:] = sorted(item for item in own if counts[place] < limit or item[0] <= last[place])[:limit]
    return found


def decode_readings(segments: Sequence[tuple[int, bytes, bytes]], ranges: Sequence[tuple[int, int, int]]) -> Readings:
    """The readings of (place, times, values) as `array_send` gives them that lie in the range of that place (from 1
    on). Sorted by range and time."""
    if not segments:
        return no_readings()
    # Mostly segments are many and short: decoded as one.
    places, times, values = zip(*segments, strict=True)
    parts = [sent[_ARRAY_HEAD:] for sent in times]
    time = np.frombuffer(b"".join(parts), _TIME)["value"].astype(np.int64)
    value = np.frombuffer(b"".join([sent[_ARRAY_HEAD:] for sent in values]), _VALUE)["value"].astype(np.float64)
    place = np.repeat(np.array(places, np.int64) - 1, [len(part) // _TIME.itemsize for part in parts])
    bounds = np.array(ranges, np.int64)
    inside = (time >= bounds[place, 1]) & (time < bounds[place, 2])
    return Readings(place[inside], time[inside], value[inside]).sorted()


def decode_windows(records: Sequence[bytes]) -> tuple[Ints, Ints, Rows]:
    """Of windows (each a `WINDOW_RECORD`) the place of the range, the start, and the summary."""
    # Every value is of 8 bytes, whatever it means.
    bits = np.frombuffer(b"".join(records), _RECORD)["values"]["bits"].astype("<u8")
    keys = bits[:, :2].astype(np.int64)
    return keys[:, 0] - 1, keys[:, 1], np.ascontiguousarray(bits[:, 2:]).view(SUMMARY)[:, 0]


async def stored_windows(connection: Connection, ranges: Sequence[tuple[int, int, int, int]]) -> tuple[Folded, Ints]:
    """Windows that start in the (series id, step, from, to) ranges, with their revisions. `series` is the place of the
    range. Sorted by range and start."""
    if not ranges:
        return Folded(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, SUMMARY)), np.zeros(0, np.int64)
    found = await connection.fetch(_WINDOWS, *bounds_of_windows(ranges))
    rows = sorted((tuple(row) for row in found), key=_place_and_start)
    place = np.array([row[0] - 1 for row in rows], np.int64)
    start = np.array([row[1] for row in rows], np.int64)
    revision = np.array([row[2] for row in rows], np.int64)
    return Folded(place, start, np.array([row[3:] for row in rows], SUMMARY)), revision


def _place_and_start(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[0], row[1]


async def anchors_before(connection: Connection, step: int, asked: Sequence[AskedAnchor]) -> list[AnchorBefore]:
    """The last anchor of counters before each."""
    if not asked:
        return []
    ids, starts = [one.series_id for one in asked], [one.start for one in asked]
    since = [one.start - look_back(one.max_gap) for one in asked]
    found = [AnchorBefore(start) for start in starts]
    for row in await connection.fetch(_ANCHORS, ids, starts, step, min(since), max(starts), since):
        found[row["place"] - 1] = AnchorBefore(row["start_us"], Anchor(row["level_us"], row["level"], row["pace"]))
    return found
