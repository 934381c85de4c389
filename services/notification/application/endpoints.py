"""Addresses of users, and webhook subscriptions of systems."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from services.chassis.ids import new_id
from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports.endpoints import EndpointStore
from services.notification.application.ports.webhooks import EventFeed, SubscriptionStore, TargetGuard
from services.notification.application.tenants import Tenants
from services.notification.domain.delivery import Endpoint, UnknownOutcome
from services.notification.domain.errors import AddressInvalid, EndpointNotFound
from services.notification.domain.notification import ChannelName
from services.notification.domain.webhook import Subscription, new_secret

log = get_logger(__name__)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(
    rf"(?=[^@]{{1,64}}@)(?!.*=\?){_ATOM}(?:\.{_ATOM})*@(?=.{{1,255}}$)(?:{_LABEL}\.)+(?!\d+$){_LABEL}", re.ASCII
)
"""RFC 5321: dots only between, and a domain of two labels at least, which is no IPv4 address. Nothing that could begin
an encoded word (RFC 2047), which programs on the way may take for what it stands for."""
_URL = re.compile(r"https?://[\x21\x22\x24-\x7e]{1,2040}")
_FCM_TOKEN = re.compile(r"[A-Za-z0-9:_.%-]{1,4096}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Registered:
    """An address as it is kept; `new` when it, or its secret, was not known before (the secret is shown this once)."""

    endpoint: Endpoint
    updated_at: datetime
    new: bool


def is_email(address: str) -> bool:
    """Whether the text is an address that can stand in an SMTP dialogue as it is."""
    return _EMAIL.fullmatch(address) is not None


class Endpoints:
    """Handles registration of addresses."""

    def __init__(self, tenants: Tenants, store: EndpointStore, guard: TargetGuard) -> None:
        self._tenants = tenants
        self._store = store
        self._guard = guard

    async def register(self, tenant: str, user: str, channel: ChannelName, address: str) -> Registered:
        """Adds or renews an address. Raises AddressInvalid and TargetBlocked."""
        self._tenants.require(tenant)
        secret = ""
        if channel is ChannelName.EMAIL:
            if not is_email(address):
                raise AddressInvalid("must be an e-mail address such as ann@example.com")
            # No mail server of today tells them apart, and whoever has both is told twice.
            address = address.lower()
        if channel is ChannelName.FCM and _FCM_TOKEN.fullmatch(address) is None:
            raise AddressInvalid("must be an FCM registration token")
        if channel is ChannelName.WEBHOOK:
            if _URL.fullmatch(address) is None:
                raise AddressInvalid("must be an http or https URL of at most 2,048 characters, without a fragment")
            await self._guard.check(address, "address")
            secret = new_secret()
        endpoint, updated_at, new = await self._store.register(tenant, user, channel, address, secret)
        log.info("endpoint.registered", tenant=tenant, user=user, channel=channel.value, endpoint=endpoint.id, new=new)
        return Registered(endpoint, updated_at, new)

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """Up to `limit` addresses by id."""
        self._tenants.require(tenant)
        return await self._store.page(tenant, user, limit=limit, after=after)

    async def rotate_secret(
        self, tenant: str, user: str, id_: str, overlap: timedelta, *, expected: int = 0
    ) -> Registered:
        """The address with its new secret. Raises EndpointNotFound, NotSigned and VersionConflict."""
        self._tenants.require(tenant)
        endpoint, at = await self._store.rotate(tenant, user, id_, new_secret(), overlap, expected=expected)
        log.info("endpoint.secret_rotated", tenant=tenant, user=user, endpoint=id_, overlap=overlap.total_seconds())
        return Registered(endpoint, at, new=True)

    async def delete(self, tenant: str, user: str, id_: str, *, expected: int = 0) -> None:
        """Raises EndpointNotFound and VersionConflict."""
        self._tenants.require(tenant)
        if not await self._store.delete(tenant, user, id_, expected=expected):
            raise EndpointNotFound(metadata={"id": id_})
        log.info("endpoint.deleted", tenant=tenant, user=user, endpoint=id_)


class Subscriptions:
    """Handles webhook subscriptions."""

    def __init__(self, store: SubscriptionStore, feed: EventFeed, guard: TargetGuard) -> None:
        self._store = store
        self._feed = feed
        self._guard = guard

    async def create(
        self, url: str, event_types: Sequence[str], unknown_outcome: UnknownOutcome | None = None
    ) -> Subscription:
        """The subscription with its secret. Events published after the answer reach it. Raises TargetBlocked and
        SubscriptionExists."""
        await self._guard.check(url, "url")
        subscription = Subscription(
            id=new_id(),
            url=url,
            event_types=tuple(event_types),
            secret=new_secret(),
            created_at=datetime.now(UTC),
            unknown_outcome=unknown_outcome,
        )
        made = await self._store.add(subscription, partial(self._feed.begin, event_types))
        log.info("subscription.created", subscription=made.id, url=_shown(url), event_types=list(event_types))
        return made

    async def enable(self, id_: str, *, expected: int = 0) -> Subscription:
        """Events published after the answer reach it again. Raises SubscriptionNotFound and VersionConflict."""
        enabled = await self._store.enable(id_, self._feed.begin, expected=expected)
        log.info("subscription.enabled", subscription=id_)
        return enabled

    async def rotate_secret(self, id_: str, overlap: timedelta, *, expected: int = 0) -> Subscription:
        """The subscription with its new secret. Raises SubscriptionNotFound and VersionConflict."""
        rotated = await self._store.rotate(id_, new_secret(), overlap, expected=expected)
        log.info("subscription.secret_rotated", subscription=id_, overlap=overlap.total_seconds())
        return rotated

    async def get(self, id_: str) -> Subscription:
        """Raises SubscriptionNotFound."""
        return await self._store.get(id_)

    async def page(self, *, limit: int, after: str) -> Sequence[Subscription]:
        """Up to `limit` subscriptions by id."""
        return await self._store.page(limit=limit, after=after)

    async def delete(self, id_: str, *, expected: int = 0) -> None:
        """Raises SubscriptionNotFound and VersionConflict."""
        await self._store.delete(id_, expected=expected)
        log.info("subscription.deleted", subscription=id_)


def _shown(url: str) -> str:
    """The URL for the log: without what may be a secret."""
    return url.partition("?")[0]
