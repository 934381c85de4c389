"""Addresses of users, each tenant's in its own schema."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.addresses import contacts_of
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.channel_plan import Contacts
from services.notification.domain.delivery import MOST_OF_USER, Endpoint
from services.notification.domain.errors import EndpointLimit, EndpointNotFound, NotSigned, check_version
from services.notification.domain.notification import ChannelName

_FIRST = "00000000-0000-0000-0000-000000000000"
_COLUMNS = "e.channel, e.address, e.secret, e.former_secret, e.former_secret_until, e.version"
_INSERT = """
    INSERT INTO TENANT.endpoints AS e (id, recipient, channel, address, address_digest, secret, updated_at)
    SELECT id, recipient, channel, address, address_digest, secret, $7 FROM (
        SELECT n.*, k.id IS NOT NULL AS known,
            row_number() OVER (PARTITION BY n.recipient, k.id IS NOT NULL ORDER BY n.id)
                + (SELECT count(*) FROM TENANT.endpoints o WHERE o.recipient = n.recipient) AS place
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[])
            AS n (id, recipient, channel, address, address_digest, secret)
        LEFT JOIN TENANT.endpoints k USING (recipient, channel, address_digest)
    ) AS given
    WHERE known OR place <= $8
    ORDER BY channel, address_digest, recipient
"""
_REGISTERED = "RETURNING e.id::text AS id, e.recipient, " + _COLUMNS
_REGISTER = f"""
    {_INSERT} ON CONFLICT (recipient, channel, address_digest) DO UPDATE SET
        updated_at = excluded.updated_at, version = e.version + 1
    {_REGISTERED}
"""
_REGISTER_TOKENS = f"""
    {_INSERT} ON CONFLICT (address_digest) WHERE channel = 'FCM' DO UPDATE SET
        id = CASE WHEN e.recipient = excluded.recipient THEN e.id ELSE excluded.id END,
        version = CASE WHEN e.recipient = excluded.recipient THEN e.version + 1 ELSE 1 END,
        recipient = excluded.recipient, updated_at = excluded.updated_at
    {_REGISTERED}
"""
"""A token that another user of the tenant has registered moves: its device has changed hands."""
_PAGE = f"""
    SELECT id::text AS id, {_COLUMNS}, updated_at FROM TENANT.endpoints e
    WHERE recipient = $1 AND id > $2 ORDER BY id LIMIT $3
"""
_LOCK = "SELECT version, channel FROM TENANT.endpoints WHERE recipient = $1 AND id = $2 FOR UPDATE"
_ROTATE = f"""
    UPDATE TENANT.endpoints e SET
        former_secret = secret, secret = $3, former_secret_until = $4, updated_at = $5, version = version + 1
    WHERE recipient = $1 AND id = $2 RETURNING id::text AS id, {_COLUMNS}
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
    ) -> list[tuple[Endpoint, datetime, bool] | DomainError]:
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
                MOST_OF_USER,
            )
            for row in found:
                endpoint = rows.endpoint(row)
                key = row["recipient"], endpoint.channel, endpoint.address
                kept[tenant, key] = endpoint, endpoint.id == group[key][0]
        outcomes: list[tuple[Endpoint, datetime, bool] | DomainError] = []
        for one in addresses:
            if (one.tenant, one.key) not in kept:
                outcomes.append(EndpointLimit(one.user, MOST_OF_USER))
                continue
            endpoint, new = kept[one.tenant, one.key]
            outcomes.append((endpoint, now, new))
            kept[one.tenant, one.key] = endpoint, False
        return outcomes

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """See EndpointStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(in_tenant(_PAGE, tenant), user, after or _FIRST, limit)
        return [(rows.endpoint(row), row["updated_at"]) for row in found]

    async def rotate(
        self, tenant: str, user: str, id_: str, secret: str, overlap: timedelta, *, expected: int = 0
    ) -> tuple[Endpoint, datetime]:
        """See EndpointStore."""
        async with self._database.transaction() as connection:
            channel = await _locked(connection, tenant, user, id_, expected)
            if channel is None:
                raise EndpointNotFound(metadata={"id": id_})
            if channel is not ChannelName.WEBHOOK:
                raise NotSigned(id_, channel)
            now = await self._clock.now(connection)
            row = await connection.fetchrow(in_tenant(_ROTATE, tenant), user, id_, secret, now + overlap, now)
        assert row is not None  # it is locked
        return rows.endpoint(row), now

    async def delete(self, tenant: str, user: str, id_: str, *, expected: int = 0) -> bool:
        """See EndpointStore."""
        async with self._database.transaction() as connection:
            if await _locked(connection, tenant, user, id_, expected) is None:
                return False
            await connection.execute(in_tenant(_DELETE, tenant), user, id_)
        return True

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


async def _locked(connection: Connection, tenant: str, user: str, id_: str, expected: int) -> ChannelName | None:
    """The channel of an address that nobody else changes now; None where there is none. Raises VersionConflict."""
    row = await connection.fetchrow(in_tenant(_LOCK, tenant), user, id_) if is_own_id(id_) else None
    if row is None:
        return None
    check_version(id_, expected, row["version"])
    return ChannelName(row["channel"])
