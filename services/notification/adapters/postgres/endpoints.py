"""Addresses of users, each tenant's in its own schema."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database
from services.notification.adapters.postgres.addresses import contacts_of
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.channel_plan import Contacts
from services.notification.domain.delivery import Endpoint
from services.notification.domain.notification import ChannelName

_FIRST = "00000000-0000-0000-0000-000000000000"
_INSERT = """
    INSERT INTO TENANT.endpoints AS e (id, recipient, channel, address, address_digest, secret, updated_at)
    SELECT id, recipient, channel, address, address_digest, secret, $7
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[])
        AS n (id, recipient, channel, address, address_digest, secret)
    ORDER BY channel, address_digest, recipient
"""
_REGISTERED = "RETURNING e.id::text AS id, e.recipient, e.channel, e.address, e.secret"
_REGISTER = f"""
    {_INSERT} ON CONFLICT (recipient, channel, address_digest) DO UPDATE SET updated_at = excluded.updated_at
    {_REGISTERED}
"""
_REGISTER_TOKENS = f"""
    {_INSERT} ON CONFLICT (address_digest) WHERE channel = 'FCM' DO UPDATE SET
        id = CASE WHEN e.recipient = excluded.recipient THEN e.id ELSE excluded.id END,
        recipient = excluded.recipient, updated_at = excluded.updated_at
    {_REGISTERED}
"""
"""A token that another user of the tenant has registered moves: its device has changed hands."""
_PAGE = """
    SELECT id::text AS id, channel, address, secret, updated_at FROM TENANT.endpoints
    WHERE recipient = $1 AND id > $2 ORDER BY id LIMIT $3
"""
_DELETE = "DELETE FROM TENANT.endpoints WHERE recipient = $1 AND id = $2"


@dataclass(frozen=True, slots=True)
class _Address:
    tenant: str
    user: str
    channel: ChannelName
    address: str
    secret: str

    @property
    def key(self) -> tuple[str, ChannelName, str]:
        """What there is one of in the tenant's schema."""
        return self.user, self.channel, self.address


class PostgresEndpoints:
    """EndpointStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._registering = database.group_commit("endpoints", self._register)

    async def register(
        self, tenant: str, user: str, channel: ChannelName, address: str, secret: str
    ) -> tuple[Endpoint, datetime, bool]:
        """See EndpointStore."""
        return await self._registering.submit(_Address(tenant, user, channel, address, secret))

    async def _register(
        self, connection: Connection, addresses: Sequence[_Address]
    ) -> list[tuple[Endpoint, datetime, bool]]:
        now = await self._clock.now(connection)
        kept: dict[tuple[str, tuple[str, ChannelName, str]], tuple[Endpoint, bool]] = {}
        last = {(one.tenant, one.address): one.user for one in addresses if one.channel is ChannelName.FCM}
        groups: dict[tuple[str, bool], dict[tuple[str, ChannelName, str], tuple[str, _Address]]] = defaultdict(dict)
        for one in addresses:
            token = one.channel is ChannelName.FCM
            if token and last[one.tenant, one.address] != one.user:
                # Registered, and moved by a later one of the same group.
                kept[one.tenant, one.key] = Endpoint(new_id(), one.channel, one.address, one.secret), True
            else:
                # Whoever names the same again finds what the first has registered.
                groups[one.tenant, token].setdefault(one.key, (new_id(), one))
        for tenant, token in sorted(groups):
            group = groups[tenant, token]
            found = await connection.fetch(
                in_tenant(_REGISTER_TOKENS if token else _REGISTER, tenant),
                [id_ for id_, _ in group.values()],
                [one.user for _, one in group.values()],
                [one.channel for _, one in group.values()],
                [one.address for _, one in group.values()],
                [hashlib.sha256(one.address.encode()).digest() for _, one in group.values()],
                [one.secret for _, one in group.values()],
                now,
            )
            for row in found:
                channel = ChannelName(row["channel"])
                key = row["recipient"], channel, row["address"]
                endpoint = Endpoint(row["id"], channel, row["address"], row["secret"])
                kept[tenant, key] = endpoint, endpoint.id == group[key][0]
        outcomes: list[tuple[Endpoint, datetime, bool]] = []
        for one in addresses:
            endpoint, new = kept[one.tenant, one.key]
            outcomes.append((endpoint, now, new))
            kept[one.tenant, one.key] = endpoint, False
        return outcomes

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

    async def contacts(self, users: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Contacts]:
        """See EndpointStore."""
        by_tenant: dict[str, set[str]] = defaultdict(set)
        for tenant, user in users:
            by_tenant[tenant].add(user)
        found: dict[tuple[str, str], Contacts] = {}
        async with self._database.connection() as connection:
            for tenant, names in by_tenant.items():
                contacts = await contacts_of(connection, tenant, sorted(names))
                found |= {(tenant, user): known for user, known in contacts.items()}
        return found
