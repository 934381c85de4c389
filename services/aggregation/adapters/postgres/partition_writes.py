"""The parts of a write, inside the transaction of `PostgresPartitionStore.commit`."""

from collections.abc import AsyncGenerator, Sequence

import numpy as np

from services.aggregation.adapters.postgres import binary_copy
from services.aggregation.application.partition.partition_store import SavedState, Write
from services.aggregation.domain.columns import Ints, Rows
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.series import Kind
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.series_state import VERSION
from services.chassis.postgres import Connection

_COPY_BYTES = 256 * 1024

_TYPES = {"revision": "integer"} | dict.fromkeys(
    ("sum", "min", "max", "first", "last", "integral", "consumption", "edge", "level", "pace"), "double precision"
)
_UPSERT = """
INSERT INTO windows ({columns}) SELECT * FROM unnest({arrays})
ON CONFLICT (series_id, step_us, start_us) DO UPDATE SET {sets}
""".format(
    columns=", ".join(binary_copy.WINDOW_COLUMNS),
    arrays=", ".join(
        f"${place}::{_TYPES.get(name, 'bigint')}[]" for place, name in enumerate(binary_copy.WINDOW_COLUMNS, start=1)
    ),
    sets=", ".join(f"{name} = excluded.{name}" for name in binary_copy.WINDOW_COLUMNS[3:]),
)


async def write_readings(connection: Connection, write: Write) -> None:
    """Raw readings, as segments."""
    rows = binary_copy.segments(write.ids, write.raw, late=False) + binary_copy.segments(
        write.ids, write.skipped, late=True
    )
    if rows:
        await _copy(connection, "segments", ("series_id", "first_us", "late", "times_us", "vals"), rows)


async def write_windows(connection: Connection, write: Write) -> None:
    """Windows that closed for the first time by COPY; revisions replace what was there."""
    fresh: list[bytes] = []
    again: list[ClosedWindows] = []
    for closed in write.closed:
        first = closed.revision == 1
        fresh.append(
            _window_rows(
                write,
                closed.series[first],
                closed.step,
                closed.start[first],
                closed.revision[first],
                closed.rows[first],
            )
        )
        if not first.all():
            again.append(closed)
    if any(fresh):
        await _copy(connection, "windows", binary_copy.WINDOW_COLUMNS, b"".join(fresh))
    columns: list[list[object]] = [[] for _ in binary_copy.WINDOW_COLUMNS]
    for closed in again:
        for at in np.flatnonzero(closed.revision > 1):
            _append(
                columns,
                write,
                int(closed.series[at]),
                closed.step,
                int(closed.start[at]),
                int(closed.revision[at]),
                closed.rows[at].item(),
            )
    empty = [window for window in write.revised if not window.row["count"]]
    for window in write.revised:
        if window.row["count"]:
            _append(columns, write, window.series, window.step, window.start, window.revision, window.row.item())
    if columns[0]:
        await connection.execute(_UPSERT, *columns)
    if empty or write.filled:
        await _write_vacant(connection, write, empty)


async def _write_vacant(connection: Connection, write: Write, empty: Sequence[RevisedWindow]) -> None:
    """Windows that hold no reading any more are not stored; how often they had closed is."""
    keys = [(int(write.ids[series]), step, start) for series, step, start in write.filled]
    await connection.executemany(
        "DELETE FROM vacant_windows WHERE series_id = $1 AND step_us = $2 AND start_us = $3", keys
    )
    left = [(int(write.ids[window.series]), window.step, window.start, window.revision) for window in empty]
    await connection.executemany(
        "DELETE FROM windows WHERE series_id = $1 AND step_us = $2 AND start_us = $3", [row[:3] for row in left]
    )
    await connection.executemany(
        """
        INSERT INTO vacant_windows (series_id, step_us, start_us, revision) VALUES ($1, $2, $3, $4)
        ON CONFLICT (series_id, step_us, start_us) DO UPDATE SET revision = excluded.revision
        """,
        left,
    )


