"""Addresses of users, each tenant's in its own schema."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from services.chassis.ids import new_id
from services.chassis.postgres import Database
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.delivery import Endpoint
from services.notification.domain.notification import ChannelName

_FIRST = "00000000-0000-0000-0000-000000000000"
_REGISTER = """
    INSERT INTO TENANT.endpoints AS e (id, recipient, channel, address, address_digest, secret, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (recipient, channel, address_digest) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING e.id::text AS id, e.secret, e.updated_at, e.id = $1 AS new
"""
_PAGE = """
    SELECT id::text AS id, channel, address, secret, updated_at FROM TENANT.endpoints
    WHERE recipient = $1 AND id > $2 ORDER BY id LIMIT $3
"""
_DELETE = "DELETE FROM TENANT.endpoints WHERE recipient = $1 AND id = $2"
_CHANNELS = "SELECT DISTINCT recipient, channel FROM TENANT.endpoints WHERE recipient = ANY($1::text[])"


class PostgresEndpoints:
    """EndpointStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def register(
        self, tenant: str, user: str, channel: ChannelName, address: str, secret: str
    ) -> tuple[Endpoint, datetime, bool]:
        """See EndpointStore."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                in_tenant(_REGISTER, tenant),
                new_id(),
                user,
                channel,
                address,
                hashlib.sha256(address.encode()).digest(),
                secret,
                await self._clock.now(connection),
            )
        assert row is not None
        return Endpoint(row["id"], channel, address, row["secret"]), row["updated_at"], row["new"]

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """See EndpointStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(in_tenant(_PAGE, tenant), user, after or _FIRST, limit)
        return [
            (Endpoint(row["id"], ChannelName(row["channel"]), row["address"], row["secret"]), row["updated_at"])
            for row in found
        ]

    async def delete(self, tenant: str, user: str, id_: str) -> bool:
        """See EndpointStore."""
        if not is_own_id(id_):
            return False
        async with self._database.connection() as connection:
            return await connection.execute(in_tenant(_DELETE, tenant), user, id_) == "DELETE 1"

    async def channels(self, users: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[ChannelName]]:
        """See EndpointStore."""
        by_tenant: dict[str, set[str]] = defaultdict(set)
        for tenant, user in users:
            by_tenant[tenant].add(user)
        found: dict[tuple[str, str], set[ChannelName]] = defaultdict(set)
        async with self._database.connection() as connection:
            for tenant, names in by_tenant.items():
                for row in await connection.fetch(in_tenant(_CHANNELS, tenant), sorted(names)):
                    found[tenant, row["recipient"]].add(ChannelName(row["channel"]))
        return {user: frozenset(channels) for user, channels in found.items()}
