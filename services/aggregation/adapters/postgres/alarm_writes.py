"""How what is said about alarms is written, inside the transaction of what was evaluated."""

from collections.abc import Sequence
from typing import Final

from services.aggregation.domain.alarms.alarm import (
    DISPROVED,
    OF_NO_VALUE,
    Alarm,
    AlarmChanges,
    AlarmEvent,
    Disproved,
    Memory,
    Revoked,
    State,
)
from services.chassis.postgres import Connection


async def write_alarms(connection: Connection, changes: AlarmChanges) -> Sequence[AlarmEvent]:
    """All of it; returns what is to be told. Acknowledgements stay, and so does what was closed by hand: of that
    nothing is told any more."""
    closed = await _last_of_closed(connection, changes.changed)
    if changes.forgotten:
        await connection.execute("DELETE FROM alarms WHERE id = ANY($1::text[]::uuid[])", changes.forgotten)
    if changes.new:
        await _insert(connection, changes.new)
    if changes.changed:
        await _update(connection, changes.changed)
    if changes.revoked:
        await _revoke(connection, changes.revoked)
    if changes.disproved:
        await _disprove(connection, changes.disproved)
    if changes.memories:
        await _remember(connection, changes.memories)
    return [event for event in changes.events if event.alarm.id not in closed]


async def _last_of_closed(connection: Connection, changed: Sequence[Alarm]) -> set[str]:
    """Conditions that end now of alarms that were closed by hand while they were met."""
    ended = [alarm.id for alarm in changed if alarm.state is State.CLEARED]
    if not ended:
        return set()
    found = await connection.fetch(
        "UPDATE alarms SET lasting = false WHERE id = ANY($1::text[]::uuid[]) AND lasting RETURNING id::text", ended
    )
    return {row["id"] for row in found}


async def _insert(connection: Connection, alarms: Sequence[Alarm]) -> None:
    await connection.execute(
        """
        INSERT INTO alarms (id, rule, generation, kind, severity, series_id, building, room, sensor_type, device, unit,
            state, message, value, last_value, extreme, peak, start_us, raised_us, updated_us, cleared_us, cause,
            historical)
        SELECT * FROM unnest($1::text[]::uuid[], $2::text[], $3::bigint[], $4::text[], $5::smallint[], $6::bigint[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::smallint[], $13::text[], $14::float8[],
            $15::float8[], $16::float8[], $17::float8[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[],
            $22::smallint[], $23::boolean[])
        ON CONFLICT (id) DO NOTHING
        """,
        [alarm.id for alarm in alarms],
        [alarm.rule for alarm in alarms],
        [alarm.generation for alarm in alarms],
        [alarm.kind for alarm in alarms],
        [int(alarm.severity) for alarm in alarms],
        [alarm.series_id for alarm in alarms],
        *([part(alarm) for alarm in alarms] for part in _PLACE),
        [alarm.unit for alarm in alarms],
        [int(alarm.state) for alarm in alarms],
        [alarm.message for alarm in alarms],
        [alarm.value for alarm in alarms],
        [alarm.last_value for alarm in alarms],
        [alarm.extreme for alarm in alarms],
        [alarm.peak for alarm in alarms],
        [alarm.start for alarm in alarms],
        [alarm.raised for alarm in alarms],
        [alarm.update for alarm in alarms],
        [alarm.cleared for alarm in alarms],
        [int(alarm.cause) for alarm in alarms],
        [alarm.historical for alarm in alarms],
    )


def _building(alarm: Alarm) -> str:
    return alarm.key.building


def _room(alarm: Alarm) -> str:
    return alarm.key.room


def _sensor_type(alarm: Alarm) -> str:
    return alarm.key.sensor_type


def _device(alarm: Alarm) -> str:
    return alarm.key.device


_PLACE: Final = (_building, _room, _sensor_type, _device)