async def write_states(connection: Connection, states: Sequence[SavedState], steps: Sequence[int]) -> None:
    """What the owner remembers of the series."""
    if not states:
        return
    await connection.execute(
        f"""
        INSERT INTO series_state AS s
            (series_id, interval_us, max_gap_us, settled_us, state, frontiers, steps, version)
        SELECT n.series_id, n.interval_us, n.max_gap_us, n.settled_us, n.state,
            ($6::bigint[])[(n.place - 1) * $8 + 1 : n.place * $8], $7::bigint[], {VERSION}
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) WITH ORDINALITY
            AS n (series_id, interval_us, max_gap_us, settled_us, state, place)
        ON CONFLICT (series_id) DO UPDATE SET interval_us = excluded.interval_us, max_gap_us = excluded.max_gap_us,
            settled_us = excluded.settled_us, state = excluded.state, frontiers = excluded.frontiers,
            steps = excluded.steps, version = excluded.version
        """,
        [state.series_id for state in states],
        [state.interval for state in states],
        [state.max_gap for state in states],
        [state.settled for state in states],
        [state.state for state in states],
        [frontier for state in states for frontier in state.frontiers],
        list(steps),
        len(steps),
    )


async def write_remarks(connection: Connection, write: Write) -> None:
    """Mailbox entries that are done, corrections of counters, counts of late readings."""
    if write.emptied:
        await connection.execute("DELETE FROM emptied WHERE id = ANY($1::bigint[])", list(write.emptied))
    if write.withdrawn:
        await connection.executemany(
            "DELETE FROM corrections WHERE series_id = $1 AND time_us = $2",
            [(int(write.ids[series]), time) for series, time in write.withdrawn],
        )
    if write.corrections:
        await connection.executemany(
            """
            INSERT INTO corrections (series_id, time_us, value, level, kind, last_us, readings, booked, otherwise)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (series_id, time_us) DO UPDATE SET
                value = excluded.value, level = excluded.level, kind = excluded.kind, last_us = excluded.last_us,
                readings = excluded.readings, booked = excluded.booked, otherwise = excluded.otherwise
            """,
            [
                (
                    int(write.ids[found.series]),
                    found.time,
                    found.value,
                    found.level,
                    found.kind,
                    found.last_time,
                    found.readings,
                    *(found.doubt or (None, None)),
                )
                for found in write.corrections
            ],
        )
    if write.late:
        await connection.executemany(
            """
            INSERT INTO lateness AS l (series_id, revised, too_late) VALUES ($1, $2, $3)
            ON CONFLICT (series_id) DO UPDATE SET
                revised = l.revised + excluded.revised, too_late = l.too_late + excluded.too_late
            """,
            [(int(write.ids[series]), revised, too_late) for series, revised, too_late in write.late],
        )


def _window_rows(write: Write, series: Ints, step: int, start: Ints, revision: Ints, rows: Rows) -> bytes:
    return binary_copy.windows(write.ids, write.kinds, write.max_gaps, series, step, start, revision, rows)


def _append(
    columns: list[list[object]],
    write: Write,
    series: int,
    step: int,
    start: int,
    revision: int,
    row: tuple[object, ...],
) -> None:
    counter = write.kinds[series] == Kind.COUNTER
    values = (int(write.ids[series]), step, start, revision, int(write.max_gaps[series]), *row[:11])
    for column, value in zip(columns, (*values, *(row[11:] if counter else (None,) * 7)), strict=True):
        column.append(value)


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    # Not as a file, which asyncpg would read in a thread.
    await connection.copy_to_table(table, source=_content(rows), columns=list(columns), format="binary")


async def _content(rows: bytes) -> AsyncGenerator[bytes]:
    yield binary_copy.SIGNATURE
    for first in range(0, len(rows), _COPY_BYTES):
        yield rows[first : first + _COPY_BYTES]
    yield binary_copy.TRAILER
