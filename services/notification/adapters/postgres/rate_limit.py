"""The rate limit in PostgreSQL: exact over all replicas, because slots are only taken under the user's lock."""

from collections import Counter
from collections.abc import Sequence
from datetime import MAXYEAR, datetime, timedelta

from services.chassis.postgres import Connection
from services.notification.domain.rate import RateLimit, Slots

User = tuple[str, str]
"""Tenant and user."""

_SEED = 7_041_846_352
"""Keeps these advisory locks apart from others in the database."""


async def lock(connection: Connection, user: User) -> None:
    """Waits for the user's lock; it is held until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", "/".join(user), _SEED)


async def try_lock(connection: Connection, users: Sequence[User]) -> set[User]:
    """Takes the locks that are free; the others are left to whoever holds them: nobody waits in a circle."""
    rows = await connection.fetch(
        """
        SELECT tenant, recipient FROM unnest($1::text[], $2::text[]) AS u (tenant, recipient)
        WHERE pg_try_advisory_xact_lock(hashtextextended(tenant || '/' || recipient, $3))
        """,
        [tenant for tenant, _ in users],
        [recipient for _, recipient in users],
        _SEED,
    )
    return {(row["tenant"], row["recipient"]) for row in rows}


async def slots(connection: Connection, users: Sequence[User], limit: RateLimit, now: datetime) -> dict[User, Slots]:
    """What is taken by each user, under their locks. A statement of its own, so that it sees what was committed before
    the locks were had."""
    rows = await connection.fetch(
        """
        SELECT s.tenant, s.recipient, s.at FROM unnest($1::text[], $2::text[]) AS u (tenant, recipient)
        JOIN rate_slots s ON s.tenant = u.tenant AND s.recipient = u.recipient AND s.at > $3
        """,
        [tenant for tenant, _ in users],
        [recipient for _, recipient in users],
        now - limit.period,
    )
    completed: dict[User, list[datetime]] = {user: [] for user in users}
    under_way: Counter[User] = Counter()
    for row in rows:
        user = (row["tenant"], row["recipient"])
        if row["at"].year == MAXYEAR:
            under_way[user] += 1
        else:
            completed[user].append(row["at"])
    return {user: Slots(tuple(times), under_way[user]) for user, times in completed.items()}


async def take(connection: Connection, lease: str, deliveries: Sequence[tuple[str, User]]) -> None:
    """Takes a slot for each delivery; it counts until it is given back, or for a period after its completion."""
    await connection.execute(
        """
        INSERT INTO rate_slots (delivery, lease, tenant, recipient)
        SELECT delivery, $1, tenant, recipient
        FROM unnest($2::uuid[], $3::text[], $4::text[]) AS s (delivery, tenant, recipient)
        """,
        lease,
        [id_ for id_, _ in deliveries],
        [user[0] for _, user in deliveries],
        [user[1] for _, user in deliveries],
    )


async def complete(connection: Connection, claims: Sequence[tuple[str, str, bool]], now: datetime) -> None:
    """Ends the slots of (delivery, lease): those that were sent count for a period from now, the others not at all."""
    sent = [claim for claim in claims if claim[2]]
    failed = [claim for claim in claims if not claim[2]]
    if sent:
        await connection.execute(
            """
            UPDATE rate_slots s SET at = $3 FROM unnest($1::uuid[], $2::uuid[]) AS c (delivery, lease)
            WHERE s.delivery = c.delivery AND s.lease = c.lease
            """,
            [id_ for id_, _, _ in sent],
            [lease for _, lease, _ in sent],
            now,
        )
    if failed:
        await connection.execute(
            """
            DELETE FROM rate_slots s USING unnest($1::uuid[], $2::uuid[]) AS c (delivery, lease)
            WHERE s.delivery = c.delivery AND s.lease = c.lease
            """,
            [id_ for id_, _, _ in failed],
            [lease for _, lease, _ in failed],
        )


async def crashed(connection: Connection, deliveries: Sequence[str], now: datetime) -> None:
    """Ends the slots of attempts that never reported: they may have been sent, so they count."""
    await connection.execute(
        "UPDATE rate_slots SET at = $2 WHERE delivery = ANY($1::uuid[]) AND at = 'infinity'", deliveries, now
    )


async def prune(connection: Connection, older_than: datetime, limit: int = 5000) -> None:
    """Deletes slots that count no more."""
    await connection.execute(
        """
        DELETE FROM rate_slots WHERE (delivery, lease) IN (
            SELECT delivery, lease FROM rate_slots WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        """,
        older_than,
        limit,
    )


PRUNE_AFTER = timedelta(minutes=5)
