"""Series and what is known of them, in rows: made where missing, and never taken back to older rules."""

from collections.abc import Sequence
from typing import Any, Final

from services.aggregation.adapters.postgres.stored_columns import counter_rules
from services.aggregation.application.partition.partition_store import Outdated, StoredSeries
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.windows.series_state import VERSION
from services.chassis.postgres import Connection

_TOGETHER: Final = 5_000
_SERIES: Final = """
SELECT s.id, s.building, s.room, s.sensor_type, s.device, s.kind, s.unit, s.interval_us, s.counter_policy,
    s.register_size, s.max_increase_per_hour, s.cautious, s.rounding_ratio, s.rounding_amount, s.own_rules,
    s.rules_revision, s.last_wins, s.left_us,
    st.state, st.version, st.steps, st.settled_us, st.interval_us AS state_interval_us, st.max_gap_us, st.frontiers
FROM series s LEFT JOIN series_state st ON st.series_id = s.id
"""
_REGISTER: Final = """
INSERT INTO series AS s (partition, building, room, sensor_type, device, kind, unit, interval_us, counter_policy,
    register_size, max_increase_per_hour, rounding_ratio, rounding_amount, own_rules, rules_revision, last_wins,
    cautious)
SELECT $1, * FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::bigint[], $9::int[],
    $10::double precision[], $11::double precision[], $12::double precision[], $13::double precision[],
    $14::boolean[], $15::bigint[], $16::boolean[], $17::boolean[])
ON CONFLICT (building, room, sensor_type, device) DO UPDATE SET
    partition = excluded.partition, cautious = s.cautious OR excluded.cautious
WHERE (s.partition, s.cautious) IS DISTINCT FROM (excluded.partition, s.cautious OR excluded.cautious)
"""
# Rooms and devices compare as bytes, so that all of the index for lists serves; with a part of it only, a building with
# many series would be read once for each.
_DESCRIBE: Final = """
UPDATE series s SET kind = n.kind, unit = n.unit, interval_us = n.interval_us, counter_policy = n.counter_policy,
    register_size = n.register_size, max_increase_per_hour = n.max_increase_per_hour,
    rounding_ratio = n.rounding_ratio, rounding_amount = n.rounding_amount, own_rules = n.own_rules,
    rules_revision = n.rules_revision, last_wins = n.last_wins
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::bigint[], $8::int[],
    $9::double precision[], $10::double precision[], $11::double precision[], $12::double precision[], $13::boolean[],
    $14::bigint[], $15::boolean[]
) AS n (building, room, sensor_type, device, kind, unit, interval_us, counter_policy, register_size,
    max_increase_per_hour, rounding_ratio, rounding_amount, own_rules, rules_revision, last_wins)
WHERE s.building = n.building AND s.sensor_type = n.sensor_type
    AND s.room COLLATE "C" = n.room AND s.device COLLATE "C" = n.device
    AND s.rules_revision <= n.rules_revision
    AND (s.kind, s.unit, s.interval_us, s.counter_policy, s.register_size, s.max_increase_per_hour, s.rounding_ratio,
        s.rounding_amount, s.own_rules, s.rules_revision, s.last_wins) IS DISTINCT FROM (n.kind, n.unit, n.interval_us,
        n.counter_policy, n.register_size, n.max_increase_per_hour, n.rounding_ratio, n.rounding_amount, n.own_rules,
        n.rules_revision, n.last_wins)
"""


async def register_series(
    connection: Connection, rules: Rules, partition: int, descriptors: Sequence[Descriptor]
) -> Sequence[StoredSeries]:
    """See `PartitionStore.register`."""
    columns = _columns(descriptors)
    cautious = [descriptor.counting.cautious for descriptor in descriptors]
    await connection.execute(_REGISTER, partition, *columns, cautious)
    await connection.execute(_DESCRIBE, *columns)
    found = await read_series(
        connection,
        rules,
        """
        JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (building, room, sensor_type, device)
            ON s.building = n.building AND s.sensor_type = n.sensor_type
            AND s.room COLLATE "C" = n.room AND s.device COLLATE "C" = n.device
        """,
        *columns[:4],
    )
    by_key = {stored.descriptor.key: stored for stored in found}
    return [by_key[descriptor.key] for descriptor in descriptors]


async def describe_series(connection: Connection, descriptors: Sequence[Descriptor]) -> None:
    """See `PartitionStore.describe`. Not all or nothing: it can be said again."""
    for first in range(0, len(descriptors), _TOGETHER):
        await connection.execute(_DESCRIBE, *_columns(descriptors[first : first + _TOGETHER]))


async def leave_series(connection: Connection, left: Sequence[tuple[int, int]], back: Sequence[int]) -> None:
    """See `PartitionStore.leave`."""
    await connection.execute(
        """
        UPDATE series s SET left_us = n.left_us FROM unnest($1::bigint[], $2::bigint[]) AS n (id, left_us)
        WHERE s.id = n.id
        """,
        [*(id_ for id_, _ in left), *back],
        [*(at for _, at in left), *(None for _ in back)],
    )


def _columns(descriptors: Sequence[Descriptor]) -> list[list[Any]]:
    """Identity, then what a newer revision replaces."""
    return [
        *(list(column) for column in zip(*(descriptor.key for descriptor in descriptors), strict=True)),
        [int(descriptor.kind) for descriptor in descriptors],
        [descriptor.unit for descriptor in descriptors],
        [descriptor.interval for descriptor in descriptors],
        [int(descriptor.counting.policy) for descriptor in descriptors],
        [descriptor.counting.register for descriptor in descriptors],
        [descriptor.counting.cap for descriptor in descriptors],
        [descriptor.counting.rounding_ratio for descriptor in descriptors],
        [descriptor.counting.rounding_amount for descriptor in descriptors],
        [descriptor.own for descriptor in descriptors],
        [descriptor.revision for descriptor in descriptors],
        [descriptor.last_wins for descriptor in descriptors],
    ]


async def read_series(connection: Connection, rules: Rules, where: str, *arguments: object) -> list[StoredSeries]:
    """Those that the condition chooses."""
    found: list[StoredSeries] = []
    for row in await connection.fetch(_SERIES + where, *arguments):
        key = SeriesKey(row["building"], row["room"], row["sensor_type"], row["device"])
        told = Kind(row["kind"]), row["unit"], row["interval_us"], counter_rules(row)
        descriptor = Descriptor(key, *told, row["own_rules"], row["rules_revision"], row["last_wins"])
        outdated = None
        if row["state"] is not None and (row["version"], tuple(row["steps"])) != (VERSION, rules.steps):
            outdated = Outdated(
                row["settled_us"], row["state_interval_us"], row["max_gap_us"], row["steps"], row["frontiers"]
            )
        state = None if outdated else row["state"]
        found.append(StoredSeries(row["id"], descriptor, state, outdated, row["left_us"]))
    return found
