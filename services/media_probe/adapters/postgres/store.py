"""The result rows in PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from services.chassis.group_commit import GroupCommit
from services.chassis.ids import new_id
from services.chassis.nats import Encoded, encode
from services.chassis.postgres import Database, Outbox, first_time_many
from services.chassis.postgres.conditions import Conditions
from services.media_probe.adapters import events
from services.media_probe.adapters.postgres import rows
from services.media_probe.application.errors import VideoNotFailed, VideoNotFound
from services.media_probe.application.ports import MAX_HISTORY, Known
from services.media_probe.domain.video import Alert, Effort, State, Video, VideoFilter, next_version

CONSUMER: Final = "alerts"
"""Name of the consumer, and of its marks in the inbox."""

_ALL: Final = ", ".join((*rows.COLUMNS, "update_time"))
_UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in rows.COLUMNS if name not in ("uid", "version"))
# What the row told so far joins the earlier attempts, unless it tells of none since a retry was asked for.
_EARLIER: Final = f"""
    CASE WHEN videos.attempts = 0 THEN videos.earlier ELSE
        CASE WHEN jsonb_array_length(videos.earlier) < {MAX_HISTORY - 1} THEN videos.earlier ELSE videos.earlier - 0 END
        || jsonb_build_array(jsonb_build_array(
            videos.attempts, videos.failure, videos.message, videos.update_time,
            extract(epoch FROM videos.probe_duration), videos.result_event
        ))
    END
"""
_UPSERT: Final = f"""
    INSERT INTO videos ({", ".join(rows.COLUMNS)})
    SELECT * FROM unnest({", ".join(f"${n}::{kind}[]" for n, kind in enumerate(rows.TYPES, start=1))})
        AS new ({", ".join(rows.COLUMNS)}) ORDER BY uid
    ON CONFLICT (uid) DO UPDATE SET
        {_UPDATES}, version = greatest(videos.version + 1, excluded.version), earlier = {_EARLIER}, update_time = now()
"""
# What came of a report that another one has followed since, or that succeeded, is not wanted any more.
_RECORD: Final = f"""
    {_UPSERT} WHERE videos.event_id = '' OR (videos.event_id = excluded.event_id AND videos.state <> 'PROBED')
    RETURNING uid
"""
_KNOWN: Final = f"""
    SELECT asked.place, {", ".join(f"v.{name}" for name in (*rows.COLUMNS, "update_time"))}, EXISTS (
        SELECT FROM inbox WHERE consumer = $1 AND message_id IN (asked.event, asked.failure)
    ) AS seen
    FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS asked (uid, event, failure, place)
    LEFT JOIN videos v ON v.uid = asked.uid ORDER BY asked.place
