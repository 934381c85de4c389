"""What the links and pixels of e-mails tell: that a notification was opened."""

from collections.abc import Callable
from datetime import UTC, datetime

from services.chassis.signed_urls import TokenExpired, TokenInvalid
from services.notification.application.ports.notifications import NotificationStore
from services.notification.application.tenants import Tenants
from services.notification.domain.errors import LinkExpired, LinkUnknown, NotificationNotFound, TenantUnknown
from services.notification.domain.links import LinkOrigins
from services.notification.domain.notification import Notification
from services.notification.domain.open_tokens import Opened, OpenTokens, Purpose


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Openings:
    """Handles what bearers of signed tokens do; nobody of them is logged in. Without `tokens` none is good. All raise
    LinkUnknown and LinkExpired."""

    def __init__(
        self,
        tenants: Tenants,
        store: NotificationStore,
        tokens: OpenTokens | None,
        links: LinkOrigins,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._tenants = tenants
        self._store = store
        self._tokens = tokens
        self._links = links
        self._now = now

    async def follow(self, token: str, *, look_only: bool) -> str:
        """Where the notification's link leads; unless only looked at, it is opened."""
        opened = self._read(token, Purpose.LINK)
        notification = await self._found(opened, look_only=look_only)
        # What the operator has allowed once may be forbidden by now.
        if not notification.link or self._links.refusal(notification.link) is not None:
            raise LinkExpired
        return notification.link

    async def view(self, token: str) -> None:
        """The notification is opened."""
        await self._found(self._read(token, Purpose.PIXEL), look_only=False)

    def _read(self, token: str, purpose: Purpose) -> Opened:
        if self._tokens is None:
            raise LinkUnknown
        try:
            return self._tokens.read(token, purpose, self._now())
        except TokenInvalid:
            raise LinkUnknown from None
        except TokenExpired:
            raise LinkExpired from None

    async def _found(self, opened: Opened, *, look_only: bool) -> Notification:
        try:
            self._tenants.require_known(opened.tenant)
            if look_only:
                return await self._store.get(opened.tenant, opened.notification)
            return await self._store.mark_read(opened.tenant, opened.notification, opened=True)
        except (TenantUnknown, NotificationNotFound):
            raise LinkExpired from None