async def _update(connection: Connection, alarms: Sequence[Alarm]) -> None:
    """A cleared alarm is cleared, a pending one is raised; one that was acknowledged meanwhile is not raised again,
    and one that was closed by hand stays as it was then."""
    await connection.execute(
        f"""
        UPDATE alarms a SET
            state = CASE WHEN n.state = {State.CLEARED} OR a.state = {State.PENDING} THEN n.state ELSE a.state END,
            severity = n.severity, message = n.message, value = n.value, last_value = n.last_value,
            extreme = n.extreme, peak = n.peak, raised_us = n.raised, updated_us = n.updated, cleared_us = n.cleared,
            cause = n.cause, historical = n.historical
        FROM unnest($1::text[]::uuid[], $2::smallint[], $3::text[], $4::float8[], $5::float8[], $6::float8[],
            $7::float8[], $8::bigint[], $9::bigint[], $10::bigint[], $11::smallint[], $12::smallint[],
            $13::boolean[])
            AS n (id, state, message, value, last_value, extreme, peak, raised, updated, cleared, severity, cause,
            historical)
        WHERE a.id = n.id AND a.state <> {State.CLEARED}
        """,
        [alarm.id for alarm in alarms],
        [int(alarm.state) for alarm in alarms],
        [alarm.message for alarm in alarms],
        [alarm.value for alarm in alarms],
        [alarm.last_value for alarm in alarms],
        [alarm.extreme for alarm in alarms],
        [alarm.peak for alarm in alarms],
        [alarm.raised for alarm in alarms],
        [alarm.update for alarm in alarms],
        [alarm.cleared for alarm in alarms],
        [int(alarm.severity) for alarm in alarms],
        [int(alarm.cause) for alarm in alarms],
        [alarm.historical for alarm in alarms],
    )


async def _revoke(connection: Connection, revoked: Sequence[Revoked]) -> None:
    """By whom and why is what was said last of the reading, in this transaction or before."""
    await connection.execute(
        """
        UPDATE alarms a SET revoked_at = CASE WHEN n.reading IS NOT NULL THEN now() END,
            revoked_by = coalesce(said.author, ''), revoke_reason = coalesce(said.reason, '')
        FROM unnest($1::text[]::uuid[], $2::bigint[], $3::bigint[]) AS n (id, series_id, reading)
        LEFT JOIN LATERAL (
            SELECT author, reason, create_time FROM amendments
            WHERE series_id = n.series_id AND time_us = n.reading AND outcome = 1
            UNION ALL
            SELECT author, reason, create_time FROM correction_decisions
            WHERE series_id = n.series_id AND time_us = n.reading
            ORDER BY create_time DESC LIMIT 1
        ) said ON true
        WHERE a.id = n.id
        """,
        [one.alarm for one in revoked],
        [one.series_id for one in revoked],
        [one.reading for one in revoked],
    )


async def _disprove(connection: Connection, disproved: Sequence[Disproved]) -> None:
    """What readings have raised; silence and windows are none of their values."""
    await connection.execute(
        """
        UPDATE alarms a SET revoked_at = now(), revoke_reason = $5
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (series_id, first, last)
        WHERE a.series_id = n.series_id AND a.raised_us BETWEEN n.first AND n.last AND a.start_us <= n.last
            AND a.revoked_at IS NULL AND NOT a.kind = ANY($4::text[])
        """,
        [one.series_id for one in disproved],
        [one.first for one in disproved],
        [one.last for one in disproved],
        OF_NO_VALUE,
        DISPROVED,
    )


async def _remember(connection: Connection, memories: Sequence[Memory]) -> None:
    gone = [memory for memory in memories if not memory.values]
    if gone:
        await connection.execute(
            """
            DELETE FROM alarm_memories m USING unnest($1::bigint[], $2::bigint[]) AS n (series_id, generation)
            WHERE m.series_id = n.series_id AND m.generation = n.generation
            """,
            [memory.series_id for memory in gone],
            [memory.generation for memory in gone],
        )
    kept = [memory for memory in memories if memory.values]
    if kept:
        # The lengths differ, which arrays of arrays cannot: one array, cut by offsets.
        ends: list[int] = []
        values: list[float] = []
        for memory in kept:
            values += memory.values
            ends.append(len(values))
        await connection.execute(
            """
            INSERT INTO alarm_memories (series_id, generation, memory)
            SELECT n.series_id, n.generation, ($5::float8[])[n.first : n.last]
            FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[]) AS n (series_id, generation, first, last)
            ON CONFLICT (series_id, generation) DO UPDATE SET memory = excluded.memory
            """,
            [memory.series_id for memory in kept],
            [memory.generation for memory in kept],
            [end - len(memory.values) + 1 for memory, end in zip(kept, ends, strict=True)],
            ends,
            values,
        )
