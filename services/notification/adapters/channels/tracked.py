"""The signed links and pixels that e-mails carry."""

from datetime import timedelta

from services.notification.domain.delivery import Outgoing
from services.notification.domain.open_tokens import Opened, OpenTokens, Purpose


class TrackedLinks:
    """URLs below the address at which people reach the deployment. They are good for `ttl` from when the notification
    was accepted, so that they are the same in every attempt."""

    def __init__(self, public_url: str, tokens: OpenTokens, ttl: timedelta) -> None:
        self._base = public_url.rstrip("/")
        self._tokens = tokens
        self._ttl = ttl

    def link(self, message: Outgoing) -> str:
        """Leads to the notification's link, and tells that it was opened."""
        return f"{self._base}/v1/notifications:follow?token={self._token(message, Purpose.LINK)}"

    def pixel(self, message: Outgoing) -> str:
        """An image that tells that it was displayed."""
        return f"{self._base}/v1/notifications:pixel?token={self._token(message, Purpose.PIXEL)}"

    def _token(self, message: Outgoing, purpose: Purpose) -> str:
        return self._tokens.mint(purpose, Opened(message.tenant, message.id), message.created_at + self._ttl)
