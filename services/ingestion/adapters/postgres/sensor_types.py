"""Sensor types in rows, and their revisions."""

import asyncpg

from services.chassis.postgres import Connection
from services.ingestion.adapters.postgres.counter_rule_columns import RULES, rules_in, values_of
from services.ingestion.domain.catalogue import Kind, RepeatPolicy, SensorType

VALUES = f"id, kind, unit, min_value, max_value, expected_interval, {RULES}, last_wins"
COLUMNS = f"{VALUES}, revision"
TOLD = "format('%s|%s|%s', unit, min_value, max_value)"
"""What the others are to know of the values of a type, to compare with what they were told."""
# By the clock, so that it grows also beyond what was told before the database was brought back from a copy.
NEXT = "greatest(revision + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"


def sensor_type_values(entry: SensorType) -> tuple[object, ...]:
    """In the order of `VALUES`."""
    rules = values_of(entry.counter_rules)
    limits = entry.min_value, entry.max_value
    return entry.id, int(entry.kind), entry.unit, *limits, entry.expected_interval, *rules, entry.last_wins


def sensor_type_in(row: asyncpg.Record) -> SensorType:
    """The sensor type of a row with `COLUMNS`."""
    return SensorType(
        id=row["id"],
        kind=Kind(row["kind"]),
        unit=row["unit"],
        min_value=row["min_value"],
        max_value=row["max_value"],
        expected_interval=row["expected_interval"],
        counter_rules=rules_in(row),
        revision=row["revision"],
        repeat_policy=RepeatPolicy.LAST_WINS if row["last_wins"] else RepeatPolicy.FIRST_WINS,
    )


async def next_revision(connection: Connection, name: str) -> SensorType | None:
    """The sensor type in its next revision; None where it has gone. Until the transaction ends nobody else changes
    rules of it."""
    row = await connection.fetchrow(
        f"UPDATE sensor_types SET revision = {NEXT} WHERE id = $1 RETURNING {COLUMNS}", name
    )
    return None if row is None else sensor_type_in(row)
