"""Columns to PostgreSQL's binary COPY format, without work per reading in Python."""

from typing import Final

import numpy as np

from services.aggregation.domain.columns import Ints, Rows
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import MINUTE

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"

QUARTER: Final = 15 * MINUTE
"""A segment lies in one quarter of an hour, so that a range is read without looking far before it."""
SEGMENT_READINGS: Final = 400
"""Most readings of a segment: its row stays within a page."""

_INT8, _FLOAT8 = 20, 701

_SEGMENT_HEAD = np.dtype(
    [
        ("fields", ">i2"),
        ("l1", ">i4"),
        ("series_id", ">i8"),
        ("l2", ">i4"),
        ("first_us", ">i8"),
        ("l3", ">i4"),
        ("late", ">i2"),
    ]
)
_ARRAY_HEAD = np.dtype(
    [("length", ">i4"), ("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"), ("size", ">i4"), ("lower", ">i4")]
)
_TIME = np.dtype([("length", ">i4"), ("value", ">i8")])
_VALUE = np.dtype([("length", ">i4"), ("value", ">f8")])


def segments(ids: Ints, readings: Readings, *, late: bool) -> bytes:
    """Rows of table `segments` (without signature and trailer): series_id, first_us, late, times_us, vals.

    `readings` sorted by series and time. The length of every part of a row is a multiple of four, so rows are put
    together in units of four bytes, all rows at once.
    """
    count = len(readings.time)
    if not count:
        return b""
    quarter = readings.time // QUARTER
    new = np.ones(count, bool)
    new[1:] = (readings.series[1:] != readings.series[:-1]) | (quarter[1:] != quarter[:-1])
    runs = np.flatnonzero(new)
    rank = np.arange(count) - np.repeat(runs, np.diff(np.append(runs, count)))
    heads = np.flatnonzero(rank % SEGMENT_READINGS == 0)
    sizes = np.diff(np.append(heads, count))

    head = np.zeros(len(heads), _SEGMENT_HEAD)
    head["fields"], head["l1"], head["l2"], head["l3"] = 5, 8, 8, 2
    head["series_id"], head["first_us"], head["late"] = ids[readings.series[heads]], readings.time[heads], int(late)
    head_units, array_units, item_units = _SEGMENT_HEAD.itemsize // 4, _ARRAY_HEAD.itemsize // 4, _TIME.itemsize // 4
    row_units = head_units + 2 * array_units + 2 * item_units * sizes
    offsets = np.concatenate([[0], np.cumsum(row_units)])
    out = np.empty(int(offsets[-1]), np.uint32)
    starts = offsets[:-1]

    def put(at: Ints, rows: Rows) -> None:
        units = rows.view(np.uint32).reshape(len(rows), -1)
        for unit in range(units.shape[1]):
            out[at + unit] = units[:, unit]

    put(starts, head)
    array = np.zeros(len(heads), _ARRAY_HEAD)
    array["length"], array["dimensions"], array["size"], array["lower"] = 20 + 12 * sizes, 1, sizes, 1
    array["type"] = _INT8
    put(starts + head_units, array)
    array["type"] = _FLOAT8
    put(starts + head_units + array_units + item_units * sizes, array)

    within = np.arange(count) - np.repeat(heads, sizes)
    first = np.repeat(starts + head_units + array_units, sizes) + item_units * within
    times, values = np.empty(count, _TIME), np.empty(count, _VALUE)
    times["length"] = values["length"] = 8
    times["value"], values["value"] = readings.time, readings.value
    put(first, times)
    put(first + np.repeat(item_units * sizes + array_units, sizes), values)
    return out.tobytes()


_COMMON: Final = (
    ("series_id", ">i8"),
    ("step_us", ">i8"),
    ("start_us", ">i8"),
    ("revision", ">i4"),
    ("max_gap_us", ">i8"),
    ("count", ">i8"),
    ("sum", ">f8"),
    ("min", ">f8"),
    ("max", ">f8"),
    ("first_us", ">i8"),
    ("first", ">f8"),
    ("last_us", ">i8"),
    ("last", ">f8"),
    ("covered_us", ">i8"),
    ("integral", ">f8"),
    ("gap_us", ">i8"),
)
_COUNTER: Final = (
    ("consumption", ">f8"),
    ("edge_from_us", ">i8"),
    ("edge_to_us", ">i8"),
    ("edge", ">f8"),
    ("level_us", ">i8"),
    ("level", ">f8"),
    ("pace", ">f8"),
)
WINDOW_COLUMNS: Final = tuple(name for name, _ in (*_COMMON, *_COUNTER))


def _row(counter: bool) -> "np.dtype[np.void]":
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in _COMMON:
        fields += [(f"length_{name}", ">i4"), (name, kind)]
    for name, kind in _COUNTER:
        fields += [(f"length_{name}", ">i4"), *([(name, kind)] if counter else [])]
    return np.dtype(fields)


_ROWS: Final = {True: _row(True), False: _row(False)}


def windows(
    ids: Ints, kinds: Ints, max_gaps: Ints, series: Ints, step: int, start: Ints, revision: Ints, rows: Rows
) -> bytes:
    """Rows of table `windows` (columns as in `WINDOW_COLUMNS`, without signature and trailer)."""
    is_counter = kinds[series] == Kind.COUNTER
    parts: list[bytes] = []
    for counter in (False, True):
        at = np.flatnonzero(is_counter == counter)
        if len(at):
            parts.append(_window_rows(counter, ids, max_gaps, series[at], step, start[at], revision[at], rows[at]))
    return b"".join(parts)


def _window_rows(
    counter: bool, ids: Ints, max_gaps: Ints, series: Ints, step: int, start: Ints, revision: Ints, rows: Rows
) -> bytes:
    out = np.zeros(len(series), _ROWS[counter])
    out["fields"] = len(WINDOW_COLUMNS)
    for name, kind in (*_COMMON, *_COUNTER):
        out[f"length_{name}"] = int(kind[-1])
    out["series_id"], out["step_us"], out["start_us"], out["revision"] = ids[series], step, start, revision
    out["max_gap_us"] = max_gaps[series]
    for name in ("count", "sum", "min", "max", "first", "last", "integral"):
        out[name] = rows[name]
    out["first_us"], out["last_us"] = rows["first_time"], rows["last_time"]
    out["covered_us"], out["gap_us"] = rows["covered"], rows["gap"]
    if counter:
        for name in ("consumption", "edge", "level", "pace"):
            out[name] = rows[name]
        out["edge_from_us"], out["edge_to_us"] = rows["edge_from"], rows["edge_to"]
        out["level_us"] = rows["level_time"]
    else:
        for name, _ in _COUNTER:
            out[f"length_{name}"] = -1
    return out.tobytes()
