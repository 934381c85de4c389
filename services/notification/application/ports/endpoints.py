"""Addresses of users."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from services.notification.domain.channel_plan import Contacts
from services.notification.domain.delivery import Endpoint
from services.notification.domain.notification import ChannelName


class EndpointStore(Protocol):
    """Addresses of users."""

    async def register(
        self, tenant: str, user: str, channel: ChannelName, address: str, secret: str
    ) -> tuple[Endpoint, datetime, bool]:
        """The address, when it was renewed, and whether it is new (a known one keeps its secret). A registration token
        moves from another user of the tenant: it is one device's, which has changed hands. Raises EndpointLimit."""
        ...

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """Up to `limit` addresses of the user by id, after an id."""
        ...

    async def rotate(
        self, tenant: str, user: str, id_: str, secret: str, overlap: timedelta, *, expected: int = 0
    ) -> tuple[Endpoint, datetime]:
        """Gives a webhook another secret; for `overlap` the one before signs as well. The answer has the new one, and
        when that was. Raises EndpointNotFound, NotSigned and VersionConflict."""
        ...

    async def delete(self, tenant: str, user: str, id_: str, *, expected: int = 0) -> bool:
        """False when there was none. Raises VersionConflict."""
        ...

    async def contacts(self, users: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Contacts]:
        """How users, given as (tenant, user), can be reached. Those of whom nothing is known are left out."""
        ...
