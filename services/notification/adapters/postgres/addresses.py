"""How users of one tenant can be reached: their addresses, and plans of their own."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from services.chassis.postgres import Connection
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.channel_plan import Contacts, Plan, load_plan
from services.notification.domain.delivery import Endpoint
from services.notification.domain.notification import ChannelName, Type

_CONTACTS = """
    SELECT recipient, id::text AS id, channel, address, secret, former_secret, former_secret_until, version,
        NULL AS plan
    FROM TENANT.endpoints WHERE recipient = ANY($1::text[])
    UNION ALL
    SELECT recipient, NULL, type, NULL, NULL, NULL, NULL, NULL, plan FROM TENANT.channel_plans
    WHERE recipient = ANY($1::text[])
"""


async def contacts_of(connection: Connection, tenant: str, users: Collection[str]) -> Mapping[str, Contacts]:
    """All that is known of the users, addresses in the order of their ids."""
    addresses: dict[str, dict[ChannelName, list[Endpoint]]] = defaultdict(lambda: defaultdict(list))
    plans: dict[str, dict[Type, Plan]] = defaultdict(dict)
    for row in await connection.fetch(in_tenant(_CONTACTS, tenant), list(users)):
        if row["id"] is None:
            plans[row["recipient"]][Type(row["channel"])] = load_plan(row["plan"])
        else:
            point = rows.endpoint(row)
            addresses[row["recipient"]][point.channel].append(point)
    for by_channel in addresses.values():
        for points in by_channel.values():
            points.sort(key=lambda point: point.id)
    return {user: Contacts(addresses[user], plans[user]) for user in addresses.keys() | plans.keys()}
