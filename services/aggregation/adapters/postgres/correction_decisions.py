"""Decisions on corrections in PostgreSQL: what is asked for (`DecisionQueue`), and what owners and readers read."""

from collections.abc import Mapping, Sequence

from services.aggregation.adapters.postgres.priority_mailbox import CHANNEL
from services.aggregation.adapters.postgres.value_limits import read_limits
from services.aggregation.application.partition.decision_request import AskedDecision, DecideCorrection
from services.aggregation.domain.counters.correction import Decision
from services.chassis.postgres import Connection, Database
from services.chassis.value_limits import ValueLimits


async def read_decisions(connection: Connection, series_ids: Sequence[int]) -> Mapping[int, Mapping[int, Decision]]:
    """By series id and event time."""
    found: dict[int, dict[int, Decision]] = {}
    rows = await connection.fetch(
        """
        SELECT series_id, time_us, kind, value FROM correction_decisions
        WHERE series_id = ANY($1::bigint[]) AND NOT withdrawn
        """,
        series_ids,
    )
    for series_id, time, kind, value in rows:
        found.setdefault(series_id, {})[time] = Decision(kind, value or 0.0)
    return found


async def withdraw(connection: Connection, series_id: int, time: int) -> bool:
    """Somebody replaces the reading: what would hide the new value holds no longer. Whether there was anything."""
    return await connection.fetchval(
        """
        WITH gone AS (
            UPDATE correction_decisions SET withdrawn = true
            WHERE series_id = $1 AND time_us = $2 AND kind <> 'RESET' AND NOT withdrawn RETURNING 1
        )
        SELECT EXISTS (SELECT FROM gone)
        """,
        series_id,
        time,
    )


class PostgresDecisionQueue:
    """See `DecisionQueue`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, command: DecideCorrection) -> AskedDecision | None:
        """See `DecisionQueue`."""
        series_id, time = command.place
        kind, value = command.decision.kind, command.decision.value if command.decision.kind == "VALUE" else None
        async with self._database.transaction() as connection:
            partition = await connection.fetchval(
                "SELECT partition FROM series WHERE id = $1 AND building = $2 AND room = $3 FOR UPDATE",
                series_id,
                command.building,
                command.room,
            )
            known = await connection.fetchrow(
                """
                SELECT kind, value FROM correction_decisions
                WHERE series_id = $1 AND time_us = $2 AND NOT withdrawn
                """,
                series_id,
                time,
            )
            if known is not None and partition is not None and (known["kind"], known["value"]) == (kind, value):
                return AskedDecision(None)
            kept = await connection.fetchval(
                """
                INSERT INTO correction_decisions AS d
                    (series_id, time_us, kind, value, author, reason, was_kind, was_value, was_level)
                SELECT series_id, time_us, $3, $4, $5, $6, kind, value, level FROM (
                    SELECT series_id, time_us, kind, value, level FROM corrections
                    WHERE series_id = $1 AND time_us = $2
                    UNION ALL
                    SELECT series_id, time_us, was_kind, was_value, was_level FROM correction_decisions
                    WHERE series_id = $1 AND time_us = $2
                    LIMIT 1
                ) was
                WHERE $7::int IS NOT NULL
                ON CONFLICT (series_id, time_us) DO UPDATE SET kind = excluded.kind, value = excluded.value,
                    author = excluded.author, reason = excluded.reason, withdrawn = false, create_time = now()
                RETURNING 1
                """,
                series_id,
                time,
                kind,
                value,
                command.author,
                command.reason,
                partition,
            )
            if kept is None:
                return None
            await connection.execute("UPDATE series SET decided = true WHERE id = $1 AND NOT decided", series_id)
            entry = await connection.fetchval(
                """
                INSERT INTO recomputations (partition, series_id, end_us, include_too_late, amends)
                VALUES ($1, $2, $3, false, true) RETURNING id
                """,
                partition,
                series_id,
                time + 1,
            )
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(partition))
        return AskedDecision(entry)

    async def limits(self, command: DecideCorrection) -> ValueLimits | None:
        """See `DecisionQueue`."""
        series_id, time = command.place
        async with self._database.connection() as connection:
            return await read_limits(
                connection,
                """
                s.id = $1 AND s.building = $2 AND s.room = $3 AND (
                    EXISTS (SELECT FROM corrections WHERE series_id = $1 AND time_us = $4)
                    OR EXISTS (SELECT FROM correction_decisions WHERE series_id = $1 AND time_us = $4)
                )
                """,
                series_id,
                command.building,
                command.room,
                time,
            )

    async def done(self, entry: int) -> int | None:
        """See `DecisionQueue`."""
        async with self._database.connection() as connection:
            return await connection.fetchval(
                "SELECT changed FROM recomputations WHERE id = $1 AND done_time IS NOT NULL", entry
            )
