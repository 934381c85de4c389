"""`LeaseStore` on PostgreSQL. Its clock decides about expiry; the epoch, raised by every take-over, decides about
commits."""

from collections.abc import Sequence
from datetime import timedelta

from services.aggregation.application.partition.lease_store import Lease, Standing
from services.chassis.postgres import Database


class PostgresLeaseStore:
    """Leases of `partitions` partitions; a lease and a sign of life last for `ttl`."""

    def __init__(self, database: Database, *, partitions: int, ttl: timedelta) -> None:
        self._database = database
        self._partitions = partitions
        self._ttl = ttl

    async def prepare(self) -> None:
        """Makes the rows of the partitions."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO partitions (partition) SELECT generate_series(0, $1 - 1) ON CONFLICT DO NOTHING",
                self._partitions,
            )

    async def beat(self, owner: str, held: Sequence[Lease]) -> Standing:
        """See `LeaseStore`."""
        async with self._database.transaction() as connection:
            await connection.execute(
                """
                INSERT INTO replicas (owner, seen_at) VALUES ($1, clock_timestamp())
                ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at
                """,
                owner,
            )
            renewed = await connection.fetch(
                """
                UPDATE partitions p SET expires_at = clock_timestamp() + $4
                FROM unnest($2::int[], $3::bigint[]) AS h (partition, epoch)
                WHERE p.partition = h.partition AND p.epoch = h.epoch AND p.owner = $1 RETURNING p.partition
                """,
                owner,
                [lease.partition for lease in held],
                [lease.epoch for lease in held],
                self._ttl,
            )
            counts = await connection.fetchrow(
                """
                SELECT (SELECT count(*) FROM replicas WHERE seen_at > clock_timestamp() - $1::interval) AS replicas,
                    (SELECT count(*) FROM partitions WHERE partition < $2
                        AND (owner IS NULL OR expires_at < clock_timestamp())) AS free
                """,
                self._ttl,
                self._partitions,
            )
        ours = {row["partition"] for row in renewed}
        assert counts is not None
        return Standing([lease for lease in held if lease.partition in ours], counts["replicas"], counts["free"])

    async def acquire(self, owner: str, limit: int) -> Sequence[Lease]:
        """See `LeaseStore`."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                """
                UPDATE partitions p SET owner = $1, epoch = p.epoch + 1, expires_at = clock_timestamp() + $3
                FROM (
                    SELECT partition FROM partitions
                    WHERE partition < $4 AND (owner IS NULL OR expires_at < clock_timestamp())
                    ORDER BY partition LIMIT $2 FOR UPDATE SKIP LOCKED
                ) free
                WHERE p.partition = free.partition RETURNING p.partition, p.epoch
                """,
                owner,
                limit,
                self._ttl,
                self._partitions,
            )
        return [Lease(row["partition"], owner, row["epoch"]) for row in rows]

    async def release(self, leases: Sequence[Lease]) -> None:
        """See `LeaseStore`."""
        async with self._database.connection() as connection:
            await connection.execute(
                """
                UPDATE partitions p SET owner = NULL, expires_at = '-infinity'
                FROM unnest($1::int[], $2::bigint[], $3::text[]) AS h (partition, epoch, owner)
                WHERE p.partition = h.partition AND p.epoch = h.epoch AND p.owner = h.owner
                """,
                [lease.partition for lease in leases],
                [lease.epoch for lease in leases],
                [lease.owner for lease in leases],
            )

    async def leave(self, owner: str) -> None:
        """See `LeaseStore`."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM replicas WHERE owner = $1", owner)
            await connection.execute("DELETE FROM replicas WHERE seen_at < clock_timestamp() - interval '1 day'")
