"""The result rows in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.chassis.postgres import Connection, Database, Outbox, first_time
from services.media_probe.adapters import events
from services.media_probe.adapters.postgres import rows
from services.media_probe.application.errors import VideoNotFailed, VideoNotFound
from services.media_probe.domain.video import Alert, Effort, State, Video

CONSUMER: Final = "alerts"
"""Name of the consumer, and of its marks in the inbox."""

_ALL: Final = ", ".join((*rows.COLUMNS, "update_time"))
_PLACES: Final = ", ".join(f"${number}" for number in range(1, len(rows.COLUMNS) + 1))
_UPDATES: Final = ", ".join(f"{name} = excluded.{name}" for name in rows.COLUMNS if name != "uid")
_UPSERT: Final = f"""
    INSERT INTO videos ({", ".join(rows.COLUMNS)}) VALUES ({_PLACES})
    ON CONFLICT (uid) DO UPDATE SET {_UPDATES}, update_time = now()
"""


class PostgresVideoStore:
    """The VideoStore over PostgreSQL."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def get(self, uid: str) -> Video | None:
        """See the port."""
        async with self._database.connection() as connection:
            record = await connection.fetchrow(f"SELECT {_ALL} FROM videos WHERE uid = $1", uid)
        return rows.video(record) if record is not None else None

    async def page(
        self, after: tuple[float, str] | None, limit: int, *, store: str = "", state: State | None = None
    ) -> Sequence[Video]:
        """See the port."""
        arguments: list[object] = [limit]
        conditions: list[str] = []

        def add(condition: str, *given: object) -> None:
            numbers = range(len(arguments) + 1, len(arguments) + 1 + len(given))
            arguments.extend(given)
            conditions.append(condition.format(*(f"${number}" for number in numbers)))

        if after is not None:
            add("(reported_at, uid) < ({}, {})", *after)
        if store:
            add("store = {}", store)
        if state is not None:
            # Spelt out where an index has the same condition: a parameter would hide it from the planner.
            add("state = {}" + (" AND state <> 'PROBED'" if state is not State.PROBED else ""), state.value)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                f"SELECT {_ALL} FROM videos {where} ORDER BY reported_at DESC, uid DESC LIMIT $1", *arguments
            )
        return [rows.video(record) for record in found]

    async def seen(self, alert: Alert) -> bool:
        """See the port."""
        async with self._database.connection() as connection:
            return await connection.fetchval(
                "SELECT EXISTS (SELECT 1 FROM inbox WHERE consumer = $1 AND message_id = ANY($2::text[]))",
                CONSUMER,
                [alert.event_id, _failure_mark(alert)],
            )

    async def record(self, alert: Alert, row: Video) -> bool:
        """See the port."""
        async with self._database.transaction() as connection:
            if row.state is not State.RETRYING and not await self._first(connection, alert, row):
                return False
            await connection.execute(_UPSERT, *rows.values(row))
            event = events.finished(row)
            if event is not None:
                await self._outbox.add(connection, event)
        return True

    async def retry(self, uid: str, event_id: str) -> Video:
        """See the port."""
        async with self._database.transaction() as connection:
            record = await connection.fetchrow(f"SELECT {_ALL} FROM videos WHERE uid = $1 FOR UPDATE", uid)
            if record is None:
                raise VideoNotFound(metadata={"uid": uid})
            row = rows.video(record)
            if row.state is not State.FAILED:
                raise VideoNotFailed(metadata={"uid": uid, "state": row.state.value})
            row = replace(row, state=State.RETRYING, attempts=0, effort=Effort(), event_id=event_id)
            await connection.execute(_UPSERT, *rows.values(row))
            await self._outbox.add(connection, events.reported_again(row, event_id))
            again = await connection.fetchrow(f"SELECT {_ALL} FROM videos WHERE uid = $1", uid)
        assert again is not None  # locked above
        return rows.video(again)

    @staticmethod
    async def _first(connection: Connection, alert: Alert, row: Video) -> bool:
        mark = alert.event_id if row.state is State.PROBED else _failure_mark(alert)
        return await first_time(connection, CONSUMER, mark)


def _failure_mark(alert: Alert) -> str:
    # A dead letter that is sent back has the same event id. It must be probed again after a failure (not after a
    # success), so a failure is marked for its entry in the stream alone.
    return f"{alert.event_id}@{alert.delivery}"
