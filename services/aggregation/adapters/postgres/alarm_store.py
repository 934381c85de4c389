"""`AlarmStore` and `OpenAlarmStore` on PostgreSQL."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from services.aggregation.adapters.nats.alarm_events import alarm_events
from services.aggregation.application.alarms.ports import AlarmFilter, OpenAlarms
from services.aggregation.domain.alarms.alarm import Alarm, AlarmEvent, Cause, Memory, Revocation, State
from services.aggregation.domain.alarms.rule import Audience, Severity
from services.aggregation.domain.errors import AlarmNotFound, AlarmNotRaised
from services.aggregation.domain.series import SeriesKey
from services.chassis.postgres import Database, Outbox

_COLUMNS: Final = """
a.id, a.rule, a.generation, a.kind, a.severity, a.series_id, a.building, a.room, a.sensor_type, a.device, a.unit,
a.state, a.message, a.value, a.last_value, a.extreme, a.peak, a.start_us, a.raised_us, a.updated_us, a.cleared_us,
a.acknowledged_at, a.acknowledged_by, a.note, a.cause, a.closed_by, a.close_reason, a.lasting,
a.historical, a.revoked_at, a.revoked_by, a.revoke_reason
"""


class PostgresAlarmStore:
    """The stored alarms. `outbox`: where it is told that one was closed; `committed` is called then."""

    def __init__(
        self, database: Database, outbox: Outbox | None = None, committed: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._committed = committed

    async def get(self, id_: str) -> Alarm:
        """See `AlarmStore`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM alarms a WHERE id = $1", _uuid(id_))
        if row is None:
            raise AlarmNotFound(id_)
        return alarm_of(row)

    async def list_alarms(self, wanted: AlarmFilter, before: tuple[int, str] | None, limit: int) -> list[Alarm]:
        """See `AlarmStore`."""
        conditions = ["true"]
        arguments: list[object] = [limit]
        for column in ("building", "room", "sensor_type", "rule"):
            if value := getattr(wanted, column):
                arguments.append(value)
                conditions.append(f"a.{column} = ${len(arguments)}")
        if wanted.states:
            arguments.append([int(state) for state in wanted.states])
            conditions.append(f"a.state = ANY(${len(arguments)}::int[])")
        if before is not None:
            arguments += before[0], _uuid(before[1])
            conditions.append(f"(a.start_us, a.id) < (${len(arguments) - 1}, ${len(arguments)})")
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_COLUMNS} FROM alarms a WHERE {" AND ".join(conditions)}
                ORDER BY a.start_us DESC, a.id DESC LIMIT $1
                """,
                *arguments,
            )
        return [alarm_of(row) for row in rows]

    async def acknowledge(self, id_: str, by: str, note: str) -> Alarm:
        """See `AlarmStore`. The owner of the series may change the alarm at the same time: either waits for the
        other's row, and neither touches what the other says."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM alarms a WHERE id = $1 FOR UPDATE", _uuid(id_))
            if row is None:
                raise AlarmNotFound(id_)
            state = State(row["state"])
            if state is State.RAISED:
                row = await connection.fetchrow(
                    f"""
                    UPDATE alarms a SET state = {State.ACKNOWLEDGED}, acknowledged_at = now(), acknowledged_by = $2,
                        note = $3
                    WHERE id = $1 RETURNING {_COLUMNS}
                    """,
                    row["id"],
                    by,
                    note,
                )
                assert row is not None
            elif state is not State.ACKNOWLEDGED:
                raise AlarmNotRaised(id_, state.name)
        return alarm_of(row)

    async def close(self, id_: str, by: str, reason: str, audience: Audience | None) -> Alarm:
        """See `AlarmStore`. Raises AlarmNotFound, AlarmNotRaised."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM alarms a WHERE id = $1 FOR UPDATE", _uuid(id_))
            if row is None:
                raise AlarmNotFound(id_)
            if row["state"] == State.CLEARED and row["cause"] == Cause.CLOSED_BY_HAND:
                return alarm_of(row)
            if row["state"] not in (State.RAISED, State.ACKNOWLEDGED):
                raise AlarmNotRaised(id_, State(row["state"]).name, "closed")
            row = await connection.fetchrow(
                f"""
                UPDATE alarms a SET state = {State.CLEARED}, cause = {Cause.CLOSED_BY_HAND}, closed_by = $2,
                    close_reason = $3, lasting = true,
                    cleared_us = greatest((extract(epoch FROM now()) * 1e6)::bigint, raised_us),
                    updated_us = greatest((extract(epoch FROM now()) * 1e6)::bigint, updated_us)
                WHERE id = $1 RETURNING {_COLUMNS}
                """,
                row["id"],
                by,
                reason,
            )
            assert row is not None
            alarm = alarm_of(row)
            if self._outbox is not None:
                await self._outbox.add_many(connection, alarm_events([AlarmEvent(alarm, audience, None)]))
        self._committed()
        return alarm

    async def open_alarms(self, partition: int) -> OpenAlarms:
        """See `OpenAlarmStore`."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            alarms = await connection.fetch(
                f"""
                SELECT {_COLUMNS} FROM alarms a JOIN series s ON s.id = a.series_id
                WHERE s.partition = $1 AND (a.state <> {State.CLEARED} OR a.lasting)
                """,
                partition,
            )
            memories = await connection.fetch(
                """
                SELECT m.series_id, m.generation, m.memory FROM alarm_memories m JOIN series s ON s.id = m.series_id
                WHERE s.partition = $1
                """,
                partition,
            )
        return OpenAlarms(
            [alarm_of(row) for row in alarms],
            [Memory(row["generation"], row["series_id"], row["memory"]) for row in memories],
        )

    async def cleared_alarms(self, series_id: int, since: int, until: int) -> Sequence[Alarm]:
        """See `OpenAlarmStore`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_COLUMNS} FROM alarms a
                WHERE a.series_id = $1 AND a.state = {State.CLEARED} AND a.start_us <= $3 AND a.cleared_us >= $2
                    AND a.cause <> {Cause.READING_AMENDED}
                """,
                series_id,
                since,
                until,
            )
        return [alarm_of(row) for row in rows]

    async def drop_expired(self, retention: timedelta, limit: int = 5000) -> None:
        """Drops alarms that were cleared longer ago than `retention` (event time), and memories of rules that are gone;
        a bounded number of each."""
        async with self._database.transaction() as connection:
            await connection.execute(
                f"""
                DELETE FROM alarms WHERE id IN (
                    SELECT id FROM alarms WHERE state = {State.CLEARED} AND NOT lasting
                        AND start_us < (extract(epoch FROM now() - $1::interval) * 1e6)::bigint
                        AND cleared_us < (extract(epoch FROM now() - $1::interval) * 1e6)::bigint
                    ORDER BY start_us LIMIT $2)
                """,
                retention,
                limit,
            )
            await connection.execute(
                """
                DELETE FROM alarm_memories m USING (
                    SELECT series_id, generation FROM alarm_memories
                    WHERE generation NOT IN (SELECT generation FROM alarm_rules) LIMIT $1) old
                WHERE m.series_id = old.series_id AND m.generation = old.generation
                """,
                limit,
            )


def _uuid(id_: str) -> UUID:
    try:
        return UUID(id_)
    except ValueError:
        raise AlarmNotFound(id_) from None


def alarm_of(row: asyncpg.Record) -> Alarm:
    """A row as an alarm."""
    return Alarm(
        id=str(row["id"]),
        rule=row["rule"],
        generation=row["generation"],
        kind=row["kind"],
        severity=Severity(row["severity"]),
        series_id=row["series_id"],
        key=SeriesKey(row["building"], row["room"], row["sensor_type"], row["device"]),
        unit=row["unit"],
        state=State(row["state"]),
        start=row["start_us"],
        update=row["updated_us"],
        message=row["message"],
        value=row["value"],
        last_value=row["last_value"],
        extreme=row["extreme"],
        peak=row["peak"],
        raised=row["raised_us"],
        cleared=row["cleared_us"],
        acknowledged=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"],
        note=row["note"],
        cause=Cause(row["cause"]),
        closed_by=row["closed_by"],
        close_reason=row["close_reason"],
        lasting=row["lasting"],
        historical=row["historical"],
        revocation=Revocation(row["revoked_at"], row["revoked_by"], row["revoke_reason"])
        if row["revoked_at"]
        else None,
    )