"""
_REMOVE: Final = """
    WITH gone AS (
        DELETE FROM videos WHERE uid IN (
            SELECT uid FROM videos WHERE create_time < $1 ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class _Result:
    """What a probe of an alert came to: the row, and for a final one the mark of its effect and its event."""

    row: Video
    mark: str | None
    event: Encoded | None


class PostgresVideoStore:
    """The VideoStore over PostgreSQL. Those who look up or record at the same time share a statement or a transaction.

    Use it as a context manager."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._lookups = GroupCommit("look-ups", self._look_up)
        self._records = GroupCommit("records", self._record, keep_abandoned=True)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._lookups)
        await self._stack.enter_async_context(self._records)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def get(self, uid: str) -> Video | None:
        """See the port."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(f"SELECT {_ALL}, earlier::text FROM videos WHERE uid = $1", uid)
        if record is None:
            return None
        row, earlier = rows.video(record), rows.earlier(record["earlier"])
        last = row.last_attempt()
        return replace(row, history=(*earlier, last) if last is not None else earlier)

    async def page(self, wanted: VideoFilter, after: tuple[float, str] | None, limit: int) -> Sequence[Video]:
        """See the port."""
        conditions = Conditions(limit)
        if after is not None:
            conditions.add("(reported_at, uid) < ({}, {})", *after)
        if wanted.store:
            conditions.add("store = {}", wanted.store)
        if wanted.state is not None:
            # Spelt out where an index has the same condition: a parameter would hide it from the planner.
            troubled = " AND state <> 'PROBED'" if wanted.state is not State.PROBED else ""
            conditions.add("state = {}" + troubled, wanted.state.value)
        if wanted.since is not None:
            conditions.add("reported_at >= {}", wanted.since)
        if wanted.until is not None:
            conditions.add("reported_at < {}", wanted.until)
        statement = f"SELECT {_ALL} FROM videos /*where*/ ORDER BY reported_at DESC, uid DESC LIMIT $1"
        async with self._database.connection() as connection:
            found = await connection.fetch(conditions.into(statement), *conditions.arguments)
        return [rows.video(record) for record in found]

    async def known(self, alert: Alert) -> Known:
        """See the port."""
        return await self._lookups.submit(alert)

    async def _look_up(self, alerts: Sequence[Alert]) -> Sequence[Known]:
        async with self._database.connection() as connection:
            records = await connection.fetch(
                _KNOWN,
                CONSUMER,
                [alert.uid for alert in alerts],
                [alert.event_id for alert in alerts],
                [_failure_mark(alert) for alert in alerts],
            )
        return [Known(rows.video(one) if one["uid"] is not None else None, seen=one["seen"]) for one in records]

    async def record(self, alert: Alert, row: Video) -> bool:
        """See the port."""
        mark = None
        if row.state is not State.RETRYING:
            mark = alert.event_id if row.state is State.PROBED else _failure_mark(alert)
            row = replace(row, result_event=new_id())
        event = events.finished(row)
        # Encoded here, where the trace of the alert is the current one.
        return await self._records.submit(
            _Result(row, mark, encode(event, source=events.SOURCE) if event is not None else None)
        )

    async def _record(self, results: Sequence[_Result]) -> Sequence[bool]:
        done = dict.fromkeys(range(len(results)), False)
        async with self._database.transaction() as connection:
            for turn in _turns(results):
                marks = [result.mark for _, result in turn if result.mark is not None]
                new = await first_time_many(connection, CONSUMER, marks) if marks else set[str]()
                first = [(place, result) for place, result in turn if result.mark is None or result.mark in new]
                if first:
                    columns = zip(*(rows.values(result.row) for _, result in first), strict=True)
                    written = {row["uid"] for row in await connection.fetch(_RECORD, *map(list, columns))}
                    done |= {place: result.row.uid in written for place, result in first}
            leaving = [result.event for place, result in enumerate(results) if done[place] and result.event is not None]
            await self._outbox.add_encoded_in_order(connection, leaving)
        return list(done.values())

    async def remove(self, before: datetime, limit: int) -> int:
        """See the port."""
        async with self._database.connection() as connection:
            return await connection.fetchval(_REMOVE, before, limit)

    async def retry(self, uid: str, event_id: str) -> Video:
        """See the port."""
        async with self._database.transaction() as connection:
            record = await connection.fetchrow(f"SELECT {_ALL} FROM videos WHERE uid = $1 FOR UPDATE", uid)
            if record is None:
                raise VideoNotFound(metadata={"uid": uid})
            row = rows.video(record)
            if row.state is not State.FAILED:
                raise VideoNotFailed(metadata={"uid": uid, "state": row.state.value})
            row = replace(
                row, state=State.RETRYING, attempts=0, effort=Effort(), event_id=event_id, version=next_version(row)
            )
            row = replace(row, result_event="")
            await connection.execute(_UPSERT, *([value] for value in rows.values(row)))
            asked = events.to_be_probed_again(row, event_id)
            await self._outbox.add(connection, asked, events.reported_again(row, event_id))
            again = await connection.fetchrow(f"SELECT {_ALL} FROM videos WHERE uid = $1", uid)
        assert again is not None  # locked above
        return rows.video(again)


def _turns(results: Sequence[_Result]) -> Iterator[list[tuple[int, _Result]]]:
    """The results, with their places, in pieces in which no alert and no mark is there twice."""
    turn: list[tuple[int, _Result]] = []
    taken: set[tuple[str, str | None]] = set()
    for place, result in enumerate(results):
        keys = {("uid", result.row.uid), ("mark", result.mark or f"none-{place}")}
        if keys & taken:
            yield turn
            turn, taken = [], set()
        turn.append((place, result))
        taken |= keys
    if turn:
        yield turn


def _failure_mark(alert: Alert) -> str:
    # A dead letter that is sent back has the same event id. It must be probed again after a failure (not after a
    # success), so a failure is marked for its entry in the stream alone.
    return f"{alert.event_id}@{alert.delivery}"
