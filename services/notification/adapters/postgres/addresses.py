"""The addresses that notifications of one tenant go to."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from services.chassis.postgres import Connection
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.delivery import Endpoint
from services.notification.domain.notification import ChannelName

Addresses = Mapping[tuple[str, str], tuple[Endpoint, ...]]
"""By user and channel."""

_ADDRESSES = """
    SELECT recipient, id::text AS id, channel, address, secret FROM TENANT.endpoints
    WHERE recipient = ANY($1::text[]) ORDER BY id
"""


async def addresses_of(connection: Connection, tenant: str, users: Collection[str]) -> Addresses:
    """All addresses of the users, in the order of their ids."""
    found: dict[tuple[str, str], list[Endpoint]] = defaultdict(list)
    if users:
        for row in await connection.fetch(in_tenant(_ADDRESSES, tenant), list(users)):
            found[row["recipient"], row["channel"]].append(
                Endpoint(row["id"], ChannelName(row["channel"]), row["address"], row["secret"])
            )
    return {key: tuple(endpoints) for key, endpoints in found.items()}
