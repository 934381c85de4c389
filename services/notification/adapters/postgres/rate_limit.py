"""The rate limit in PostgreSQL: exact over all replicas, because slots are only taken under the user's lock."""

from collections import Counter
from collections.abc import Sequence
from datetime import MAXYEAR, datetime, timedelta

from services.chassis.postgres import Connection
from services.notification.domain.rate_limit import RateLimit, Slots

User = tuple[str, str]
"""Tenant and user."""

_SEED = 7_041_846_352
"""Keeps these advisory locks apart from others in the database."""

_GIVEN = """
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS c (delivery, tenant, recipient)
    WHERE s.tenant = c.tenant AND s.recipient = c.recipient AND s.delivery = c.delivery
"""


async def lock(connection: Connection, user: User) -> None:
    """Waits for the user's lock; it is held until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", "/".join(user), _SEED)


async def try_lock(connection: Connection, users: Sequence[User]) -> tuple[set[User], datetime]:
    """Takes the locks that are free; the others are left to whoever holds them: nobody waits in a circle. Tells the
    server's time by the way."""
    row = await connection.fetchrow(
        """
        SELECT clock_timestamp() AS now, ARRAY(
            SELECT place FROM unnest($1::text[]) WITH ORDINALITY AS u (name, place)
            WHERE pg_try_advisory_xact_lock(hashtextextended(name, $2))
        ) AS places
        """,
        ["/".join(user) for user in users],
        _SEED,
    )
    assert row is not None
    return {users[place - 1] for place in row["places"]}, row["now"]


async def slots(connection: Connection, users: Sequence[User], limit: RateLimit, now: datetime) -> dict[User, Slots]:
    """What is taken by each user, under their locks. A statement of its own, so that it sees what was committed before
    the locks were had. What was attempted of a notification at one time, at several addresses, counts once."""
    rows = await connection.fetch(
        """
        SELECT s.tenant, s.recipient, max(s.at) AS at FROM unnest($1::text[], $2::text[]) AS u (tenant, recipient)
        JOIN rate_slots s ON s.tenant = u.tenant AND s.recipient = u.recipient AND s.at > $3
        GROUP BY s.tenant, s.recipient, s.notification, s.lease
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


async def crashed(connection: Connection, deliveries: Sequence[tuple[str, User]], now: datetime) -> None:
    """Ends the slots of attempts that never reported: they may have been sent, so they count."""
    await connection.execute(
        f"UPDATE rate_slots s SET at = $4 {_GIVEN} AND s.at = 'infinity'", *_columns(deliveries), now
    )


async def give_back(connection: Connection, lease_of: Sequence[tuple[str, User, str]]) -> None:
    """Gives back the slots of (delivery, user, lease) that nothing was sent with."""
    await connection.execute(
        """
        DELETE FROM rate_slots s
        USING unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) AS c (delivery, tenant, recipient, lease)
        WHERE s.tenant = c.tenant AND s.recipient = c.recipient AND s.delivery = c.delivery AND s.lease = c.lease
            AND s.at = 'infinity'
        """,
        *_columns([(id_, user) for id_, user, _ in lease_of]),
        [lease for _, _, lease in lease_of],
    )


async def prune(connection: Connection, older_than: datetime, limit: int) -> int:
    """Deletes at most `limit` slots that count no more; how many it deleted."""
    deleted = await connection.execute(
        """
        DELETE FROM rate_slots WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM rate_slots WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
        ))
        """,
        older_than,
        limit,
    )
    return int(deleted.split()[-1])


def _columns(deliveries: Sequence[tuple[str, User]]) -> tuple[list[str], list[str], list[str]]:
    return (
        [id_ for id_, _ in deliveries],
        [tenant for _, (tenant, _) in deliveries],
        [recipient for _, (_, recipient) in deliveries],
    )


PRUNE_AFTER = timedelta(minutes=5)
