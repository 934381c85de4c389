"""`EndpointStore` in memory: the same promises as the one on PostgreSQL."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.notification.adapters.memory.state import KeptEndpoint, State, User
from services.notification.domain.channel_plan import Contacts
from services.notification.domain.delivery import MOST_OF_USER, Endpoint
from services.notification.domain.errors import EndpointLimit, EndpointNotFound, NotSigned, check_version
from services.notification.domain.notification import ChannelName


class InMemoryEndpoints:
    """Addresses in `state`, by tenant and id."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def register(
        self, tenant: str, user: str, channel: ChannelName, address: str, secret: str
    ) -> tuple[Endpoint, datetime, bool]:
        """See EndpointStore."""
        now = self._state.now()
        for kept in self._state.endpoints.values():
            known = kept.endpoint
            if kept.user == (tenant, user) and (known.channel, known.address) == (channel, address):
                kept.updated_at, kept.endpoint = now, replace(known, version=known.version + 1)
                return kept.endpoint, now, False
        if sum(kept.user == (tenant, user) for kept in self._state.endpoints.values()) >= MOST_OF_USER:
            raise EndpointLimit(user, MOST_OF_USER)
        if channel is ChannelName.FCM:
            self._take_from_others(tenant, address)
        endpoint = Endpoint(self._state.new_id(), channel, address, secret)
        self._state.endpoints[tenant, endpoint.id] = KeptEndpoint((tenant, user), endpoint, now)
        return endpoint, now, True

    def _take_from_others(self, tenant: str, token: str) -> None:
        for key, kept in list(self._state.endpoints.items()):
            known = kept.endpoint
            if kept.user[0] == tenant and (known.channel, known.address) == (ChannelName.FCM, token):
                del self._state.endpoints[key]

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """See EndpointStore."""
        found = [
            (kept.endpoint, kept.updated_at)
            for kept in self._state.endpoints.values()
            if kept.user == (tenant, user) and kept.endpoint.id > after
        ]
        return sorted(found, key=lambda pair: pair[0].id)[:limit]

    async def rotate(
        self, tenant: str, user: str, id_: str, secret: str, overlap: timedelta, *, expected: int = 0
    ) -> tuple[Endpoint, datetime]:
        """See EndpointStore."""
        kept, now = self._checked(tenant, user, id_, expected), self._state.now()
        if kept is None:
            raise EndpointNotFound(metadata={"id": id_})
        known = kept.endpoint
        if known.channel is not ChannelName.WEBHOOK:
            raise NotSigned(id_, known.channel)
        kept.updated_at, kept.endpoint = (
            now,
            replace(
                known,
                secret=secret,
                former_secret=known.secret,
                former_secret_until=now + overlap,
                version=known.version + 1,
            ),
        )
        return kept.endpoint, now

    def _checked(self, tenant: str, user: str, id_: str, expected: int) -> KeptEndpoint | None:
        kept = self._state.endpoints.get((tenant, id_))
        if kept is None or kept.user != (tenant, user):
            return None
        check_version(id_, expected, kept.endpoint.version)
        return kept

    async def delete(self, tenant: str, user: str, id_: str, *, expected: int = 0) -> bool:
        """See EndpointStore."""
        if self._checked(tenant, user, id_, expected) is None:
            return False
        del self._state.endpoints[tenant, id_]
        return True

    async def contacts(self, users: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Contacts]:
        """See EndpointStore."""
        found = {user: contacts_of(self._state, user) for user in users}
        return {user: known for user, known in found.items() if known.addresses or known.plans}


def contacts_of(state: State, user: User) -> Contacts:
    """What is known of a user."""
    addresses: dict[ChannelName, list[Endpoint]] = defaultdict(list)
    for kept in sorted(state.endpoints.values(), key=lambda one: one.endpoint.id):
        if kept.user == user:
            addresses[kept.endpoint.channel].append(kept.endpoint)
    return Contacts(addresses, state.own_plans.get(user, {}))
